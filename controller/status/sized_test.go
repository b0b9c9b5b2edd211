package status

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/controller/fixtures"
)

func TestSized(t *testing.T) {
	auto := func(w *world) { w.ksmScale.Spec.AutoResources = &v1alpha1.AutoResources{} }
	resources := func(w *world) {
		w.ksmScale.Spec.Resources.Requests = corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("64Mi")}
	}
	none := func(w *world) { w.ksmScale.Spec.Resources = corev1.ResourceRequirements{} }
	resized := func(w *world) {
		w.observed.VerticalAutoscalers.Names = map[string][]string{fixtures.Shard(0).Name(): {"own"}}
	}
	failing := func(err error) func(*world) { return func(w *world) { w.observed.VerticalAutoscalers.Err = err } }
	unlisted := func(w *world) { w.observed.VerticalAutoscalers.Unknown = true }
	before := func(w *world) {
		w.ksmScale.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionSized, Status: metav1.ConditionFalse, Reason: "Before"}}
	}
	forbidden := apierrors.NewForbidden(schema.GroupResource{Resource: "verticalpodautoscalers"}, "", errors.New("no"))
	for _, test := range []struct {
		name                    string
		overrides               []func(*world)
		status, reason, message string
	}{
		{"with autoResources", []func(*world){auto}, "True", v1alpha1.ReasonFollowingUsage, "follow"},
		{"beside autoResources", []func(*world){auto, resized}, "False", v1alpha1.ReasonForeignVerticalPodAutoscaler, "VerticalPodAutoscaler own changes the resources of the pods of Deployment ksm-main-shard-0-of-3. spec.autoResources"},
		{"beside resources", []func(*world){resources, resized}, "False", v1alpha1.ReasonForeignVerticalPodAutoscaler, "remove spec.resources"},
		{"before the first list", []func(*world){auto, unlisted}, "Unknown", v1alpha1.ReasonStarting, "has not listed"},
		{"before the first list of a new leader", []func(*world){resources, unlisted, before}, "False", "Before", ""},
		{"without the right", []func(*world){auto, unlisted, failing(forbidden)}, "Unknown", v1alpha1.ReasonForbidden, "verticalpodautoscalers"},
		{"after a list that failed", []func(*world){auto, failing(errors.New("timeout"))}, "True", v1alpha1.ReasonFollowingUsage, "does not notice a new one: timeout"},
	} {
		t.Run(test.name, func(t *testing.T) {
			computed := newWorld(test.overrides...).status()
			condition := meta.FindStatusCondition(computed.Conditions, v1alpha1.ConditionSized)
			require.NotNil(t, condition)
			assert.Equal(t, test.status+" "+test.reason, string(condition.Status)+" "+condition.Reason)
			assert.Contains(t, condition.Message, test.message)
			assert.Equal(t, metav1.ConditionTrue, meta.FindStatusCondition(computed.Conditions, v1alpha1.ConditionReady).Status, "it is a warning")
		})
	}
	for name, overrides := range map[string][]func(*world){
		"without autoResources":                    {resources},
		"before the first list, with resources":    {resources, unlisted},
		"after the first list of a new leader":     {resources, before},
		"after a list of a new leader that failed": {resources, before, unlisted, failing(forbidden)},
		"where a VerticalPodAutoscaler is allowed": {none, resized},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Nil(t, meta.FindStatusCondition(newWorld(overrides...).status().Conditions, v1alpha1.ConditionSized))
		})
	}
}
