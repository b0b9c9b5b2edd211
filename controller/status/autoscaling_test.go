package status

import (
	"errors"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/controller/fixtures"
)

// What a tolerance keeps from being made is not waited for.
func TestWithinTheTolerance(t *testing.T) {
	w := newWorld(func(w *world) {
		w.nodes = 91
		w.ksmScale.Spec.Autoscaling = &v1alpha1.AutoscalingConfig{Behavior: &v1alpha1.ScalingBehavior{
			ScaleUp: &v1alpha1.ScalingRules{Tolerance: new(resource.MustParse("1"))},
		}}
	})
	status := w.status()
	assert.EqualValues(t, 7, status.DesiredReplicas)
	assert.Equal(t, v1alpha1.PhaseScaling, status.Phase, "one shard should have three, and has one")

	w.nodes = 90
	status = w.status()
	assert.EqualValues(t, 6, status.DesiredReplicas, "as planned")
	assert.Equal(t, v1alpha1.PhaseReady, status.Phase)
	ready := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionReady)
	assert.Equal(t, "True WithinTolerance", string(ready.Status)+" "+ready.Reason)
	assert.Contains(t, ready.Message, "3 run, which is within the tolerance of the 6 desired")
}

// inMode has no HorizontalPodAutoscalers.
func inMode(mode v1alpha1.AutoscalingMode) func(*world) {
	return func(w *world) {
		w.ksmScale.Spec.Autoscaling = &v1alpha1.AutoscalingConfig{Mode: mode}
		w.observed.Autoscalers = nil
	}
}

func TestAutoscalingWithoutAutoscalers(t *testing.T) {
	for _, test := range []struct {
		name                     string
		mode                     v1alpha1.AutoscalingMode
		override                 func(*world)
		autoscaling, ready, says string
	}{
		{name: "external metrics are another's", mode: v1alpha1.ModeDirect, override: func(w *world) { w.observed.APIService.Spec.Service.Namespace = "keda" },
			autoscaling: "True FollowingNodes", ready: "True AsPlanned", says: "The controller scales"},
		{name: "external metrics are no one's", mode: v1alpha1.ModeDirect, override: func(w *world) { w.observed.APIService = nil },
			autoscaling: "True FollowingNodes", ready: "True AsPlanned"},
		{name: "no right to scale", mode: v1alpha1.ModeDirect, override: func(w *world) {
			w.scaleErr = refused(apierrors.NewForbidden(appsv1.Resource("deployments/scale"), "a", errors.New("no")))
		}, autoscaling: "False Forbidden", ready: "False Forbidden", says: "deployments/scale"},
		{name: "a Deployment that cannot be scaled", mode: v1alpha1.ModeDirect, override: func(w *world) { w.scaleErr = errors.New("quota") },
			autoscaling: "False ScaleFailed", ready: "False ScaleFailed", says: "quota"},
		{name: "left to others", mode: v1alpha1.ModeNone, override: func(w *world) { w.observed.APIService = nil },
			autoscaling: "True ManualScaling", ready: "True AsPlanned", says: "ksmscale_desired_replicas"},
	} {
		t.Run(test.name, func(t *testing.T) {
			conditions := newWorld(inMode(test.mode), test.override).status().Conditions
			condition := meta.FindStatusCondition(conditions, v1alpha1.ConditionAutoscaling)
			assert.Equal(t, test.autoscaling, string(condition.Status)+" "+condition.Reason)
			assert.Contains(t, condition.Message, test.says)
			ready := meta.FindStatusCondition(conditions, v1alpha1.ConditionReady)
			assert.Equal(t, test.ready, string(ready.Status)+" "+ready.Reason)
		})
	}
}

// In mode None, others decide how many replicas there are, and nothing waits for those that are planned.
func TestToleranceThatTheServerDrops(t *testing.T) {
	w := newWorld(func(w *world) { w.observed.Autoscalers[0].Spec.Behavior.ScaleUp = nil })
	condition := meta.FindStatusCondition(w.status().Conditions, v1alpha1.ConditionAutoscaling)
	assert.Equal(t, v1alpha1.ReasonToleranceIgnored, condition.Reason)
	assert.Contains(t, condition.Message, "From 10 replicas of a shard up")
	assert.Contains(t, condition.Message, "mode to Direct")
}

func TestForeignAutoscalerOfAShard(t *testing.T) {
	w := newWorld(func(w *world) {
		w.observed.ForeignAutoscalers.Names = map[string][]string{fixtures.Shard(0).Name(): {"HorizontalPodAutoscaler own"}}
	})
	condition := meta.FindStatusCondition(w.status().Conditions, v1alpha1.ConditionAutoscaling)
	assert.Equal(t, "False ForeignAutoscaler", string(condition.Status)+" "+condition.Reason)
}

