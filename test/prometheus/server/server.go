package server

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	prometheusv1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/util/wait"
)

const poll = 500 * time.Millisecond

// Server is a real Prometheus that has Rules.
type Server struct {
	prometheusv1.API
	// Name is for messages.
	Name string
	// Selector is the selector of its Rules.
	Selector string
	// Interval is the time between two scrapes of a target, and the time that a scrape may take.
	Interval time.Duration
	// EveryPod reports whether each pod is a target, instead of each Service. Rules then record the series, every
	// Interval.
	EveryPod bool
	// Machine reports when the machine stalled.
	Machine *Machine
	// Timeout only limits a failing test. All waits end as soon as their event has happened.
	Timeout time.Duration
}

// Vector is the present value of an expression.
func (s Server) Vector(t *testing.T, expression string) model.Vector {
	t.Helper()
	vector, err := s.query(t.Context(), expression)
	require.NoError(t, err)
	return vector
}

func (s Server) query(ctx context.Context, expression string) (model.Vector, error) {
	value, _, err := s.Query(ctx, expression, time.Time{})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", expression, err)
	}
	vector, ok := value.(model.Vector)
	if !ok {
		return nil, fmt.Errorf("%s is a %s", expression, value.Type())
	}
	return vector, nil
}

// Await waits until an expression has exactly one value, which is the given one.
func (s Server) Await(t *testing.T, expression string, wanted int) {
	t.Helper()
	s.await(t, expression, func(vector model.Vector) bool {
		return len(vector) == 1 && vector[0].Value == model.SampleValue(wanted)
	})
}

// AwaitNone waits until an expression has no value.
func (s Server) AwaitNone(t *testing.T, expression string) {
	t.Helper()
	s.await(t, expression, func(vector model.Vector) bool { return len(vector) == 0 })
}

// AwaitSome waits until an expression has any value.
func (s Server) AwaitSome(t *testing.T, expression string) {
	t.Helper()
	s.await(t, expression, func(vector model.Vector) bool { return len(vector) > 0 })
}

// AwaitEvaluation waits until everything has been scraped, and all rules have been evaluated, after a time.
func (s Server) AwaitEvaluation(t *testing.T, after time.Time) {
	t.Helper()
	// A scrape is due after an interval at the latest, and after it the evaluation of the rules that we ship.
	enough := model.TimeFromUnixNano(after.Add(2 * s.Interval).UnixNano())
	s.await(t, "timestamp(test:twice)", func(now model.Vector) bool {
		return len(now) == 1 && float64(now[0].Value) >= float64(enough)/1000
	})
}

func (s Server) await(t *testing.T, expression string, holds func(model.Vector) bool) {
	t.Helper()
	var last error
	err := wait.PollUntilContextTimeout(t.Context(), poll, s.Timeout, true, func(ctx context.Context) (bool, error) {
		vector, err := s.query(ctx, expression)
		if ctx.Err() != nil && last != nil {
			return false, nil // It says no more than that time is up.
		}
		if last = err; err == nil {
			last = fmt.Errorf("it is %v", vector)
		}
		return err == nil && holds(vector), nil
	})
	if err == nil {
		return
	}
	targets, problem := s.Targets(context.WithoutCancel(t.Context()))
	require.NoError(t, err, "%s: wait for %s: %v\ntargets: %v %v", s.Name, expression, last, targets.Active, problem)
}

// AssertConstant asserts that since a time there have always been that many pods, and each of them once. It checks the
// recorded values of each evaluation, and a graph of now. It ignores the loss of scrapes that time out while the machine
// stalls, and moments that leftOut reports, if set.
func (s Server) AssertConstant(t *testing.T, since time.Time, pods int, leftOut func(time.Time) bool) {
	t.Helper()
	scrapes := s.Scrapes(t, since)
	t.Logf("%s: %d scrapes, of which %d failed: %v; and %d timed out while the machine stalled: %v; since %s, %s", s.Name,
		scrapes.Count, len(scrapes.Failed), scrapes.Failed, len(scrapes.Stalled), scrapes.Stalled, since.Format(time.TimeOnly), s.Machine.Stalls(since))
	evaluations := s.Evaluations(t, since, pods)
	retrospect := s.retrospect(t, since, pods)
	checked := 0
	for _, look := range slices.Concat(evaluations, retrospect) {
		if leftOut != nil && leftOut(look.At) || slices.ContainsFunc(scrapes.Stalled, func(scrape Scrape) bool { return s.Misses(scrape, look.At) }) {
			continue
		}
		checked++
		assert.Equal(t, look.Wanted, look.Value, "%s %s after", look.What, look.At.Sub(since))
	}
	assert.Positive(t, checked)
	t.Logf("%s: %d evaluations, and %d moments in retrospect", s.Name, len(evaluations)/2, len(retrospect))
}

// Misses reports whether Prometheus still lacks the data of a failed scrape at a time. The next scrape of the target
// starts an interval later and takes up to another one. The recorded value follows up to another one later.
func (s Server) Misses(failed Scrape, scrapeTime time.Time) bool {
	misses := 2 * s.Interval
	if s.EveryPod {
		misses += s.Interval
	}
	return !scrapeTime.Before(failed.At) && scrapeTime.Before(failed.At.Add(misses))
}
