package e2e

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	prometheusv1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/util/sets"
	"sigs.k8s.io/yaml"
)

// prometheusServer is a real Prometheus that looks at one KSMScale.
type prometheusServer struct {
	prometheusv1.API
	name string
	// everyPod tells whether each pod is a target, and not each Service.
	everyPod bool
	// ruleFiles are the rules that we ship and it has.
	ruleFiles []string
	// complete is since when it has had all objects.
	complete time.Time
	// forgiven is the scrape that may have failed, since a pod ended in the middle of it; zero if there is none.
	forgiven time.Time
}

// vector is the present value of an expression.
func (s *prometheusServer) vector(t *testing.T, expression string) model.Vector {
	t.Helper()
	vector, err := s.query(t.Context(), expression)
	require.NoError(t, err)
	return vector
}

func (s *prometheusServer) query(ctx context.Context, expression string) (model.Vector, error) {
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

// await waits until an expression has one value, and that is the one given.
func (s *prometheusServer) await(t *testing.T, expression string, wanted int) {
	t.Helper()
	await(t, s.name+": "+expression, func(ctx context.Context) error {
		vector, err := s.query(ctx, expression)
		if err != nil {
			return err
		}
		if len(vector) != 1 || int(vector[0].Value) != wanted {
			return fmt.Errorf("it is %v, not %d", vector, wanted)
		}
		return nil
	})
}

// awaitEvaluations waits until the rules have been evaluated twice more.
func (s *prometheusServer) awaitEvaluations(t *testing.T) {
	t.Helper()
	const count = "count_over_time(test:twice[1h])"
	before := s.vector(t, count)
	require.Len(t, before, 1)
	await(t, "two evaluations", func(ctx context.Context) error {
		now, err := s.query(ctx, count)
		if err != nil {
			return err
		}
		if len(now) != 1 || now[0].Value < before[0].Value+2 {
			return fmt.Errorf("there were %v, and are %v", before, now)
		}
		return nil
	})
}

// assertConstant asserts that there have always been all objects, and none of them twice: as it was recorded at each
// evaluation, and as a graph shows it now.
func (s *prometheusServer) assertConstant(t *testing.T, objects string, wanted int) {
	t.Helper()
	count, failed := s.scrapes(t, s.complete)
	t.Logf("%d scrapes, of which %d failed", count, len(failed))
	evaluations := 0
	for expression, wanted := range map[string]int{"test:pods": wanted, "test:twice": 0} {
		value, _, err := s.Query(t.Context(), expression+"[1h]", time.Time{})
		require.NoError(t, err)
		for _, sample := range only(t, value).Values {
			at := sample.Timestamp.Time()
			if at.After(s.complete) && !s.isForgiven(at) {
				evaluations++
				assert.EqualValues(t, wanted, sample.Value, "%s at %s", expression, at)
			}
		}
	}
	assert.Positive(t, evaluations)
	steps := prometheusv1.Range{Start: s.complete, End: time.Now(), Step: tenths}
	value, _, err := s.QueryRange(t.Context(), fmt.Sprintf("count(kube_pod_info{namespace=%q}) or vector(0)", objects), steps)
	require.NoError(t, err)
	samples := only(t, value).Values
	for _, sample := range samples {
		if at := sample.Timestamp.Time(); !s.isForgiven(at) {
			assert.EqualValues(t, wanted, sample.Value, "in retrospect at %s", at)
		}
	}
	t.Logf("%d evaluations, and %d moments in retrospect", evaluations/2, len(samples))
}

// forgiveOne has the Prometheus miss what it would have got from the one scrape that may have failed since a time: that in
// which its pod ended. With every pod as a target another one answers.
func (s *prometheusServer) forgiveOne(t *testing.T, since time.Time) {
	t.Helper()
	if s.everyPod {
		return
	}
	count, failed := s.scrapes(t, since)
	t.Logf("%s: %d scrapes while pods died, of which %d failed", s.name, count, len(failed))
	assert.LessOrEqual(t, len(failed), 1, s.name)
	if len(failed) > 0 {
		s.forgiven = failed[0]
	}
}

// isForgiven tells whether the scrape after the one that failed has not come yet, or may not be over.
func (s *prometheusServer) isForgiven(at time.Time) bool {
	return !s.forgiven.IsZero() && !at.Before(s.forgiven) && at.Before(s.forgiven.Add(2*prometheusInterval))
}

// scrapes tells how many scrapes of objects there were since a time, and when one failed.
func (s *prometheusServer) scrapes(t *testing.T, since time.Time) (count int, failed []time.Time) {
	t.Helper()
	value, _, err := s.Query(t.Context(), `up{job="kube-state-metrics"}[1h]`, time.Time{})
	require.NoError(t, err)
	targets, ok := value.(model.Matrix)
	require.True(t, ok)
	for _, target := range targets {
		for _, sample := range target.Values {
			at := sample.Timestamp.Time()
			if at.Before(since) {
				continue
			}
			count++
			if sample.Value == 0 {
				failed = append(failed, at)
			}
		}
	}
	return count, failed
}

// only is the only series of a value.
func only(t *testing.T, value model.Value) *model.SampleStream {
	t.Helper()
	matrix, ok := value.(model.Matrix)
	require.True(t, ok)
	require.Len(t, matrix, 1)
	return matrix[0]
}

// assertRules asserts that all rules that we ship are there and have been evaluated without an error.
func (s *prometheusServer) assertRules(t *testing.T) {
	t.Helper()
	wanted := sets.New[string]()
	for _, name := range s.ruleFiles {
		data, err := os.ReadFile(shippedFile(name))
		require.NoError(t, err)
		var file struct {
			Groups []struct {
				Name  string                           `json:"name"`
				Rules []struct{ Record, Alert string } `json:"rules"`
			} `json:"groups"`
		}
		require.NoError(t, yaml.Unmarshal(data, &file))
		for _, group := range file.Groups {
			for _, rule := range group.Rules {
				wanted.Insert(group.Name + "/" + rule.Record + rule.Alert)
			}
		}
	}
	result, err := s.Rules(t.Context(), nil)
	require.NoError(t, err)
	for _, group := range result.Groups {
		for _, rule := range group.Rules {
			switch rule := rule.(type) {
			case prometheusv1.RecordingRule:
				assert.EqualValues(t, prometheusv1.RuleHealthGood, rule.Health, "%s: %s", rule.Name, rule.LastError)
				wanted.Delete(group.Name + "/" + rule.Name)
			case prometheusv1.AlertingRule:
				assert.EqualValues(t, prometheusv1.RuleHealthGood, rule.Health, "%s: %s", rule.Name, rule.LastError)
				wanted.Delete(group.Name + "/" + rule.Name)
			}
		}
	}
	assert.Empty(t, wanted.UnsortedList(), "rules are missing")
}
