package e2e

import (
	"os"
	"testing"
	"time"

	prometheusv1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/util/sets"
	"sigs.k8s.io/yaml"

	"github.com/example/ksmscale/test/prometheus/server"
)

// prometheusServer is a real Prometheus that looks at one KSMScale.
type prometheusServer struct {
	server.Server
	// everyPod tells whether each pod is a target, and not each Service.
	everyPod bool
	// ruleFiles are the rules that we ship and it has.
	ruleFiles []string
	// complete is since when it has had all objects.
	complete time.Time
	// forgiven is the scrape that may have failed, since a pod ended in the middle of it; zero if there is none.
	forgiven time.Time
}

// assertConstant asserts that there have always been all objects, and none of them twice, and that a Service that has led
// to a ready pod has led to one ever since.
func (s *prometheusServer) assertConstant(t *testing.T, wanted int) {
	t.Helper()
	scrapes := s.scrapes(t, s.complete)
	t.Logf("%d scrapes, of which %d failed", scrapes.count, len(scrapes.failed))
	for _, at := range scrapes.lost {
		// Of a pod itself the last scrape may fail.
		assert.True(t, s.everyPod || at.Equal(s.forgiven), "a scrape of a Service failed at %s, and those before had not", at)
	}
	s.AssertConstant(t, s.complete, wanted, s.isForgiven)
}

// forgiveOne has the Prometheus miss what it would have got from the one scrape that may have failed since a time: that in
// which its pod ended. With every pod as a target another one answers.
func (s *prometheusServer) forgiveOne(t *testing.T, since time.Time) {
	t.Helper()
	if s.everyPod {
		return
	}
	scrapes := s.scrapes(t, since)
	t.Logf("%s: %d scrapes while pods died, of which %d failed", s.Name, scrapes.count, len(scrapes.failed))
	assert.LessOrEqual(t, len(scrapes.failed), 1, s.Name)
	if len(scrapes.failed) > 0 {
		s.forgiven = scrapes.failed[0]
	}
}

// isForgiven tells whether the scrape after the one that failed has not come yet, or may not be over.
func (s *prometheusServer) isForgiven(at time.Time) bool {
	return !s.forgiven.IsZero() && !at.Before(s.forgiven) && at.Before(s.forgiven.Add(2*server.Interval))
}

// scrapes are how many of objects there were, and when one failed: of any target, and of one that had been scraped before.
type scrapes struct {
	count        int
	failed, lost []time.Time
}

// scrapes are those since a time.
func (s *prometheusServer) scrapes(t *testing.T, since time.Time) scrapes {
	t.Helper()
	value, _, err := s.Query(t.Context(), `up{job="kube-state-metrics"}[1h]`, time.Time{})
	require.NoError(t, err)
	targets, ok := value.(model.Matrix)
	require.True(t, ok)
	var all scrapes
	for _, target := range targets {
		var answered bool
		for _, sample := range target.Values {
			at := sample.Timestamp.Time()
			if at.Before(since) {
				continue
			}
			all.count++
			if sample.Value == 0 {
				all.failed = append(all.failed, at)
			}
			if sample.Value == 0 && answered {
				all.lost = append(all.lost, at)
			}
			answered = answered || sample.Value == 1
		}
	}
	return all
}

// assertRules asserts that all rules that we ship are there and have been evaluated without an error.
func (s *prometheusServer) assertRules(t *testing.T) {
	t.Helper()
	wanted := sets.New[string]()
	for _, name := range s.ruleFiles {
		data, err := os.ReadFile(server.Shipped(t, name))
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
