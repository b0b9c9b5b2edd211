// Package plans gives the plan of each KSMScale there is, made by package scaling from the picture of package
// nodes, and exports what is planned as Prometheus metrics. Both the adapter and the controller ask it, so that
// they cannot disagree.
package plans
