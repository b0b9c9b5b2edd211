// Package pictures is the module of what draws: program dashboard generates the Grafana dashboard, program run draws the
// picture of docs/dashboard.md, and program walk draws the end of `make demo`. It is a separate module, so the product does
// not depend on the libraries of Grafana, of Prometheus and of plots.
package pictures
