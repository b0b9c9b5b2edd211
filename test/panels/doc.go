// Package panels reads the panels of the Grafana dashboard in deploy/grafana, with their queries. The end-to-end tests run
// each query on a real Prometheus. Module test/pictures generates the dashboard and draws what these queries have returned.
package panels
