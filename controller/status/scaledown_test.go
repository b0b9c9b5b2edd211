package status

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/controller/fixtures"
)

// surplus gives each shard two ready pods, of which one is desired.
func surplus(w *world) {
	for id := range int32(3) {
		w.observed.Deployments[id].Spec.Replicas = new(int32(2))
		w.observed.Pods = append(w.observed.Pods, fixtures.Pod(id, "b"))
	}
}

func TestPodsThatOnlyWaitToBeRemoved(t *testing.T) {
	for _, test := range []struct {
		name           string
		override       func(*world)
		ready, message string
		phase          v1alpha1.Phase
	}{
		{"known when", func(w *world) { w.notBefore = fixtures.Time.Add(285 * time.Second) }, "True ScaleDownPending",
			"6 pods are ready and 3 are desired; the HorizontalPodAutoscalers remove the other pods not before 2026-01-01T00:04:45Z, because the stabilization window is 5m0s", v1alpha1.PhaseScaling},
		{"not known when", func(*world) {}, "True ScaleDownPending", "the HorizontalPodAutoscalers remove the other pods after the stabilization window of 5m0s", v1alpha1.PhaseScaling},
		{"without a window", func(w *world) { scaleDown(w, &v1alpha1.ScalingRules{StabilizationWindowSeconds: new(int32(0))}) }, "True ScaleDownPending", "remove the other pods soon", v1alpha1.PhaseScaling},
		{"never", func(w *world) { scaleDown(w, &v1alpha1.ScalingRules{SelectPolicy: "Disabled"}) }, "True ScaleDownPending", "selectPolicy Disabled keeps the other pods", v1alpha1.PhaseScaling},
		{"by the controller", func(w *world) {
			w.ksmScale.Spec.Autoscaling = &v1alpha1.AutoscalingConfig{Mode: v1alpha1.ModeDirect}
		}, "True ScaleDownPending", "the controller removes the other pods", v1alpha1.PhaseScaling},
		{"being removed", func(w *world) { w.observed.Deployments[0].Spec.Replicas = new(int32(1)) }, "True ScaleDownPending", "6 pods are ready", v1alpha1.PhaseScaling},
		{"while another is not ready", func(w *world) { w.observed.Pods[4] = fixtures.Pod(1, "b", fixtures.NotReady) }, "False Scaling", "6 pods exist, and 3 are desired", v1alpha1.PhaseScaling},
		{"while another shard grows", func(w *world) {
			w.observed.Pods[5].Labels, w.observed.Pods[2].Labels = fixtures.Shard(1).Selector(), fixtures.Shard(1).Selector()
		}, "False ShardsNotReady", "", v1alpha1.PhaseIncomplete},
		{"while nobody can remove them", func(w *world) {
			w.observed.Autoscalers[1].Status.Conditions[0] = autoscalingv2.HorizontalPodAutoscalerCondition{Type: autoscalingv2.ScalingActive, Status: corev1.ConditionFalse, Reason: "FailedGetExternalMetric"}
		}, "False FailedGetExternalMetric", "", v1alpha1.PhaseScaling},
		{"during a rollout", func(w *world) { w.observed.Deployments[1].Status.Replicas = 2 }, "False RollingOut", "", v1alpha1.PhaseRollingOut},
	} {
		t.Run(test.name, func(t *testing.T) {
			status := newWorld(surplus, test.override).status()
			ready := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionReady)
			assert.Equal(t, test.ready, string(ready.Status)+" "+ready.Reason)
			assert.Contains(t, ready.Message, test.message)
			assert.Equal(t, test.phase, status.Phase)
			if ready.Status == metav1.ConditionTrue {
				assert.Equal(t, v1alpha1.ReasonScaleDownPending, meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionProgressing).Reason)
			}
		})
	}
}

func scaleDown(w *world, rules *v1alpha1.ScalingRules) {
	w.ksmScale.Spec.Autoscaling = &v1alpha1.AutoscalingConfig{Behavior: &v1alpha1.ScalingBehavior{ScaleDown: rules}}
}
