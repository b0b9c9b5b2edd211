package status

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/controller/fixtures"
	"github.com/example/ksmscale/controller/observation"
)

func TestBugsOf(t *testing.T) {
	for running, desired := range map[string][]string{
		"v1.9.8": {"#3065", "#3003"}, "v2.10.1": {"#3065", "#3003"}, "2.18.0": {"#3065", "#3003"},
		"v2.19.0": {"#3065", "#3003", "#2973"}, "v2.19.1": {"#3065", "#3003"},
		"v2.20.0": nil, "v2.20.0-rc.0": nil, "v2.20.0+fips": nil, "v2.21.3": nil, "v3.0.0": nil,
	} {
		bugs, err := bugsOf(running)
		require.NoError(t, err, running)
		require.Len(t, bugs, len(desired), running)
		for i, bug := range bugs {
			assert.Contains(t, bug, desired[i], running)
		}
	}
	for _, running := range []string{"", "unknown", "main-3f2a"} {
		_, err := bugsOf(running)
		assert.Error(t, err, running)
	}
}

func TestVersionSupported(t *testing.T) {
	run := func(all bool, versions ...string) func(*world) {
		return func(w *world) { w.observed.Versions = observation.RunningVersions{Known: versions, Silent: !all} }
	}
	tag := func(tag string) func(*world) {
		return func(w *world) { w.ksmScale.Spec.MonitorImage = "example.com/kube-state-metrics:" + tag }
	}
	unsharded := func(w *world) { w.ksmScale.Spec.Sharding = nil }
	for _, test := range []struct {
		name            string
		overrides       []func(*world)
		status          metav1.ConditionStatus
		reason, message string
	}{
		{"of all", []func(*world){run(true, "v2.20.0")}, metav1.ConditionTrue, v1alpha1.ReasonNoKnownBugs, "v2.20.0 has no known bugs"},
		{"with bugs", []func(*world){run(true, "v2.10.1", "v2.20.0")}, metav1.ConditionFalse, v1alpha1.ReasonKnownBugs, "kube-state-metrics v2.10.1 has known bugs in sharding (a shard that lists again"},
		{"with bugs, of which the oldest", []func(*world){run(true, "v2.10.1", "v2.9.2")}, metav1.ConditionFalse, v1alpha1.ReasonKnownBugs, "kube-state-metrics v2.9.2 has known bugs"},
		{"with bugs, and the fix", []func(*world){run(false, "v2.10.1")}, metav1.ConditionFalse, v1alpha1.ReasonKnownBugs, "set spec.monitorImage to v2.20.0 or newer"},
		{"not of all", []func(*world){run(false, "v2.20.0")}, metav1.ConditionTrue, v1alpha1.ReasonNoKnownBugs, "by the tag of spec.monitorImage, because the controller has not read"},
		{"of none", []func(*world){run(true)}, metav1.ConditionTrue, v1alpha1.ReasonNoKnownBugs, "v2.20.0 has no known bugs in sharding. This is by the tag"},
		{"of none, with bugs by the tag", []func(*world){run(true), tag("v2.18.0")}, metav1.ConditionFalse, v1alpha1.ReasonKnownBugs, "kube-state-metrics v2.18.0 has known bugs"},
		{"of none, not even by the tag", []func(*world){run(true), tag("main")}, metav1.ConditionUnknown, v1alpha1.ReasonVersionUnknown, "port 8081"},
		{"no version", []func(*world){run(true, "main", "v2.20.0")}, metav1.ConditionUnknown, v1alpha1.ReasonVersionUnknown, `"main"`},
		{"no version, and bugs", []func(*world){run(true, "main", "v2.10.1")}, metav1.ConditionFalse, v1alpha1.ReasonKnownBugs, "v2.10.1"},
		{"behind a filter", []func(*world){run(true), func(w *world) { w.ksmScale.Spec.Metrics.AuthFilter = true }}, metav1.ConditionTrue, v1alpha1.ReasonNoKnownBugs, "spec.metrics.authFilter is true"},
		{"with TLS", []func(*world){run(true), func(w *world) { w.ksmScale.Spec.Metrics.TLS = v1alpha1.TLSConfig{SecretName: "a"} }}, metav1.ConditionTrue, v1alpha1.ReasonNoKnownBugs, "spec.metrics.tls is set"},
		{"with TLS, and not even by the tag", []func(*world){tag("main"), func(w *world) { w.ksmScale.Spec.Metrics.TLS = v1alpha1.TLSConfig{SecretName: "a"} }}, metav1.ConditionUnknown, v1alpha1.ReasonVersionUnknown, "make sure that it is v2.20.0 or newer"},
		{"without sharding", []func(*world){run(true, "v2.10.1"), unsharded}, metav1.ConditionTrue, v1alpha1.ReasonNoKnownBugs, "one shard"},
	} {
		t.Run(test.name, func(t *testing.T) {
			status := newWorld(test.overrides...).status()
			condition := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionVersionSupported)
			require.NotNil(t, condition)
			assert.Equal(t, test.status, condition.Status)
			assert.Equal(t, test.reason, condition.Reason)
			assert.Contains(t, condition.Message, test.message)
			if len(test.overrides) == 1 {
				assert.True(t, meta.IsStatusConditionTrue(status.Conditions, v1alpha1.ConditionReady), "it is a warning")
			}
		})
	}
}

