package status

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/sets"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/controller/fixtures"
	"github.com/example/ksmscale/controller/observation"
)

func TestMonitoringCondition(t *testing.T) {
	all := []string{fixtures.ScrapeConfigKind, fixtures.ServiceMonitorKind, fixtures.RuleKind}
	for _, test := range []struct {
		name      string
		config    v1alpha1.MonitoringConfig
		installed []string
		err       error
		status    metav1.ConditionStatus
		reason    string
		message   string
	}{
		{"unset and installed", v1alpha1.MonitoringConfig{}, all, nil, metav1.ConditionTrue, v1alpha1.ReasonCreated, "Created ScrapeConfig ksm-main in namespace monitoring"},
		{"unset and not installed", v1alpha1.MonitoringConfig{}, nil, nil, metav1.ConditionTrue, v1alpha1.ReasonOperatorNotInstalled, "scrapeconfigs.monitoring.coreos.com is not installed"},
		{"asked for and not installed", v1alpha1.MonitoringConfig{Type: v1alpha1.MonitoringServiceMonitor}, []string{fixtures.ScrapeConfigKind}, nil, metav1.ConditionFalse, v1alpha1.ReasonCRDNotInstalled, "servicemonitors.monitoring.coreos.com is not installed"},
		{"rules not installed", v1alpha1.MonitoringConfig{Rules: true}, []string{fixtures.ScrapeConfigKind}, nil, metav1.ConditionFalse, v1alpha1.ReasonCRDNotInstalled, "prometheusrules.monitoring.coreos.com is not installed"},
		{"none", v1alpha1.MonitoringConfig{Type: v1alpha1.MonitoringNone}, all, nil, metav1.ConditionTrue, v1alpha1.ReasonDisabled, "None"},
		{"rules only", v1alpha1.MonitoringConfig{Type: v1alpha1.MonitoringNone, Rules: true}, all, nil, metav1.ConditionTrue, v1alpha1.ReasonCreated, "Created PrometheusRule ksm-main"},
		{"not ours", v1alpha1.MonitoringConfig{}, all, NotOwnedError{"ScrapeConfig", "ksm-main"}, metav1.ConditionFalse, v1alpha1.ReasonNotOwned, "does not belong to this KSMScale"},
		{"forbidden", v1alpha1.MonitoringConfig{}, all, apierrors.NewForbidden(schema.GroupResource{}, "ksm-main", errors.New("no")), metav1.ConditionFalse, v1alpha1.ReasonForbidden, "no"},
	} {
		t.Run(test.name, func(t *testing.T) {
			ksmScale := fixtures.MonitoredBy(test.config)
			in := conditionInput{Input: Input{KSMScale: ksmScale, Failures: Failures{Monitoring: test.err}, Snapshot: observation.Snapshot{Monitoring: observation.Monitoring{
				Known: true, Installed: sets.New(test.installed...), Rules: observation.RuleOwnerOf([]v1alpha1.KSMScale{*ksmScale}),
			}}}}
			got := monitoringCondition(in)
			assert.Equal(t, string(test.status)+" "+test.reason, string(got.Status)+" "+got.Reason)
			assert.Contains(t, got.Message, test.message)
		})
	}
}

func TestMonitoringConditionNamesTheRulesThatStay(t *testing.T) {
	rule := func(owner *v1alpha1.KSMScale) metav1.PartialObjectMetadata {
		return metav1.PartialObjectMetadata{TypeMeta: metav1.TypeMeta{Kind: fixtures.RuleKind}, ObjectMeta: metav1.ObjectMeta{
			Name: "ksm-" + owner.Name, Labels: map[string]string{v1alpha1.LabelKSMScale: owner.Name},
			OwnerReferences: []metav1.OwnerReference{{UID: owner.UID, Controller: new(true)}},
		}}
	}
	ksmScale := fixtures.MonitoredBy(v1alpha1.MonitoringConfig{Type: v1alpha1.MonitoringNone, Rules: true})
	first := fixtures.KSMScale(func(k *v1alpha1.KSMScale) { k.Name, k.UID = "first", "first" })
	const hers, stays = "; KSMScale first has the rules of all KSMScales", "; PrometheusRule ksm-main stays until KSMScale first has the rules of all KSMScales"
	for name, test := range map[string]struct {
		rules   []metav1.PartialObjectMetadata
		message string
	}{
		"no rules yet":   {nil, hers},
		"only its own":   {[]metav1.PartialObjectMetadata{rule(ksmScale)}, stays},
		"both":           {[]metav1.PartialObjectMetadata{rule(ksmScale), rule(first)}, hers},
		"only the first": {[]metav1.PartialObjectMetadata{rule(first)}, hers},
	} {
		t.Run(name, func(t *testing.T) {
			monitoring := observation.Monitoring{
				Known: true, Installed: sets.New(fixtures.RuleKind), Objects: map[observation.MonitorKey]metav1.PartialObjectMetadata{},
				Rules: observation.RuleOwner{KSMScale: first.Name},
			}
			for _, object := range test.rules {
				monitoring.Objects[observation.MonitorKey{Kind: object.Kind, ObjectKey: client.ObjectKeyFromObject(&object)}] = object
			}
			got := monitoringCondition(conditionInput{Input: Input{KSMScale: ksmScale, Snapshot: observation.Snapshot{Monitoring: monitoring}}})
			assert.Equal(t, "spec.monitoring.type is None"+test.message, got.Message)
		})
	}
}

func TestMonitoringConditionTellsOfAMissingToken(t *testing.T) {
	credentials := v1alpha1.ScrapeAuthorization{Credentials: v1alpha1.KeySelector{Name: "reader", Key: "token"}}
	for name, test := range map[string]struct {
		config v1alpha1.MonitoringConfig
		filter bool
		told   bool
	}{
		"no token":        {filter: true, told: true},
		"a token":         {config: v1alpha1.MonitoringConfig{Authorization: credentials}, filter: true},
		"no filter":       {},
		"nothing is made": {config: v1alpha1.MonitoringConfig{Type: v1alpha1.MonitoringNone}, filter: true},
	} {
		t.Run(name, func(t *testing.T) {
			ksmScale := fixtures.MonitoredBy(test.config)
			ksmScale.Spec.Metrics.AuthFilter = test.filter
			got := monitoringCondition(conditionInput{Input: Input{KSMScale: ksmScale, Snapshot: observation.Snapshot{Monitoring: observation.Monitoring{Known: true, Installed: sets.New(fixtures.ScrapeConfigKind)}}}})
			assert.Equal(t, metav1.ConditionTrue, got.Status)
			assert.Equal(t, test.told, strings.Contains(got.Message, "; Prometheus gets no token for spec.metrics.authFilter"), got.Message)
		})
	}
}

// What nobody has looked for yet changes no condition.
func TestMonitoringIsUnknownAtFirst(t *testing.T) {
	assert.Nil(t, meta.FindStatusCondition(newWorld().status().Conditions, v1alpha1.ConditionMonitoring))
	missing := newWorld(func(w *world) {
		w.ksmScale.Spec.Monitoring.Type = v1alpha1.MonitoringScrapeConfig
		w.observed.Monitoring = observation.Monitoring{Known: true, Installed: sets.New[string]()}
	}).status()
	ready := meta.FindStatusCondition(missing.Conditions, v1alpha1.ConditionReady)
	assert.Equal(t, v1alpha1.ReasonCRDNotInstalled, ready.Reason)
}
