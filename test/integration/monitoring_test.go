package integration

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/test/cluster/audit"
)

// operatorModule has the CustomResourceDefinitions of the Prometheus Operator. No package of it is imported.
const operatorModule = "github.com/prometheus-operator/prometheus-operator@v0.85.0"

var monitorVersions = map[string]string{"ScrapeConfig": "v1alpha1", "ServiceMonitor": "v1", "PrometheusRule": "v1"}

// Objects for the Prometheus Operator appear with its CustomResourceDefinitions, follow spec.monitoring, and disappear
// with the definitions, without a restart. The controller does not write unchanged objects again.
func TestMonitoring(t *testing.T) {
	setNodes(t, 10)
	ksmScale := create(t, newKSMScale())
	awaitCondition(t, ksmScale, v1alpha1.ConditionMonitoring, metav1.ConditionTrue, v1alpha1.ReasonOperatorNotInstalled)
	awaitCondition(t, ksmScale, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonAtMinimum)
	update(t, ksmScale, func(k *v1alpha1.KSMScale) { k.Spec.Monitoring.Type = v1alpha1.MonitoringScrapeConfig })
	condition := awaitCondition(t, ksmScale, v1alpha1.ConditionMonitoring, metav1.ConditionFalse, v1alpha1.ReasonCRDNotInstalled)
	assert.Contains(t, condition.Message, "scrapeconfigs.monitoring.coreos.com")
	awaitCondition(t, ksmScale, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonCRDNotInstalled)

	beginning := auditMark(t)
	uninstall := installMonitors(t)
	awaitCondition(t, ksmScale, v1alpha1.ConditionMonitoring, metav1.ConditionTrue, v1alpha1.ReasonCreated)
	awaitMonitors(t, ksmScale, "ScrapeConfig", 3)
	update(t, ksmScale, secureScraping)
	awaitTLSConfig(t, ksmScale, "ScrapeConfig", 2)
	mark := auditMark(t)
	// A look, and one at all KSMScales, when another one comes and goes.
	remove(t, create(t, newKSMScale(func(k *v1alpha1.KSMScale) { k.Spec.Monitoring.Type = v1alpha1.MonitoringNone })))
	lookAgain(t, ksmScale)
	awaitCondition(t, ksmScale, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonAtMinimum)
	assert.Empty(t, audit.NoOpPatches(auditSince(t, mark), controllerUser))
	assert.NotContains(t, resources(audit.Writes(auditSince(t, mark), controllerUser)), "scrapeconfigs")

	update(t, ksmScale, func(k *v1alpha1.KSMScale) {
		k.Spec.Monitoring.Type, k.Spec.Monitoring.Rules = v1alpha1.MonitoringServiceMonitor, true
		k.Spec.Monitoring.Labels = map[string]v1alpha1.LabelValue{"release": "stack"}
	})
	awaitMonitors(t, ksmScale, "ServiceMonitor", 1)
	awaitMonitors(t, ksmScale, "PrometheusRule", 1)
	awaitMonitors(t, ksmScale, "ScrapeConfig", 0)
	update(t, ksmScale, func(k *v1alpha1.KSMScale) { k.Spec.Monitoring.Labels = nil })
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		for _, kind := range []string{"ServiceMonitor", "PrometheusRule"} {
			for _, object := range monitors(t, ksmScale, kind) {
				assert.NotContains(c, object.GetLabels(), "release")
			}
		}
	}, eventually, poll)
	awaitTLSConfig(t, ksmScale, "ServiceMonitor", 1)
	mark = auditMark(t)
	lookAgain(t, ksmScale)
	awaitCondition(t, ksmScale, v1alpha1.ConditionMonitoring, metav1.ConditionTrue, v1alpha1.ReasonCreated)
	assert.Empty(t, audit.NoOpPatches(auditSince(t, mark), controllerUser))
	assert.NotContains(t, resources(audit.Writes(auditSince(t, mark), controllerUser)), "servicemonitors")
	assert.NotContains(t, resources(audit.Writes(auditSince(t, mark), controllerUser)), "prometheusrules")

	update(t, ksmScale, func(k *v1alpha1.KSMScale) {
		k.Spec.Monitoring.Type, k.Spec.Monitoring.Rules = v1alpha1.MonitoringScrapeConfig, false
	})
	awaitMonitors(t, ksmScale, "ServiceMonitor", 0)
	awaitMonitors(t, ksmScale, "PrometheusRule", 0)
	for _, event := range auditSince(t, beginning) {
		isWatch := event.User.Username == controllerUser && event.Verb == "watch" && event.ObjectRef.APIGroup == "monitoring.coreos.com"
		assert.False(t, isWatch, "a watch of a kind that disappears: %s", event.RequestURI)
	}

	uninstall()
	awaitCondition(t, ksmScale, v1alpha1.ConditionMonitoring, metav1.ConditionFalse, v1alpha1.ReasonCRDNotInstalled)
	update(t, ksmScale, func(k *v1alpha1.KSMScale) { k.Spec.Monitoring.Type, k.Spec.Monitoring.Rules = "", false })
	awaitCondition(t, ksmScale, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonAtMinimum)
}

