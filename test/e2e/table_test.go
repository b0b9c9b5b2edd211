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

// row is one line of the table. Its event and speed identify it.
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

// writeTable writes the rows. If all events run, it writes them to the docs. Rows that this run has not measured stay, so
// a full run can have several parts.
func writeTable(t *testing.T) {
	t.Helper()
	file := filepath.Join(shared.root, "bin", "coverage.md")
	if full() || withSizes() {
		file = filepath.Join(shared.root, "docs", "coverage.md")
	}
	serverVersion, err := shared.clientset.ServerVersion()
	require.NoError(t, err)
	text := fmt.Sprintf(`# What Prometheus would miss

This table has the events of `+"`make e2e-full`"+` and `+"`make e2e-sizes`"+`, and how many object-seconds of metrics Prometheus would have
lost. The command auditor (test/e2e/auditor) scrapes each shard's Service once a second. With autosharding it scrapes each ready pod. It
compares the pods and ConfigMaps in the scrapes with the objects of the API server. Kubernetes was %s and kube-state-metrics %s,
unless the event has other versions.

- **Object-seconds** are the sum over all objects.
- **A gap** lasts from the last look before it to the first look after it. A look waits for all answers: some seconds with 100m, or if
  one fails. So one look that missed something can count as 8 seconds.
- **Scrapes missed** are scrapes that lack an object, at intervals of 15 and 30 seconds with the worst offset.
- **Exported twice** is the largest number of objects that two Services of the same partition exported at one time.
- **Slow answers** took longer than 10 seconds, after which Prometheus gives up by default. A KSM with little CPU answers slowly while it
  collects garbage, even without an event.

Each row was measured once, on two nodes. They and the control plane ran on one machine of 2 cores. The rows of 2026-11-28 are of commit
11e386f. Each test has three shards of one replica, unless the event has other numbers. `+"`spec.monitoring.interval`"+` is %s,
which keeps the events short: pods wait for one interval, and shards for two. Where shards size themselves, the controller decides after
seconds instead of hours and days. Rollouts replace the pods of one shard after the other. No other version of KSMScale is published yet,
so an upgrade is to the same program under the name of another version.

| event | CPU limit of each KSM | on | took | objects | object-seconds missing | most at once | longest gap | scrapes missed | exported twice | slow answers |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
%s
`, serverVersion.GitVersion, "v2.20.0", scrapeInterval, strings.Join(merged(t, file), "\n"))
	require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o750))
	require.NoError(t, os.WriteFile(file, []byte(text), 0o644))
}

// merged are the rows of a file, with the rows of this run in their places.
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
	for _, measured := range rows {
		isSame := func(line string) bool { return strings.HasPrefix(line, measured.key()) }
		if index := slices.IndexFunc(lines, isSame); index >= 0 {
			lines[index] = measured.text
			continue
		}
		lines = append(lines, measured.text)
	}
	return lines
}
