package e2e

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/example/ksmscale/test/e2e/audit"
)

// row is one line of the table. Its event and speed tell it from others.
type row struct{ event, speed, text string }

// key begins the line of a row.
func (r row) key() string { return fmt.Sprintf("| %s | %s |", r.event, r.speed) }

// rows are what the audits of this run have found.
var rows []row

// addRow logs a row of the table, and writes the table with it: a run of hours may be interrupted.
func addRow(t *testing.T, what, speed string, took time.Duration, report audit.Report) {
	t.Helper()
	added := row{event: what, speed: cmp.Or(speed, "unlimited")}
	added.text = fmt.Sprintf("%s %s | %.0f s | %d | %.0f | %.0f %% | %.0f s | %d / %d | %d | %d |", added.key(), time.Now().UTC().Format(time.DateOnly), took.Seconds(), report.Objects,
		report.MissingObjectSeconds, 100*report.WorstShareMissing, report.LongestGapSeconds, report.MissedScrapes15, report.MissedScrapes30, report.Twice, report.SlowScrapes)
	rows = append(rows, added)
	t.Log(added.text)
	if len(report.Problems) > 0 {
		t.Log(strings.Join(report.Problems, "\n"))
	}
	writeTable(t)
}

// writeTable writes the rows: into the docs, if all events are to be run. Rows that are there and that this run has
// not measured stay, so that the full run can be made in pieces.
func writeTable(t *testing.T) {
	t.Helper()
	file := filepath.Join(shared.root, "bin", "coverage.md")
	if full() {
		file = filepath.Join(shared.root, "docs", "coverage.md")
	}
	version, err := shared.clientset.ServerVersion()
	require.NoError(t, err)
	text := fmt.Sprintf(`# What Prometheus would miss

Measured by `+"`make e2e-full`"+` (command auditor, test/e2e/auditor) on Kubernetes %s with kube-state-metrics %s unless said
otherwise: once a second it scrapes each shard's Service (with autosharding, each ready pod), and compares the pods and
ConfigMaps in there with those that the API server has. Object-seconds are summed over all objects. Scrapes missed are
those that lack an object, at intervals of 15 and 30 seconds with the unluckiest offset. Exported twice is by the Services
of one partition. Slow answers took longer than the 10 seconds that Prometheus waits by default: a KSM with little CPU does
so when it collects its garbage, also when nothing happens to it.

Each row was measured once, on two nodes that share a machine of 2 cores with the control plane. There are three shards of one
replica unless the event says otherwise, and `+"`spec.monitoring.interval`"+` is %s, so that events are short: pods wait for it, and
shards for twice that. Rollouts go one shard after the other; rows measured before 2026-11-26 had all shards at once.

| event | CPU limit of each KSM | on | took | objects | object-seconds missing | most at once | longest gap | scrapes missed | exported twice | slow answers |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
%s
`, version.GitVersion, "v2.20.0", scrapeInterval, strings.Join(merged(t, file), "\n"))
	require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o750))
	require.NoError(t, os.WriteFile(file, []byte(text), 0o644))
}

// merged are the rows of a file with those of this run in their places.
func merged(t *testing.T, file string) []string {
	t.Helper()
	var lines []string
	before, err := os.ReadFile(file)
	if err != nil {
		require.ErrorIs(t, err, os.ErrNotExist)
	}
	const rule = "| --- |"
	_, table, _ := strings.Cut(string(before), "\n"+rule)
	for line := range strings.Lines(table) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "| ") {
			lines = append(lines, line)
		}
	}
	for _, row := range rows {
		isSame := func(line string) bool { return strings.HasPrefix(line, row.key()) }
		if index := slices.IndexFunc(lines, isSame); index >= 0 {
			lines[index] = row.text
			continue
		}
		lines = append(lines, row.text)
	}
	return lines
}
