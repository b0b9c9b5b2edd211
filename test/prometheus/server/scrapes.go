package server

import (
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"
)

// metricsJob selects the job of the shards.
const metricsJob = `{job="kube-state-metrics"}`

// Scrapes are the scrapes of the shards since a time.
type Scrapes struct {
	Count int
	// Failed are those that a target refused, cut, or did not answer in time though the machine did not stall.
	Failed []Scrape
	// Stalled are those that timed out while the machine stalled. No target is at fault.
	Stalled []Scrape
}

// Scrape is one that failed.
type Scrape struct {
	At   time.Time
	Took time.Duration
	// Instance is the label of its target.
	Instance string
	// Lost reports whether an earlier scrape of the target succeeded.
	Lost bool
}

// String describes the scrape for messages.
func (s Scrape) String() string {
	return fmt.Sprintf("%s at %s after %s", s.Instance, s.At.Format(time.TimeOnly), s.Took.Round(time.Millisecond))
}

// Scrapes returns the scrapes of the shards since a time.
func (s Server) Scrapes(t *testing.T, since time.Time) Scrapes {
	t.Helper()
	took := map[model.Fingerprint]map[model.Time]time.Duration{}
	for _, target := range s.history(t, "scrape_duration_seconds"+metricsJob) {
		durations := map[model.Time]time.Duration{}
		for _, sample := range target.Values {
			durations[sample.Timestamp] = time.Duration(float64(sample.Value) * float64(time.Second))
		}
		took[targetOf(target)] = durations
	}
	var all Scrapes
	for _, target := range s.history(t, "up"+metricsJob) {
		answered := false
		for _, sample := range target.Values {
			scrapeTime := sample.Timestamp.Time()
			if scrapeTime.Before(since) {
				continue
			}
			all.Count++
			if sample.Value == 1 {
				answered = true
				continue
			}
			scrape := Scrape{
				At: scrapeTime, Took: took[targetOf(target)][sample.Timestamp], Instance: string(target.Metric[model.InstanceLabel]), Lost: answered,
			}
			if s.stalled(scrape) {
				all.Stalled = append(all.Stalled, scrape)
			} else {
				all.Failed = append(all.Failed, scrape)
			}
		}
	}
	return all
}

// stalled reports whether a scrape failed because the machine stalled: it timed out, and the machine had stalled for half
// of the time. A refused or cut connection fails sooner.
func (s Server) stalled(failed Scrape) bool {
	return failed.Took >= s.Interval && s.Machine.Stalled(failed.At, failed.At.Add(failed.Took)) >= failed.Took/2
}

// history has all samples that Prometheus has stored of a selector.
func (s Server) history(t *testing.T, selector string) model.Matrix {
	t.Helper()
	value, _, err := s.Query(t.Context(), selector+History, time.Time{})
	require.NoError(t, err)
	matrix, ok := value.(model.Matrix)
	require.True(t, ok)
	return matrix
}

// targetOf identifies the target that a series is about.
func targetOf(series *model.SampleStream) model.Fingerprint {
	labels := series.Metric.Clone()
	delete(labels, model.MetricNameLabel)
	return labels.Fingerprint()
}
