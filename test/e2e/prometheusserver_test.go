package e2e

import (
	"os"
	"slices"
	"testing"
	"time"

	prometheusv1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/util/sets"
	"sigs.k8s.io/yaml"

	"github.com/example/ksmscale/test/prometheus/server"
)

// prometheusInterval is the time between two scrapes of a target, and the timeout of a scrape. Users have such values. It
// is longer than a machine of two cores stalls while pods start.
const prometheusInterval = 10 * time.Second

// prometheusServer is a real Prometheus that looks at one KSMScale.
type prometheusServer struct {
	server.Server
	// ruleFiles are the rules that we ship and it has.
	ruleFiles []string
	// complete is since when it has had all objects.
	complete time.Time
	// forgiven are the scrapes that may have failed because a pod died.
	forgiven []server.Scrape
}

// newServer is one that scrapes every prometheusInterval.
func newServer(api prometheusv1.API, name, selector string, everyPod bool) server.Server {
	return server.Server{API: api, Name: name, Selector: selector, EveryPod: everyPod, Interval: prometheusInterval, Timeout: waitTimeout}
}

// assertConstant asserts that all objects have always existed exactly once, and that a Service with a ready pod has always
// led to one since.
func (s *prometheusServer) assertConstant(t *testing.T, wanted int) {
	t.Helper()
	for _, scrape := range s.Scrapes(t, s.complete).Failed {
		// For a pod as a target, the last scrape may fail.
		isForgiven := slices.ContainsFunc(s.forgiven, func(forgiven server.Scrape) bool { return scrape.At.Equal(forgiven.At) })
		assert.True(t, s.EveryPod || !scrape.Lost || isForgiven, "a scrape of a Service failed, and those before had not: %s", scrape)
	}
	s.AssertConstant(t, s.complete, wanted, func(at time.Time) bool {
		return slices.ContainsFunc(s.forgiven, func(forgiven server.Scrape) bool { return s.Misses(forgiven, at) })
	})
}

// forgive ignores the loss of scrapes since a time, at most one for each death of a pod: the scrape during which the pod died, or one before
// the Service no longer led to it. With every pod as a target, another one answers.
func (s *prometheusServer) forgive(t *testing.T, since time.Time, deaths int) {
	t.Helper()
	if s.EveryPod {
		return
	}
	scrapes := s.Scrapes(t, since)
	t.Logf("%s: %d scrapes while pods died, of which %d failed", s.Name, scrapes.Count, len(scrapes.Failed))
	assert.LessOrEqual(t, len(scrapes.Failed), deaths, s.Name)
	for index, failed := range scrapes.Failed {
		sameDeath := func(other server.Scrape) bool {
			return other.Instance == failed.Instance && failed.At.Sub(other.At) < 3*s.Interval/2
		}
		assert.False(t, slices.ContainsFunc(scrapes.Failed[:index], sameDeath), "%s: %s is the second one in a row", s.Name, failed)
	}
	s.forgiven = scrapes.Failed
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
