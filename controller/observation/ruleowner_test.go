package observation

import (
	"testing"

	"github.com/stretchr/testify/assert"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/controller/fixtures"
)

func TestOneKSMScaleHasTheRules(t *testing.T) {
	named := func(name string, config v1alpha1.MonitoringConfig) v1alpha1.KSMScale {
		owner := fixtures.MonitoredBy(config)
		owner.Name = name
		return *owner
	}
	asks := v1alpha1.MonitoringConfig{Rules: true}
	assert.Equal(t, RuleOwner{}, RuleOwnerOf([]v1alpha1.KSMScale{named("a", v1alpha1.MonitoringConfig{})}))
	assert.Equal(t, RuleOwner{KSMScale: "b", Deduplicate: true}, RuleOwnerOf([]v1alpha1.KSMScale{
		named("c", asks), named("b", asks), named("a", v1alpha1.MonitoringConfig{Type: v1alpha1.MonitoringServiceMonitor}),
	}))
}

// The rules of all KSMScales are those of the first that can have any.
func TestRulesOfKSMScalesThatCannotHaveThem(t *testing.T) {
	asking := func(name, progressing string) v1alpha1.KSMScale {
		return *fixtures.KSMScale(func(k *v1alpha1.KSMScale) {
			k.Name, k.Spec.Monitoring.Rules = name, true
			if progressing != "" {
				k.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionProgressing, Status: metav1.ConditionFalse, Reason: progressing}}
			}
		})
	}
	for _, test := range []struct {
		name, progressing, want string
	}{
		{"the first", v1alpha1.ReasonComplete, "a"},
		{"one that is new", "", "a"},
		{"one without a namespace", v1alpha1.ReasonNamespaceNotFound, "b"},
		{"one whose namespace is being deleted", v1alpha1.ReasonNamespaceTerminating, "b"},
	} {
		assert.Equal(t, test.want, RuleOwnerOf([]v1alpha1.KSMScale{asking("b", ""), asking("a", test.progressing)}).KSMScale, test.name)
	}
	assert.Empty(t, RuleOwnerOf([]v1alpha1.KSMScale{asking("a", v1alpha1.ReasonNamespaceNotFound)}).KSMScale)
}
