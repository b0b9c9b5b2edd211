package server

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	prometheusv1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var start = time.Unix(1_800_000_000, 0)

func at(seconds float64) time.Time { return start.Add(time.Duration(seconds * float64(time.Second))) }

// A failed scrape is the machine's fault only if it took its full time, and the machine stalled for most of it.
func TestScrapes(t *testing.T) {
	for name, test := range map[string]struct {
		// ups and durations belong to one target that is scraped every ten seconds.
		ups, durations []float64
		stalls         []period
		failed         []Scrape
		stalled        []Scrape
	}{
		"all succeed": {ups: []float64{1, 1}, durations: []float64{0.1, 9}},
		"refused": {
			ups: []float64{1, 0}, durations: []float64{0.1, 0.002},
			failed: []Scrape{{At: at(10), Took: 2 * time.Millisecond, Instance: "shard", Lost: true}},
		},
		"refused while the machine stalls": {
			ups: []float64{1, 0}, durations: []float64{0.1, 0.002}, stalls: []period{{at(0), at(20)}},
			failed: []Scrape{{At: at(10), Took: 2 * time.Millisecond, Instance: "shard", Lost: true}},
		},
		"cut while the machine stalls": {
			ups: []float64{1, 0}, durations: []float64{0.1, 7.4}, stalls: []period{{at(0), at(20)}},
			failed: []Scrape{{At: at(10), Took: 7400 * time.Millisecond, Instance: "shard", Lost: true}},
		},
		"timed out": {
			ups: []float64{1, 0}, durations: []float64{0.1, 10},
			failed: []Scrape{{At: at(10), Took: 10 * time.Second, Instance: "shard", Lost: true}},
		},
		"timed out, and the machine stalls for a moment of it": {
			ups: []float64{1, 0}, durations: []float64{0.1, 10}, stalls: []period{{at(5), at(13)}, {at(19), at(20)}},
			failed: []Scrape{{At: at(10), Took: 10 * time.Second, Instance: "shard", Lost: true}},
		},
		"timed out while the machine stalls": {
			ups: []float64{1, 0}, durations: []float64{0.1, 10}, stalls: []period{{at(5), at(13)}, {at(14), at(16)}},
			stalled: []Scrape{{At: at(10), Took: 10 * time.Second, Instance: "shard", Lost: true}},
		},
		"refused from the beginning": {
			ups: []float64{0, 0}, durations: []float64{0.002, 0.002},
			failed: []Scrape{{At: at(0), Took: 2 * time.Millisecond, Instance: "shard"}, {At: at(10), Took: 2 * time.Millisecond, Instance: "shard"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			prometheus := Server{API: stored(t, test.ups, test.durations), Interval: 10 * time.Second, Machine: &Machine{stalls: test.stalls}}
			scrapes := prometheus.Scrapes(t, start)
			assert.Equal(t, len(test.ups), scrapes.Count)
			assert.Equal(t, test.failed, scrapes.Failed)
			assert.Equal(t, test.stalled, scrapes.Stalled)
			assert.Equal(t, len(test.ups)-1, prometheus.Scrapes(t, at(1)).Count)
		})
	}
}

// stored is the API of a Prometheus that has stored scrapes of a target.
func stored(t *testing.T, ups, durations []float64) prometheusv1.API {
	t.Helper()
	series := func(name string, values []float64) model.Matrix {
		stream := &model.SampleStream{Metric: model.Metric{model.MetricNameLabel: model.LabelValue(name), model.InstanceLabel: "shard"}}
		for i, value := range values {
			stream.Values = append(stream.Values, model.SamplePair{
				Timestamp: model.TimeFromUnixNano(at(float64(10 * i)).UnixNano()), Value: model.SampleValue(value),
			})
		}
		return model.Matrix{stream}
	}
	return served(t, func(request *http.Request) model.Value {
		if strings.HasPrefix(request.FormValue("query"), "scrape_duration_seconds") {
			return series("scrape_duration_seconds", durations)
		}
		return series("up", ups)
	})
}

// A scrape of the control page counts as a stall from controlInterval on.
func TestMachine(t *testing.T) {
	machine := &Machine{}
	machine.add(period{at(0), at(0.02)})
	assert.Zero(t, machine.Stalled(at(-10), at(10)))
	machine.add(period{at(1), at(3)})
	machine.add(period{at(4), at(5)})
	assert.Equal(t, 3*time.Second, machine.Stalled(at(0), at(10)))
	assert.Equal(t, 1500*time.Millisecond, machine.Stalled(at(2), at(4.5)))
	assert.Zero(t, machine.Stalled(at(5), at(10)))
}

func TestMachineThatStallsBetweenTwoScrapes(t *testing.T) {
	assert.Equal(t, at(10.3), due(at(10), at(10.3)), "the ticker is early")
	assert.Equal(t, at(10.5), due(at(10), at(25)))
}

// The control page can be scraped, and is as large as it has to be to notice a stall.
func TestControlPage(t *testing.T) {
	control := httptest.NewServer(controlHandler())
	defer control.Close()
	require.NoError(t, scrapeControl(context.Background(), control.Client(), control.URL))
	assert.Greater(t, len(controlPage()), 1<<20)
}
