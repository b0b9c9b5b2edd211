// Package prometheus tests deploy/prometheus. It tests the alerts with promtool. It tests the configuration with a real
// Prometheus, which scrapes imitated shards while they change.
package prometheus