// A kind that may not be listed is a condition, and no reason to look for no other one.
func TestMonitorsThatMayNotBeListed(t *testing.T) {
	leaveRunning(t)
	setNodes(t, 10)
	installMonitors(t)
	ksmScale := create(t, newKSMScale(func(k *v1alpha1.KSMScale) { k.Spec.Monitoring.Type = v1alpha1.MonitoringServiceMonitor }))
	other := create(t, newKSMScale(func(k *v1alpha1.KSMScale) { k.Spec.Monitoring.Type = v1alpha1.MonitoringScrapeConfig }))
	awaitCondition(t, ksmScale, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonAtMinimum)
	awaitCondition(t, other, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonAtMinimum)
	resource := schema.GroupResource{Group: "monitoring.coreos.com", Resource: "scrapeconfigs"}
	restore := forbid(t, resource, "list")
	restartController(t)
	condition := awaitCondition(t, other, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonForbidden)
	assert.Contains(t, condition.Message, "The controller creates no ScrapeConfig")
	awaitCondition(t, ksmScale, v1alpha1.ConditionMonitoring, metav1.ConditionTrue, v1alpha1.ReasonCreated)
	restore()
	awaitCondition(t, other, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonAtMinimum)
}

// The first KSMScale that has a namespace creates the rules of all KSMScales.
func TestRulesOfAKSMScaleWithoutANamespace(t *testing.T) {
	setNodes(t, 10)
	installMonitors(t)
	rules := func(k *v1alpha1.KSMScale) { k.Spec.Monitoring.Rules = true }
	first := newKSMScale(rules, func(k *v1alpha1.KSMScale) { k.Name, k.Spec.Namespace = "a-"+k.Name, "a-"+k.Name })
	require.NoError(t, shared.client.Create(t.Context(), first))
	t.Cleanup(func() { remove(t, first) })
	second := create(t, newKSMScale(rules))
	awaitCondition(t, first, v1alpha1.ConditionMonitoring, metav1.ConditionFalse, v1alpha1.ReasonNamespaceNotFound)
	awaitMonitors(t, second, "PrometheusRule", 1)

	createNamespace(t, first.Spec.Namespace)
	awaitMonitors(t, first, "PrometheusRule", 1)
	awaitMonitors(t, second, "PrometheusRule", 0)
}

// lookAgain changes a KSMScale in what its monitors do not depend on, and waits until all is done that follows from it.
func lookAgain(t *testing.T, ksmScale *v1alpha1.KSMScale) {
	t.Helper()
	update(t, ksmScale, func(k *v1alpha1.KSMScale) { k.Spec.NodesPerMonitor++ })
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		require.NoError(c, get(t, ksmScale))
		require.Equal(c, ksmScale.Generation, ksmScale.Status.ObservedGeneration)
	}, eventually, poll)
}

// secureScraping configures Prometheus to verify kube-state-metrics and to send it a token. No pod runs here that would do
// so.
func secureScraping(k *v1alpha1.KSMScale) {
	k.Spec.Metrics = v1alpha1.MetricsConfig{AuthFilter: true, TLS: v1alpha1.TLSConfig{SecretName: "certificate"}}
	k.Spec.Monitoring.TLSConfig = &v1alpha1.ScrapeTLSConfig{
		CA: &v1alpha1.SecretOrConfigMap{Secret: v1alpha1.KeySelector{Name: "certificate", Key: "ca.crt"}},
	}
	k.Spec.Monitoring.Authorization = v1alpha1.ScrapeAuthorization{Credentials: v1alpha1.KeySelector{Name: "reader", Key: "token"}}
}

// awaitTLSConfig waits until that many objects of a kind have the CA, in the form that older Operators also accept.
func awaitTLSConfig(t *testing.T, ksmScale *v1alpha1.KSMScale, kind string, count int) {
	t.Helper()
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		having := 0
		for _, object := range monitors(t, ksmScale, kind) {
			spec, err := json.Marshal(object.Object["spec"])
			require.NoError(c, err)
			if strings.Contains(string(spec), `"ca":{"secret":{"key":"ca.crt","name":"certificate"}}`) {
				having++
			}
		}
		assert.Equal(c, count, having)
	}, eventually, poll)
}

// installMonitors installs the CustomResourceDefinitions until the returned function is called, or the test ends.
func installMonitors(t *testing.T) (uninstall func()) {
	t.Helper()
	output, err := exec.CommandContext(t.Context(), "go", "mod", "download", "-json", operatorModule).Output()
	require.NoError(t, err)
	var module struct{ Dir string }
	require.NoError(t, json.Unmarshal(output, &module))
	kubectl := func(args ...string) error {
		for kind := range monitorVersions {
			file := filepath.Join(module.Dir, "example/prometheus-operator-crd/monitoring.coreos.com_"+strings.ToLower(kind)+"s.yaml")
			if _, err := shared.installed.Kubectl(afterwards(t), append(args, "-f", file)...); err != nil {
				return err
			}
		}
		return nil
	}
	require.NoError(t, kubectl("apply", "--server-side"))
	uninstall = func() { require.NoError(t, kubectl("delete", "--ignore-not-found")) }
	t.Cleanup(uninstall)
	return uninstall
}

func awaitMonitors(t *testing.T, ksmScale *v1alpha1.KSMScale, kind string, count int) {
	t.Helper()
	require.EventuallyWithT(t, func(c *assert.CollectT) { assert.Len(c, monitors(t, ksmScale, kind), count) }, eventually, poll)
}

// monitors are the objects of a kind of the Prometheus Operator that were created for a KSMScale.
func monitors(t *testing.T, ksmScale *v1alpha1.KSMScale, kind string) []unstructured.Unstructured {
	t.Helper()
	var list unstructured.UnstructuredList
	list.SetGroupVersionKind(schema.GroupVersionKind{Group: "monitoring.coreos.com", Version: monitorVersions[kind], Kind: kind + "List"})
	err := shared.client.List(t.Context(), &list, client.InNamespace(ksmScale.Spec.Namespace), client.MatchingLabels{v1alpha1.LabelKSMScale: ksmScale.Name})
	require.True(t, err == nil || apierrors.IsNotFound(err) || meta.IsNoMatchError(err), err)
	return list.Items
}
