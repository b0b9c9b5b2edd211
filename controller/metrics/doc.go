// Package metrics exports the mode, the conditions, the shards and the recommendation of each KSMScale as Prometheus metrics. It reads
// what package controller/status has computed, and computes nothing itself. docs/prometheus.md lists the metrics.
package metrics
