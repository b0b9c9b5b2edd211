package server

import (
	"fmt"
	"slices"
	"testing"
	"time"

	prometheusv1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// History selects all that Prometheus has stored: no test takes a day.
const History = "[1d]"

const (
	// tenths are the steps of a graph of counts, and gapStep is the step of a graph of each pod. Prometheus gives a graph at
	// most 11,000 steps.
	tenths  = 100 * time.Millisecond
	gapStep = time.Second
)

// Look is a number that Prometheus had at a time, of pods or of duplicates.
type Look struct {
	At time.Time
	// What was counted, for messages.
	What          string
	Value, Wanted int
}

// Evaluations returns what Rules have recorded since a time. It has two looks for each evaluation: one at the number of pods,
// and one at the number of duplicates.
func (s Server) Evaluations(t *testing.T, since time.Time, pods int) []Look {
	t.Helper()
	var looks []Look
	for expression, wanted := range map[string]int{"test:pods": pods, "test:twice": 0} {
		recorded := s.history(t, expression)
		require.Len(t, recorded, 1)
		looks = append(looks, looksSince(since, recorded[0].Values, expression, wanted)...)
	}
	return looks
}

func looksSince(since time.Time, samples []model.SamplePair, what string, wanted int) []Look {
	var looks []Look
	for _, sample := range samples {
		if at := sample.Timestamp.Time(); at.After(since) {
			looks = append(looks, Look{At: at, What: what, Value: int(sample.Value), Wanted: wanted})
		}
	}
	return looks
}

// retrospect counts the pods at each moment since a time, in a graph of now.
func (s Server) retrospect(t *testing.T, since time.Time, pods int) []Look {
	t.Helper()
	counts, steps := s.graph(t, fmt.Sprintf("count(kube_pod_info%s) or vector(0)", s.Selector), since, tenths)
	require.Len(t, counts, 1)
	assert.Len(t, counts[0].Values, int(steps.End.Sub(steps.Start)/steps.Step)+1)
	return looksSince(since, counts[0].Values, "in retrospect", pods)
}

// Gap is a time at which Prometheus lacked pods.
type Gap struct {
	// From is the first step of the graph without them, and To the next one with them. To is after now if they are still missing.
	From, To time.Time
	// Pods is their number, and Example the name of one of them.
	Pods    int
	Example string
}

// Spans tells whether a look at a time may have been in the gap. A graph tells a gap to the second, so it may have begun up to a second
// before From. A look sees its end later, when the scrape has been stored: late is the longest time until then.
func (g Gap) Spans(at time.Time, late time.Duration) bool {
	return at.After(g.From.Add(-gapStep)) && at.Before(g.To.Add(late))
}

// Gaps returns the gaps since a time of the pods that Prometheus has ever had, in order. Pods with the same gap have one
// together. It looks at a graph of now, to the second.
func (s Server) Gaps(t *testing.T, since time.Time) []Gap {
	t.Helper()
	var gaps []Gap
	known, steps := s.graph(t, "kube_pod_info"+s.Selector, since, gapStep)
	for _, pod := range known {
		next := steps.Start
		for _, sample := range append(pod.Values, model.SamplePair{Timestamp: model.TimeFromUnixNano(steps.End.Add(gapStep).UnixNano())}) {
			at := sample.Timestamp.Time()
			if at.After(next) {
				gaps = addGap(gaps, Gap{From: next, To: at, Pods: 1, Example: string(pod.Metric["pod"])})
			}
			next = at.Add(gapStep)
		}
	}
	slices.SortFunc(gaps, func(a, b Gap) int { return a.From.Compare(b.From) })
	return gaps
}

func addGap(gaps []Gap, added Gap) []Gap {
	for i := range gaps {
		if gaps[i].From.Equal(added.From) && gaps[i].To.Equal(added.To) {
			gaps[i].Pods++
			return gaps
		}
	}
	return append(gaps, added)
}

// graph is an expression at all steps from a time until now.
func (s Server) graph(t *testing.T, expression string, since time.Time, step time.Duration) (model.Matrix, prometheusv1.Range) {
	t.Helper()
	// Prometheus takes times to the millisecond.
	steps := prometheusv1.Range{Start: since.Truncate(time.Millisecond), End: time.Now().Truncate(time.Millisecond), Step: step}
	// The last step is the end.
	steps.Start = steps.End.Add(-steps.End.Sub(steps.Start).Truncate(step))
	value, _, err := s.QueryRange(t.Context(), expression, steps)
	require.NoError(t, err)
	matrix, ok := value.(model.Matrix)
	require.True(t, ok)
	return matrix, steps
}
