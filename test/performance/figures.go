package main

import (
	"fmt"
	"strings"
	"time"
)

// steady is what the API server does in a minute without changes, and in a minute while pods come and go.
type steady struct{ quiet, busy served }

// replicaFigures are what the API server did in each interval, with what it does without a replica.
type replicaFigures struct {
	// started is the start of kube-state-metrics with its gate, until the gate was open after the time opened. The other two
	// took as long: the start of kube-state-metrics alone, and no start.
	started, startedWithoutGate, idle served
	opened                            time.Duration
	// series is how many kube-state-metrics exposed once the gate was open.
	series int
	// without is without a replica, withoutGate with kube-state-metrics alone.
	without, withoutGate, withGate steady
}

const (
	noReplica = "no replica"
	noGate    = "KSM"
	both      = "KSM and gate"
)

// rows are the rows of the table of costs. All of a replica are in addition to what happens without it.
func (f *replicaFigures) rows() []string {
	rows := []string{
		row(fmt.Sprintf("start, %.0f s", f.opened.Seconds()), noGate, f.startedWithoutGate.minus(f.idle)),
		row("", both, f.started.minus(f.idle)),
	}
	for _, interval := range []struct {
		name                           string
		without, withoutGate, withGate served
	}{
		{"a minute without changes", f.without.quiet, f.withoutGate.quiet, f.withGate.quiet},
		{fmt.Sprintf("a minute with churn, %d pods a second", churnRate), f.without.busy, f.withoutGate.busy, f.withGate.busy},
	} {
		rows = append(rows,
			row(interval.name, noReplica, interval.without),
			row("", noGate, interval.withoutGate.minus(interval.without)),
			row("", both, interval.withGate.minus(interval.without)))
	}
	return rows
}

func row(interval, runs string, cost served) string {
	return fmt.Sprintf("%s | %s | %s | %s | %.0f | %.0f | %.0f | %.2f s", interval, runs, size(total(cost.listed)), size(total(cost.watched)),
		cost.watches, cost.requests, cost.lists, cost.cpu)
}

// rowsByResource are the rows of the table of bytes by resource, of kube-state-metrics with its gate.
func (f *replicaFigures) rowsByResource() []string {
	intervals := []served{f.started.minus(f.idle), f.withGate.quiet.minus(f.without.quiet), f.withGate.busy.minus(f.without.busy)}
	rowOf := func(name string, sent func(served) float64) string {
		cells := []string{name}
		for _, interval := range intervals {
			cells = append(cells, size(sent(interval)))
		}
		return strings.Join(cells, " | ")
	}
	var rows []string
	named := []string{"pods", "nodes", "leases"}
	for _, resource := range named {
		rows = append(rows, rowOf(resource, func(s served) float64 { return s.sent(resource) }))
	}
	return append(rows, rowOf("others", func(s served) float64 { return s.sentOfOthers(named) }))
}

// size is a number of bytes for people.
func size(bytes float64) string {
	const kilo, mega = 1e3, 1e6
	if bytes < mega {
		return fmt.Sprintf("%.0f kB", bytes/kilo)
	}
	return fmt.Sprintf("%.1f MB", bytes/mega)
}
