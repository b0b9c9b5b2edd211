package objects

import (
	"testing"

	"github.com/stretchr/testify/assert"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/controller/fixtures"
)

func TestMonitorResources(t *testing.T) {
	list := func(cpu, memory string) corev1.ResourceList {
		quantities := corev1.ResourceList{}
		for name, quantity := range map[corev1.ResourceName]string{corev1.ResourceCPU: cpu, corev1.ResourceMemory: memory} {
			if quantity != "" {
				quantities[name] = resource.MustParse(quantity)
			}
		}
		return quantities
	}
	for _, test := range []struct {
		name             string
		auto             *v1alpha1.AutoResources
		recommended      bool
		set              corev1.ResourceRequirements
		requests, limits corev1.ResourceList
	}{
		{name: "off", recommended: true, set: corev1.ResourceRequirements{Limits: list("1", "")}, limits: list("1", "")},
		{name: "no recommendation yet", auto: &v1alpha1.AutoResources{}, set: corev1.ResourceRequirements{Requests: list("", "64Mi")}, requests: list("", "64Mi")},
		{name: "on", auto: &v1alpha1.AutoResources{}, recommended: true, requests: list("150m", "200Mi"), limits: list("", "400Mi")},
		{name: "without limits", auto: &v1alpha1.AutoResources{Limits: new(false)}, recommended: true, requests: list("150m", "200Mi")},
		{name: "a floor of memory", auto: &v1alpha1.AutoResources{}, recommended: true, set: corev1.ResourceRequirements{Requests: list("", "1Gi")},
			requests: list("150m", "1Gi"), limits: list("", "2Gi")},
		{name: "a request below the recommendation", auto: &v1alpha1.AutoResources{}, recommended: true, set: corev1.ResourceRequirements{Requests: list("", "64Mi")},
			requests: list("150m", "200Mi"), limits: list("", "400Mi")},
		{name: "the user's CPU", auto: &v1alpha1.AutoResources{}, recommended: true, set: corev1.ResourceRequirements{Requests: list("2", "")},
			requests: list("2", "200Mi"), limits: list("", "400Mi")},
		{name: "the user's CPU limit", auto: &v1alpha1.AutoResources{}, recommended: true, set: corev1.ResourceRequirements{Limits: list("50m", "")},
			requests: list("", "200Mi"), limits: list("50m", "400Mi")},
	} {
		t.Run(test.name, func(t *testing.T) {
			ksmScale := fixtures.KSMScale(func(k *v1alpha1.KSMScale) {
				k.Spec.AutoResources, k.Spec.Resources = test.auto, test.set
				if test.recommended {
					k.Status.Recommendation = &v1alpha1.Recommendation{Shards: 3, MemoryRequest: new(resource.MustParse("200Mi")), CPURequest: new(resource.MustParse("150m"))}
				}
			})
			resources := MonitorResources(ksmScale)
			equal := func(want, got corev1.ResourceList, of string) {
				assert.Len(t, got, len(want), of)
				for name, quantity := range want {
					assert.True(t, quantity.Equal(got[name]), "%s of %s: %v", of, name, got)
				}
			}
			equal(test.requests, resources.Requests, "requests")
			equal(test.limits, resources.Limits, "limits")
			assert.Equal(t, test.set, ksmScale.Spec.Resources, "the spec stays as it is")
		})
	}
}

func TestGoMemoryLimitFollowsTheLimit(t *testing.T) {
	template := podWith(t, func(spec *v1alpha1.KSMScaleSpec) {
		spec.AutoResources, spec.Template = &v1alpha1.AutoResources{}, &v1alpha1.PodTemplate{GoMemoryLimitPercent: 50}
	})
	assert.Len(t, template.Spec.Containers[0].Env, 2, "no limit without a recommendation")
	ksmScale := fixtures.KSMScale(func(k *v1alpha1.KSMScale) {
		k.Spec.AutoResources, k.Spec.Template = &v1alpha1.AutoResources{}, &v1alpha1.PodTemplate{GoMemoryLimitPercent: 50}
		k.Status.Recommendation = &v1alpha1.Recommendation{MemoryRequest: new(resource.MustParse("100Mi"))}
	})
	env := Deployment(ksmScale, fixtures.Planned(0), GateOptions{}).Spec.Template.Spec.Containers[0].Env
	assert.Equal(t, "GOMEMLIMIT", *env[2].Name)
	assert.Equal(t, "104857600", *env[2].Value, "half of the limit, which is twice the request")
}

func TestTheGateMeasuresAtAnInterval(t *testing.T) {
	arguments := func(options GateOptions) []string {
		return Deployment(fixtures.KSMScale(), fixtures.Planned(0), options).Spec.Template.Spec.Containers[1].Args
	}
	assert.NotContains(t, arguments(GateOptions{}), "--measure-interval=0s")
	assert.Contains(t, arguments(GateOptions{MeasureInterval: 10e9}), "--measure-interval=10s")
}
