package e2e

import (
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	prometheusv1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/test/panels"
)

// updateDashboard makes TestPrometheus save what the panels of the dashboard show of it, for docs/dashboard.svg.
var updateDashboard = flag.Bool("update-dashboard", false, "write "+dashboardRun)

const (
	dashboardRun = "test/pictures/run/run.json"
	// drawnSamples is how many samples a line of the picture has.
	drawnSamples = 60
	// drawnDigits are the digits of a value in the picture.
	drawnDigits = 4
	rateRange   = time.Minute
)

// assertDashboard asserts that each query of the Grafana dashboard returns data for a KSMScale. A gate reads the size of
// its shard up to 30 s after it has opened, so the first value of a query may take a moment.
func (s *prometheusServer) assertDashboard(t *testing.T, ksmScale *v1alpha1.KSMScale, since time.Time) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(shared.root, "deploy", "grafana", "ksmscale.json"))
	require.NoError(t, err)
	rows, err := panels.Read(text)
	require.NoError(t, err)
	values := panels.Variables{Namespace: monitoringNamespace, KSMScale: ksmScale.Name, RateInterval: rateRange.String()}
	count := 0
	for _, row := range rows {
		for _, panel := range row.Panels {
			for _, query := range panel.Queries {
				s.AwaitSome(t, values.Fill(query.Expression))
				count++
			}
		}
	}
	t.Logf("%d queries of the dashboard return data", count)
	if *updateDashboard {
		s.saveRun(t, rows, values, since)
	}
}

// saveRun writes what the panels show since a time. The KSMScale is called main there, because a test's name is random.
func (s *prometheusServer) saveRun(t *testing.T, rows []panels.Row, values panels.Variables, since time.Time) {
	t.Helper()
	steps := prometheusv1.Range{Start: since, End: time.Now()}
	steps.Step = steps.End.Sub(since) / drawnSamples
	run := panels.Run{Seconds: math.Round(steps.End.Sub(since).Seconds()), Panels: map[string][]panels.Series{}}
	for _, row := range rows {
		for _, panel := range row.Panels {
			for _, query := range panel.Queries {
				value, _, err := s.QueryRange(t.Context(), values.Fill(query.Expression), steps)
				require.NoError(t, err)
				matrix, ok := value.(model.Matrix)
				require.True(t, ok)
				for _, stream := range matrix {
					series := drawn(stream, query, since)
					series.Name = strings.ReplaceAll(series.Name, values.KSMScale, "main")
					run.Panels[panel.Title] = append(run.Panels[panel.Title], series)
				}
			}
		}
	}
	text, err := json.Marshal(run)
	require.NoError(t, err)
	// One line for each series, so that changes can be read.
	text = []byte(strings.ReplaceAll(string(text), `{"name"`, "\n"+`{"name"`) + "\n")
	require.NoError(t, os.WriteFile(filepath.Join(shared.root, dashboardRun), text, 0o600))
}

// drawn is a series with times since the beginning, and with few digits.
func drawn(stream *model.SampleStream, query panels.Query, since time.Time) panels.Series {
	labels := map[string]string{}
	for label, value := range stream.Metric {
		labels[string(label)] = string(value)
	}
	series := panels.Series{Name: query.Name(labels)}
	for _, sample := range stream.Values {
		if value := float64(sample.Value); !math.IsNaN(value) && !math.IsInf(value, 0) {
			series.Samples = append(series.Samples, [2]float64{
				math.Round(sample.Timestamp.Time().Sub(since).Seconds()), rounded(value),
			})
		}
	}
	return series
}

func rounded(value float64) float64 {
	short, err := strconv.ParseFloat(fmt.Sprintf("%.*g", drawnDigits, value), 64)
	if err != nil {
		return value
	}
	return short
}
