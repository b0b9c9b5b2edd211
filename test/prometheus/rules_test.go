package prometheus

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/util/sets"
	"sigs.k8s.io/yaml"
)

const (
	runbookURL = "https://github.com/example/ksmscale/blob/main/docs/runbook.md#"
	docs       = "../../docs"
)

type rule struct {
	Record, Alert, Expr string
	Labels, Annotations map[string]string
}

type groups struct {
	Groups []struct {
		Name  string
		Rules []rule
	}
}

func read(t *testing.T, file string, into any) {
	t.Helper()
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	require.NoError(t, yaml.Unmarshal(data, into))
}

func alerts(t *testing.T) map[string]rule {
	t.Helper()
	byName := map[string]rule{}
	for _, file := range []string{"rules.yaml", "recommendations.yaml"} {
		var all groups
		read(t, filepath.Join(shipped, file), &all)
		for _, group := range all.Groups {
			for _, one := range group.Rules {
				if one.Alert != "" {
					byName[one.Alert] = one
				}
			}
		}
	}
	return byName
}

func TestAlertsAreDocumented(t *testing.T) {
	runbook, err := os.ReadFile(filepath.Join(docs, "runbook.md"))
	require.NoError(t, err)
	sections := sets.New[string]()
	for line := range strings.Lines(string(runbook)) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "## KSM"); ok {
			sections.Insert("KSM" + name)
		}
	}
	all := alerts(t)
	assert.Equal(t, sets.KeySet(all), sections)
	for name, alert := range all {
		assert.True(t, strings.HasPrefix(name, "KSM"), name)
		assert.Contains(t, []string{"critical", "warning"}, alert.Labels["severity"], name)
		assert.NotEmpty(t, alert.Annotations["summary"], name)
		assert.NotEmpty(t, alert.Annotations["description"], name)
		assert.Equal(t, runbookURL+strings.ToLower(name), alert.Annotations["runbook_url"], name)
	}
}

// promtool sees whether the cases are right, and this that there are any.
func TestAlertsAreTested(t *testing.T) {
	var cases struct {
		Tests []struct {
			Alerts []struct {
				Name     string `json:"alertname"`
				Expected []any  `json:"exp_alerts"`
			} `json:"alert_rule_test"`
		}
	}
	read(t, "rules_test.yaml", &cases)
	fires, doesNot := sets.New[string](), sets.New[string]()
	for _, test := range cases.Tests {
		for _, alert := range test.Alerts {
			if len(alert.Expected) > 0 {
				fires.Insert(alert.Name)
			} else {
				doesNot.Insert(alert.Name)
			}
		}
	}
	all := sets.KeySet(alerts(t))
	assert.Equal(t, all, fires)
	assert.Equal(t, all, doesNot)
}

func TestRulesOfTheOperatorAreTheSame(t *testing.T) {
	var plain groups
	var custom struct {
		APIVersion, Kind string
		Spec             groups
	}
	read(t, filepath.Join(shipped, "rules.yaml"), &plain)
	read(t, filepath.Join(shipped, "prometheusrule.yaml"), &custom)
	assert.Equal(t, "monitoring.coreos.com/v1 PrometheusRule", custom.APIVersion+" "+custom.Kind)
	assert.Equal(t, plain, custom.Spec)
}
