package controller

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/controller/fixtures"
)

// changing is a reconciler whose API server changes the pods' specification of Deployments that are applied, and the number of
// times that any of these was applied.
func changing(t *testing.T, change func(*corev1.PodSpec), override func(*v1alpha1.KSMScale)) (r *Reconciler, applied *int) {
	t.Helper()
	applied = new(int)
	r, _ = newReconciler(t, planner{nodes: 60}, func(kind, _ string) error {
		if kind == "Deployment" {
			*applied++
		}
		return nil
	})
	live, ok := r.Client.(client.WithWatch)
	require.True(t, ok)
	r.Client = interceptor.NewClient(live, interceptor.Funcs{Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, object client.Object, options ...client.GetOption) error {
		err := c.Get(ctx, key, object, options...)
		if deployment, ok := object.(*appsv1.Deployment); ok && err == nil {
			change(&deployment.Spec.Template.Spec)
		}
		return err
	}})
	ksmScale := readMain(t, r)
	override(ksmScale)
	require.NoError(t, r.Client.Update(t.Context(), ksmScale))
	return r, applied
}

func reconcileTimes(t *testing.T, r *Reconciler, times int) {
	t.Helper()
	for range times {
		_, err := reconcileMain(t, r)
		require.NoError(t, err)
	}
}

func TestWhatTheServerChangesIsNotAppliedAgainAndAgain(t *testing.T) {
	node := corev1.EnvVar{Name: "NODE", ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "spec.nodeName"}}}
	for _, test := range []struct {
		name     string
		override func(*v1alpha1.KSMScale)
		change   func(*corev1.PodSpec)
	}{
		{"a default in an atomic field", func(k *v1alpha1.KSMScale) { k.Spec.Template = &v1alpha1.PodTemplate{Env: []corev1.EnvVar{node}} }, func(pod *corev1.PodSpec) {
			for i := range pod.Containers {
				for j := range pod.Containers[i].Env {
					if from := pod.Containers[i].Env[j].ValueFrom; from != nil {
						from.FieldRef.APIVersion = "v1"
					}
				}
			}
		}},
		{"a rounded quantity", func(k *v1alpha1.KSMScale) {
			k.Spec.Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1500u")}
		}, func(pod *corev1.PodSpec) {
			pod.Containers[0].Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("2m")}
		}},
		{"an item of a policy's in an atomic list", func(k *v1alpha1.KSMScale) {
			k.Spec.Template = &v1alpha1.PodTemplate{Tolerations: []v1alpha1.Toleration{{Key: "a", Operator: corev1.TolerationOpExists}}}
		}, func(pod *corev1.PodSpec) {
			pod.Tolerations = append(pod.Tolerations, corev1.Toleration{Key: "policy", Operator: corev1.TolerationOpExists})
		}},
		{"a value that a policy replaces", func(*v1alpha1.KSMScale) {}, func(pod *corev1.PodSpec) { pod.Containers[0].Image = "mirror.example.com/" + fixtures.Image }},
	} {
		t.Run(test.name, func(t *testing.T) {
			r, applied := changing(t, test.change, test.override)
			reconcileTimes(t, r, 10)
			assert.Equal(t, 3, *applied, "each shard's Deployment is applied once")
			r.outcomes = outcomes{}
			reconcileTimes(t, r, 10)
			assert.Equal(t, 6, *applied, "another leader applies each of them once")

			update(t, r, func(k *v1alpha1.KSMScale) { k.Spec.MonitorImage = "example.com/other:v2.20.0" })
			reconcileTimes(t, r, 10)
			assert.Equal(t, 9, *applied, "a change is applied once")
		})
	}
}

// What the API server once made of what was applied does not hide what others change.
func TestDriftIsRepairedWhereTheServerChangesWhatIsApplied(t *testing.T) {
	r, applied := changing(t, func(pod *corev1.PodSpec) {
		pod.Tolerations = append(pod.Tolerations, corev1.Toleration{Key: "policy", Operator: corev1.TolerationOpExists})
	}, func(k *v1alpha1.KSMScale) {
		k.Spec.Template = &v1alpha1.PodTemplate{Tolerations: []v1alpha1.Toleration{{Key: "a", Operator: corev1.TolerationOpExists}}}
	})
	reconcileTimes(t, r, 2)
	deployment := &appsv1.Deployment{}
	key := client.ObjectKey{Namespace: "monitoring", Name: fixtures.Shard(1).Name()}
	for name, drift := range map[string]func(*corev1.PodSpec){
		"a field":           func(pod *corev1.PodSpec) { pod.Containers[0].Image = "drift" },
		"the changed field": func(pod *corev1.PodSpec) { pod.Tolerations = nil },
	} {
		t.Run(name, func(t *testing.T) {
			before := *applied
			require.NoError(t, r.Client.Get(t.Context(), key, deployment))
			drift(&deployment.Spec.Template.Spec)
			require.NoError(t, r.Client.Update(t.Context(), deployment, client.FieldOwner("someone")))
			reconcileTimes(t, r, 5)
			assert.Equal(t, before+1, *applied, "it is repaired once")
			require.NoError(t, r.Client.Get(t.Context(), key, deployment))
			assert.Equal(t, fixtures.Image, deployment.Spec.Template.Spec.Containers[0].Image)
			assert.Equal(t, "a", deployment.Spec.Template.Spec.Tolerations[0].Key)
		})
	}
}

// Someone else may write between our write and our look at what came of it.
func TestAnotherOnesWriteIsNoOutcome(t *testing.T) {
	r, applied := changing(t, func(*corev1.PodSpec) {}, func(*v1alpha1.KSMScale) {})
	live, ok := r.Client.(client.WithWatch)
	require.True(t, ok)
	reconcileTimes(t, r, 1)
	meddles := true
	r.Client = interceptor.NewClient(live, interceptor.Funcs{Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, object client.Object, options ...client.GetOption) error {
		err := c.Get(ctx, key, object, options...)
		if deployment, ok := object.(*appsv1.Deployment); ok && meddles && deployment.Spec.Template.Spec.Containers[0].Image != fixtures.Image {
			meddles = false
			deployment.Spec.Template.Spec.Containers[0].Image = "meddled"
			return c.Update(ctx, deployment, client.FieldOwner("someone"))
		}
		return err
	}})
	update(t, r, func(k *v1alpha1.KSMScale) { k.Spec.MonitorImage = "example.com/other:v2.20.0" })
	reconcileTimes(t, r, 5)
	assert.False(t, meddles)
	assert.Equal(t, 3+3+1, *applied)
	for id := range int32(3) {
		deployment := &appsv1.Deployment{}
		require.NoError(t, live.Get(t.Context(), client.ObjectKey{Namespace: "monitoring", Name: fixtures.Shard(id).Name()}, deployment))
		assert.Equal(t, "example.com/other:v2.20.0", deployment.Spec.Template.Spec.Containers[0].Image)
	}
}

func update(t *testing.T, r *Reconciler, change func(*v1alpha1.KSMScale)) {
	t.Helper()
	ksmScale := readMain(t, r)
	change(ksmScale)
	require.NoError(t, r.Client.Update(t.Context(), ksmScale))
}
