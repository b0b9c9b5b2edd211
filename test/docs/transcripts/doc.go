// Package transcripts reads the transcripts of commands in docs/kubectl-plugin.md, so that tests compare them with what the commands print.
// Package docs has the commands that need no cluster, package integration those that need one, and package e2e those that need real pods.
//
// It also reads the first command of each section of docs/runbook.md. Package docs parses them, and packages integration and e2e run them on
// the faults.
package transcripts
