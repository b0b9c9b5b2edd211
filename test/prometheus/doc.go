// Package prometheus proves what deploy/prometheus has: its alerts with promtool, and its configuration with a real
// Prometheus that scrapes what imitates the shards while they change.
package prometheus
