// Package ksmflags compares package ksmflags, and what the CustomResourceDefinition accepts, with the parsers of flags in
// kube-state-metrics. Its module depends on kube-state-metrics, so that no other module does.
package ksmflags
