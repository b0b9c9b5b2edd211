// Package ksmflags reads values of kube-state-metrics' flags as kube-state-metrics does (pkg/options/types.go), so that
// the controller, which passes them on, and the gate, which follows them, cannot disagree about what they mean.
package ksmflags
