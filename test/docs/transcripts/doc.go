// Package transcripts reads the transcripts of commands in docs/kubectl-plugin.md, so that tests compare them with what the commands print.
// Package docs has the commands that need no cluster, package integration those that need one, and package e2e those that need real pods.
package transcripts