// Each new leader begins without a list, and its first status must not differ from the last one of its predecessor.
func TestAutoscalingBeforeTheFirstList(t *testing.T) {
	const hpa, direct, none = v1alpha1.ModeHorizontalPodAutoscaler, v1alpha1.ModeDirect, v1alpha1.ModeNone
	foreign := metav1.Condition{Type: v1alpha1.ConditionAutoscaling, Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonForeignAutoscaler, Message: "own; uninstalling"}
	manual := metav1.Condition{Type: v1alpha1.ConditionAutoscaling, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonManualScaling, Message: "own; uninstalling"}
	for _, test := range []struct {
		name   string
		mode   v1alpha1.AutoscalingMode
		before *metav1.Condition
		err    error
		want   string
	}{
		{"HorizontalPodAutoscaler, at first", hpa, nil, nil, "True FollowingNodes"},
		{"HorizontalPodAutoscaler", hpa, &foreign, nil, "False ForeignAutoscaler"},
		{"HorizontalPodAutoscaler, after a list that failed", hpa, &foreign, errors.New("timeout"), "True FollowingNodes"},
		{"Direct, at first", direct, nil, nil, "Unknown Starting"},
		{"Direct", direct, &foreign, nil, "False ForeignAutoscaler"},
		{"Direct, after a list that failed", direct, &foreign, errors.New("timeout"), "False ListFailed"},
		{"None, at first", none, nil, nil, "True ManualScaling"},
		{"None", none, &manual, nil, "True ManualScaling"},
		{"None, after another mode", none, &foreign, nil, "True ManualScaling"},
	} {
		t.Run(test.name, func(t *testing.T) {
			computed := newWorld(func(w *world) {
				w.ksmScale.Spec.Autoscaling = &v1alpha1.AutoscalingConfig{Mode: test.mode}
				if test.before != nil {
					test.before.LastTransitionTime = metav1.NewTime(fixtures.Time)
					w.ksmScale.Status.Conditions = []metav1.Condition{*test.before}
				}
				w.observed.ForeignAutoscalers.Unknown, w.observed.ForeignAutoscalers.Err = true, test.err
				w.externalMetrics.ReleaseErr = errors.New("refused")
			}).status()
			condition := meta.FindStatusCondition(computed.Conditions, v1alpha1.ConditionAutoscaling)
			assert.Equal(t, test.want, string(condition.Status)+" "+condition.Reason)
			if test.before != nil && test.err == nil && test.before.Reason == condition.Reason {
				assert.Equal(t, test.before.Message, condition.Message, "its remarks are not repeated")
			}
		})
	}
}

func TestManualScaling(t *testing.T) {
	w := newWorld(inMode(v1alpha1.ModeNone), func(w *world) { w.nodes = 90 })
	status := w.status()
	assert.EqualValues(t, 6, status.DesiredReplicas, "as a recommendation")
	assert.Equal(t, v1alpha1.PhaseReady, status.Phase)
	ready := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionReady)
	assert.Equal(t, "True ManualScaling", string(ready.Status)+" "+ready.Reason)
	assert.Contains(t, ready.Message, "6 are desired and 3 run")
	complete := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionProgressing)
	assert.Equal(t, "All 3 pods are ready", complete.Message, "others have chosen this number")

	w.observed.Deployments = slices.Clone(w.observed.Deployments)
	w.observed.Deployments[1].Spec.Replicas = new(int32(2))
	status = w.status()
	assert.Equal(t, v1alpha1.PhaseScaling, status.Phase)
	progressing := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionProgressing)
	assert.Equal(t, "3 pods exist, and the Deployments are set to 4", progressing.Message)
}

// An uninstallation deletes the other adapter's APIService in whatever mode the KSMScales are.
func TestAPIServiceThatIsNotLetGoIsReportedInAllModes(t *testing.T) {
	for _, mode := range []v1alpha1.AutoscalingMode{v1alpha1.ModeHorizontalPodAutoscaler, v1alpha1.ModeDirect, v1alpha1.ModeNone} {
		w := newWorld(func(w *world) {
			w.ksmScale.Spec.Autoscaling = &v1alpha1.AutoscalingConfig{Mode: mode}
			w.observed.APIService = fixtures.RegisteredAPIService("keda", "metrics", apiregistrationv1.ConditionTrue)
			w.externalMetrics.ReleaseErr = errors.New("refused")
		})
		condition := meta.FindStatusCondition(w.status().Conditions, v1alpha1.ConditionAutoscaling)
		assert.Contains(t, condition.Message, "uninstalling KSMScale would delete APIService v1beta1.external.metrics.k8s.io", mode)
		assert.Contains(t, condition.Message, "cannot remove its owner reference (refused)", mode)
	}
}
