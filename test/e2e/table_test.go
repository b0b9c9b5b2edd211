package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/example/ksmscale/test/e2e/audit"
)

// rows are what the audits of this run have found.
var rows []string

// addRow logs a row of the table, and keeps it.
func addRow(t *testing.T, what, speed string, took time.Duration, report audit.Report) {
	t.Helper()
	if speed == "" {
		speed = "unlimited"
	}
	row := fmt.Sprintf("| %s | %s | %.0f s | %d | %.0f | %.0f %% | %.0f s | %d / %d | %d | %d |", what, speed, took.Seconds(), report.Objects,
		report.MissingObjectSeconds, 100*report.WorstShareMissing, report.LongestGapSeconds, report.MissedScrapes15, report.MissedScrapes30, report.Twice, report.SlowScrapes)
	rows = append(rows, row)
	t.Log(row)
	if len(report.Problems) > 0 {
		t.Log(strings.Join(report.Problems, "\n"))
	}
}

// writeTable writes the rows: into the docs, if all events were run.
func writeTable(t *testing.T) {
	t.Helper()
	file := filepath.Join(shared.root, "bin", "coverage.md")
	if full() {
		file = filepath.Join(shared.root, "docs", "coverage.md")
	}
	version, err := shared.clientset.ServerVersion()
	require.NoError(t, err)
	text := fmt.Sprintf(`# What Prometheus would miss

Measured %s by command auditor (test/e2e/auditor) on Kubernetes %s with kube-state-metrics %s unless said otherwise:
once a second it scrapes each shard's Service (with autosharding, each ready pod), and compares the pods and ConfigMaps
in there with those that the API server has. Object-seconds are summed over all objects. Scrapes missed are those that
lack an object, at intervals of 15 and 30 seconds with the unluckiest offset. Exported twice is by the Services of one
partition. Slow answers took longer than the 10 seconds that Prometheus waits by default: a KSM with little CPU does so
when it collects its garbage, also when nothing happens to it.

| event | CPU limit of each KSM | took | objects | object-seconds missing | most at once | longest gap | scrapes missed | exported twice | slow answers |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
%s
`, time.Now().UTC().Format(time.DateOnly), version.GitVersion, "v2.20.0", strings.Join(rows, "\n"))
	require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o750))
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
}
