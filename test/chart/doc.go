// Package chart tests the Helm chart of deploy/chart with Helm's own library. It compares the chart with config/default,
// and tests each value. It is a separate module, so the product does not depend on Helm. Program table writes the chart's
// README. Package integration installs, upgrades and uninstalls the chart on a local cluster. Program certmanager issues
// certificates there.
package chart
