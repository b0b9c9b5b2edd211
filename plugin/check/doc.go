// Package check looks for what keeps KSMScale from working, for `kubectl ksmscale check`: the cluster and the user's rights in check.go,
// the installation, its certificates, and each KSMScale in a file of its own. Each result says what to do.
package check
