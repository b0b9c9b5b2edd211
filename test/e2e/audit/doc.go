// Package audit compares the targets of Prometheus with the API server once a second. It reports which objects are missing
// from the metrics, for how long, and which are exported twice. Start with Auditor. Command auditor runs it in a pod,
// where Services lead to the same pods as for Prometheus.
package audit
