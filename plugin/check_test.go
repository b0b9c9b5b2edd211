package plugin

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/controller/fixtures"
)

// component is a Deployment of the installation, with available pods.
func component(name string, available int32) client.Object {
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ksmscale-system", Name: "ksmscale-" + name, Labels: map[string]string{
			"app.kubernetes.io/name": "ksmscale", "app.kubernetes.io/component": name,
		}},
		Spec:   appsv1.DeploymentSpec{Replicas: new(int32(1))},
		Status: appsv1.DeploymentStatus{AvailableReplicas: available},
	}
}

// registered is the APIService of external metrics, and the Service that it names.
func registered(namespace, name, selector string, available apiregistrationv1.ConditionStatus) []client.Object {
	registered := fixtures.RegisteredAPIService(namespace, name, available)
	registered.Name = v1alpha1.APIServiceName
	return []client.Object{registered, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Spec: corev1.ServiceSpec{Selector: map[string]string{"app.kubernetes.io/name": selector}},
	}}
}

func TestCheckBeforeInstallation(t *testing.T) {
	code, stdout, stderr := world{kinds: []string{"ScrapeConfig"}}.run(t, "check", "--pre")
	assert.Zero(t, code)
	assert.Empty(t, stderr)
	assert.Equal(t, `OK      Kubernetes: version v1.37.2
OK      tolerance: the API server keeps the tolerance of HorizontalPodAutoscalers
OK      rights to install: you may create all objects of the installation
OK      external metrics API: no other adapter serves external metrics
OK      Prometheus Operator: the cluster has ScrapeConfigs, which KSMScale creates
OK      other kube-state-metrics: none
`, stdout)

	other := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "ksm", Labels: map[string]string{"app.kubernetes.io/name": "kube-state-metrics"}}}
	code, stdout, _ = world{
		version: "v1.34.1", dropsTolerance: true, lacks: []string{"create customresourcedefinitions.apiextensions.k8s.io", "create namespaces"},
		objects: append(registered("keda", "keda-operator-metrics-apiserver", "keda", apiregistrationv1.ConditionTrue), other),
	}.run(t, "check", "--pre")
	assert.Equal(t, exitNotYet, code)
	assert.Equal(t, `FAILED  Kubernetes: the version is v1.34.1, and the oldest supported one is 1.35
        upgrade Kubernetes
WARNING tolerance: the API server drops the tolerance of HorizontalPodAutoscalers, so they ignore steps of less than a tenth of the replicas
        turn the feature gate HPAConfigurableTolerance on, or set spec.autoscaling.mode to Direct
FAILED  rights to install: you lack the rights to create namespaces, create customresourcedefinitions.apiextensions.k8s.io
        install as a cluster administrator
WARNING external metrics API: keda/keda-operator-metrics-apiserver serves external metrics
        set spec.autoscaling.mode to Direct, or put KSMScale's adapter in front of it with --delegate (docs/delegate.md)
NOTE    Prometheus Operator: the cluster has no ScrapeConfigs, so KSMScale creates none
        add the jobs of deploy/prometheus to your Prometheus (docs/prometheus.md)
NOTE    other kube-state-metrics: kube-system/ksm runs too
        replace it without a gap, as docs/migration.md describes
`, stdout)
}

func TestCheckFinds(t *testing.T) {
	installed := []client.Object{component("controller", 1)}
	scaledToZero := component("controller", 0)
	scaledToZero.(*appsv1.Deployment).Spec.Replicas = new(int32(0))
	unserved := append(registered("ksmscale-system", "ksmscale-adapter", "ksmscale", apiregistrationv1.ConditionFalse), component("adapter", 1))
	evictable := ready(func(k *v1alpha1.KSMScale) {
		k.Status.Conditions = append(k.Status.Conditions, condition(v1alpha1.ConditionEvictable, metav1.ConditionFalse, v1alpha1.ReasonMultiplePodDisruptionBudgets, "pods of shard 0 have a second one"))
	})
	for name, test := range map[string]struct {
		objects  []client.Object
		code     int
		expected string
	}{
		"nothing installed":          {nil, exitNotYet, "FAILED  controller: it is not installed\n"},
		"no adapter":                 {installed, exitAsDesired, "SKIPPED adapter: the installation has none"},
		"a controller without a pod": {[]client.Object{component("controller", 0)}, exitNotYet, "FAILED  controller: 0 of 1 pods of ksmscale-system/ksmscale-controller are available"},
		"a controller scaled to 0": {[]client.Object{scaledToZero}, exitNotYet, "FAILED  controller: 0 of 0 pods of ksmscale-system/ksmscale-controller are available\n" +
			"        see why Deployment ksmscale-controller is scaled to 0\n"},
		"no KSMScale":            {installed, exitAsDesired, "NOTE    KSMScales: there is none\n"},
		"metrics are not served": {append(unserved, installed...), exitNotYet, "FAILED  external metrics API: ksmscale-system/ksmscale-adapter is not available, MissingEndpoints: no endpoints\n"},
		"no APIService":          {append([]client.Object{component("adapter", 1)}, installed...), exitNotYet, "FAILED  external metrics API: APIService v1beta1.external.metrics.k8s.io does not exist\n"},
		"a second PDB":           {append([]client.Object{evictable}, installed...), exitAsDesired, "WARNING KSMScale main: Evictable False, MultiplePodDisruptionBudgets: pods of shard 0 have a second one\n        see docs/conditions.md#evictable\n"},
		"a KSMScale that is not Ready": {append([]client.Object{ready(notReady(v1alpha1.ReasonScaling, "2 of 3 desired pods exist"))}, installed...), exitNotYet,
			"FAILED  KSMScale main: Ready False, Scaling: 2 of 3 desired pods exist\n        see kubectl ksmscale status main\n"},
	} {
		t.Run(name, func(t *testing.T) {
			code, stdout, stderr := world{objects: test.objects}.run(t, "check")
			assert.Empty(t, stderr)
			assert.Equal(t, test.code, code, stdout)
			assert.Contains(t, stdout, test.expected)
		})
	}
}

// Users get the rights that check --pre names, so these are the kinds of the installation.
func TestInstalledKinds(t *testing.T) {
	manifest, err := os.ReadFile("../deploy/install.yaml")
	require.NoError(t, err)
	installed := sets.New[string]()
	for document := range strings.SplitSeq(string(manifest), "\n---\n") {
		var object struct{ Kind string }
		require.NoError(t, yaml.Unmarshal([]byte(document), &object))
		installed.Insert(strings.ToLower(object.Kind) + "s")
	}
	named := sets.New[string]()
	for _, one := range installedKinds {
		named.Insert(one.Resource)
	}
	assert.Equal(t, sets.List(installed), sets.List(named))
}

func TestCheckAsJSON(t *testing.T) {
	_, stdout, _ := world{}.run(t, "check", "--pre", "-o", "json")
	var result struct{ Checks []checkResult }
	require.NoError(t, json.Unmarshal([]byte(stdout), &result))
	assert.Equal(t, checkResult{Check: "Kubernetes", Verdict: passed, Message: "version v1.37.2"}, result.Checks[0])
}