func TestResourcesThatKubeStateMetricsDoesNotKnow(t *testing.T) {
	gateways := func(image string) func(*world) {
		return func(w *world) {
			w.ksmScale.Spec.Metrics.Resources, w.ksmScale.Spec.MonitorImage = []string{"pods", "gateways"}, image
		}
	}
	of := func(w world, conditionType string) metav1.Condition {
		return *meta.FindStatusCondition(w.status().Conditions, conditionType)
	}
	for _, image := range []string{fixtures.Image, "example.com/kube-state-metrics:main"} {
		condition := of(newWorld(gateways(image)), v1alpha1.ConditionVersionSupported)
		assert.Equal(t, "False UnknownResources", string(condition.Status)+" "+condition.Reason)
		assert.Contains(t, condition.Message, "does not know resource gateways and does not start with it: remove it from spec.metrics.resources")
	}
	newer := of(newWorld(gateways("example.com/kube-state-metrics:v2.21.0")), v1alpha1.ConditionVersionSupported)
	assert.NotEqual(t, v1alpha1.ReasonUnknownResources, newer.Reason, "it may know them")

	crashing := newWorld(gateways(fixtures.Image), func(w *world) { w.observed.Pods[0] = fixtures.Pod(0, "a", fixtures.BackingOff(3)) })
	assert.Regexp(t, "^kube-state-metrics up to v2.20.0 does not know resource gateways .*; Container kube-state-metrics of pod", of(crashing, v1alpha1.ConditionProgressing).Message)
}

// While it is asked for the first time, as by a controller that has become the leader, what was said before stays.
func TestVersionSupportedStaysUntilAskedAnew(t *testing.T) {
	before := metav1.Condition{
		Type: v1alpha1.ConditionVersionSupported, Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonKnownBugs, Message: "v2.10.1",
		ObservedGeneration: 2, LastTransitionTime: metav1.NewTime(fixtures.Time.Add(-time.Hour)),
	}
	asking := observation.RunningVersions{Pending: true}
	for _, test := range []struct {
		name       string
		running    observation.RunningVersions
		generation int64
		none       bool
		stays      bool
	}{
		{"asked for the first time", asking, 2, false, true},
		{"a rollout has a second image", observation.RunningVersions{Known: []string{"v2.20.0"}, Pending: true}, 2, false, true},
		{"of another spec", asking, 3, false, false},
		{"nothing was said", asking, 2, true, false},
		{"does not answer", observation.RunningVersions{Silent: true}, 2, false, false},
		{"one does not answer", observation.RunningVersions{Pending: true, Silent: true}, 2, false, false},
		{"has answered", observation.RunningVersions{Known: []string{"v2.20.0"}}, 2, false, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(func(w *world) { w.observed.Versions, w.ksmScale.Generation = test.running, test.generation })
			if !test.none {
				w.ksmScale.Status.Conditions = []metav1.Condition{before}
			}
			condition := *meta.FindStatusCondition(w.status().Conditions, v1alpha1.ConditionVersionSupported)
			if test.stays {
				assert.Equal(t, before, condition)
			} else {
				assert.NotEqual(t, before.Status, condition.Status)
			}
		})
	}
}

func TestTheVersionInTheStatus(t *testing.T) {
	for _, test := range []struct {
		name     string
		running  observation.RunningVersions
		override func(*v1alpha1.KSMScale)
		desired  string
	}{
		{"as the pods report it", observation.RunningVersions{Known: []string{"v2.19.1"}}, func(*v1alpha1.KSMScale) {}, "v2.19.1"},
		{"of a rollout", observation.RunningVersions{Known: []string{"v2.19.1", "v2.20.0"}}, func(*v1alpha1.KSMScale) {}, "v2.19.1,v2.20.0"},
		{"by the tag", observation.RunningVersions{Silent: true}, func(*v1alpha1.KSMScale) {}, "v2.20.0"},
		{"by no tag", observation.RunningVersions{}, func(k *v1alpha1.KSMScale) { k.Spec.MonitorImage = "example.com/ksm:main" }, ""},
		{"until a new leader has read it", observation.RunningVersions{Pending: true}, func(k *v1alpha1.KSMScale) {
			k.Status.Version, k.Status.ObservedGeneration = "v2.18.0", k.Generation
		}, "v2.18.0"},
	} {
		w := newWorld(func(w *world) {
			w.observed.Versions = test.running
			test.override(w.ksmScale)
		})
		assert.Equal(t, test.desired, w.status().Version, test.name)
	}
}
