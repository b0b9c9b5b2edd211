// Package ksmflags parses values of kube-state-metrics' flags like kube-state-metrics does (pkg/options/types.go). The
// controller writes these values, and the gate reads them. With this package, both give them the same meaning. Resources has
// the names that --resources accepts.
package ksmflags
