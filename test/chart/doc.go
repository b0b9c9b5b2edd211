// Package chart tests the Helm chart of deploy/chart with Helm's own library: that it installs what config/default
// does, and what each value changes. It is a module of its own, so that the product depends on none of this. Program
// table writes the chart's README; package integration installs, upgrades and uninstalls the chart on a local cluster,
// where program certmanager issues certificates.
package chart
