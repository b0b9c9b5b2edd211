package e2e

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/test/e2e/audit"
	"github.com/example/ksmscale/test/prometheus/server"
)

// storedPods is a real Prometheus that scrapes shards during faults, and the pods that it always has without one.
type storedPods struct {
	*prometheusServer
	pods int
}

// startStored starts a Prometheus with the shipped job for the Services of a KSMScale. Pods of the namespace exist as long as the test.
func startStored(t *testing.T, namespace string, ksmScale *v1alpha1.KSMScale, machine *server.Machine) storedPods {
	t.Helper()
	prometheus := startShippedJob(t, watchTargets(t), fmt.Sprintf("{namespace=%q}", namespace), ksmScale, "Prometheus", "prometheus.yaml")
	prometheus.Machine = machine
	return storedPods{prometheus, len(pods(t, namespace, ""))}
}

// await waits until Prometheus has all pods. From then on each loss counts.
func (s storedPods) await(t *testing.T) {
	t.Helper()
	s.Await(t, "test:pods", s.pods)
	s.complete = time.Now()
}

// explain checks that Prometheus has stored no pod twice at any evaluation, and that a fault explains each time without one. After a short
// gap, the next scrape may be an interval away, and take another one.
func (s storedPods) explain(c *chaos) {
	c.t.Helper()
	late := 2 * prometheusInterval
	scrapes, gaps, evaluations := s.Scrapes(c.t, s.complete), s.Gaps(c.t, s.complete), s.Evaluations(c.t, s.complete, s.pods)
	lacking := 0
	for _, look := range evaluations {
		assert.LessOrEqual(c.t, look.Value, look.Wanted, "%s at %s", look.What, look.At.UTC().Format(time.TimeOnly))
		if look.Value >= look.Wanted {
			continue
		}
		lacking++
		if !slices.ContainsFunc(gaps, func(gap server.Gap) bool { return gap.Spans(look.At, late) }) {
			// The gap was too short to be seen in a graph.
			gaps = append(gaps, server.Gap{From: look.At, To: look.At, Pods: look.Wanted - look.Value})
		}
	}
	for _, gap := range gaps {
		missed := audit.Gap{From: gap.From, To: gap.To, Objects: gap.Pods, Example: gap.Example}
		for _, scrape := range scrapes.Failed {
			if !scrape.At.Before(gap.From.Add(-prometheusInterval)) && !scrape.At.After(gap.To) {
				missed.Failures = append(missed.Failures, scrape.String())
			}
		}
		var timedOut time.Duration
		for _, scrape := range scrapes.Stalled {
			if s.Misses(scrape, gap.From) {
				timedOut = max(timedOut, scrape.Took)
			}
		}
		c.explainGap(s.Name, missed, late, s.Machine, timedOut)
	}
	length := time.Since(s.complete)
	c.t.Logf("%s: %d scrapes, of which %d failed: %v; and %d timed out while the machine stalled; %d evaluations in %.0f s of %d pods, of which %d lacked some", s.Name,
		scrapes.Count, len(scrapes.Failed), scrapes.Failed, len(scrapes.Stalled), len(evaluations)/2, length.Seconds(), s.pods, lacking)
	assert.Greater(c.t, len(evaluations)/2, int(length.Seconds()/4), "evaluations, which are two seconds apart")
	assert.Greater(c.t, scrapes.Count, int(length/prometheusInterval), "scrapes of at least two shards")
	s.assertSameSeries(c.t, s.pods)
}
