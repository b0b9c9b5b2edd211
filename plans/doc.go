// Package plans returns the plan of each KSMScale. Package scaling computes it from the picture of the cluster in package
// nodes. This package also exports the plans as Prometheus metrics. Adapter and controller both use it, so their plans are
// the same.
package plans
