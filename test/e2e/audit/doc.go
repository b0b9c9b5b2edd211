// Package audit compares what Prometheus would scrape with what the API server has, once a second: which objects
// are missing from the metrics, for how long, and which are there twice. Auditor is the way in; command auditor runs
// one as a pod, where Services lead to what they lead Prometheus to.
package audit
