package server

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/prometheus/client_golang/api"
	prometheusv1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A gap lasts from the first step without a pod until the first one with it. Pods of one shard have theirs together.
func TestGaps(t *testing.T) {
	since := time.Now().Add(-time.Minute).Truncate(time.Millisecond)
	for name, test := range map[string]struct {
		// missing are the steps that pods lack, by their names; -1 is the last step.
		missing map[model.LabelValue][]int
		wanted  []Gap
	}{
		"none": {missing: map[model.LabelValue][]int{"a": nil, "b": nil}},
		"two pods together": {
			missing: map[model.LabelValue][]int{"a": {10, 11, 12}, "b": {10, 11, 12}, "c": nil},
			wanted:  []Gap{{From: since.Add(10 * gapStep), To: since.Add(13 * gapStep), Pods: 2}},
		},
		"one after the other": {
			missing: map[model.LabelValue][]int{"a": {10, 11, 12}, "b": {12, 13}},
			wanted: []Gap{
				{From: since.Add(10 * gapStep), To: since.Add(13 * gapStep), Pods: 1},
				{From: since.Add(12 * gapStep), To: since.Add(14 * gapStep), Pods: 1},
			},
		},
		"the same pod twice": {
			missing: map[model.LabelValue][]int{"a": {3, 20}},
			wanted: []Gap{
				{From: since.Add(3 * gapStep), To: since.Add(4 * gapStep), Pods: 1},
				{From: since.Add(20 * gapStep), To: since.Add(21 * gapStep), Pods: 1},
			},
		},
		"at the beginning": {
			missing: map[model.LabelValue][]int{"a": {0, 1}},
			wanted:  []Gap{{From: since, To: since.Add(2 * gapStep), Pods: 1}},
		},
		"until the end": {
			missing: map[model.LabelValue][]int{"a": {-2, -1}},
			wanted:  []Gap{{From: since.Add(59 * gapStep), To: since.Add(61 * gapStep), Pods: 1}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			prometheus := Server{API: graphed(t, test.missing)}
			// The steps end now, so the first one is at most a step after the beginning.
			gaps := prometheus.Gaps(t, since)
			require.Len(t, gaps, len(test.wanted))
			for i, wanted := range test.wanted {
				assert.WithinDuration(t, wanted.From, gaps[i].From, gapStep)
				assert.Equal(t, wanted.To.Sub(wanted.From), gaps[i].To.Sub(gaps[i].From))
				assert.Equal(t, wanted.Pods, gaps[i].Pods)
				assert.NotEmpty(t, gaps[i].Example)
			}
		})
	}
}

// A gap that began just after a step is seen at the next one, and looks in between lack the pods already.
func TestGapSpans(t *testing.T) {
	gap := Gap{From: at(10), To: at(12)}
	for seconds, wanted := range map[float64]bool{8.9: false, 9.1: true, 10: true, 11.9: true, 13.9: true, 14.1: false} {
		assert.Equal(t, wanted, gap.Spans(at(seconds), 2*time.Second), "%g s", seconds)
	}
}

// graphed is the API of a Prometheus whose graphs lack steps of pods, by their names.
func graphed(t *testing.T, missing map[model.LabelValue][]int) prometheusv1.API {
	t.Helper()
	return served(t, func(request *http.Request) model.Value {
		var first, last, step model.Time
		for field, into := range map[string]*model.Time{"start": &first, "end": &last, "step": &step} {
			assert.NoError(t, into.UnmarshalJSON([]byte(request.FormValue(field))))
		}
		var matrix model.Matrix
		for name, steps := range missing {
			lacks := map[int]bool{}
			for _, one := range steps {
				lacks[one] = true
			}
			pod := &model.SampleStream{Metric: model.Metric{"pod": name}}
			count := int((last-first)/step) + 1
			for i := range count {
				if !lacks[i] && !lacks[i-count] {
					pod.Values = append(pod.Values, model.SamplePair{Timestamp: first + model.Time(i)*step, Value: 1})
				}
			}
			matrix = append(matrix, pod)
		}
		return matrix
	})
}

// Evaluations are those after a time.
func TestEvaluations(t *testing.T) {
	recorded := map[string][]model.SampleValue{"test:pods" + History: {7, 10, 9}, "test:twice" + History: {1, 0, 2}}
	prometheus := Server{API: served(t, func(request *http.Request) model.Value {
		stream := &model.SampleStream{Metric: model.Metric{}}
		for i, value := range recorded[request.FormValue("query")] {
			stream.Values = append(stream.Values, model.SamplePair{Timestamp: model.TimeFromUnixNano(at(float64(2 * i)).UnixNano()), Value: value})
		}
		return model.Matrix{stream}
	})}
	assert.ElementsMatch(t, []Look{
		{At: at(2), What: "test:pods", Value: 10, Wanted: 10}, {At: at(4), What: "test:pods", Value: 9, Wanted: 10},
		{At: at(2), What: "test:twice", Value: 0}, {At: at(4), What: "test:twice", Value: 2},
	}, prometheus.Evaluations(t, at(1), 10))
}

// served is the API of a Prometheus that answers queries.
func served(t *testing.T, answer func(*http.Request) model.Value) prometheusv1.API {
	t.Helper()
	listening := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		result := answer(request)
		assert.NoError(t, json.NewEncoder(w).Encode(map[string]any{
			"status": "success", "data": map[string]any{"resultType": result.Type().String(), "result": result},
		}))
	}))
	t.Cleanup(listening.Close)
	connection, err := api.NewClient(api.Config{Address: listening.URL})
	require.NoError(t, err)
	return prometheusv1.NewAPI(connection)
}
