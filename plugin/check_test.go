package plugin

import (
	"crypto/x509"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/controller/fixtures"
	"github.com/example/ksmscale/controller/flags"
	"github.com/example/ksmscale/plugin/check"
	"github.com/example/ksmscale/plugin/verify"
)

// component is a Deployment of the installation, with available pods.
func component(name string, available int32, overrides ...func(*appsv1.Deployment)) client.Object {
	deployment := &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ksmscale-system", Name: "ksmscale-" + name, Labels: map[string]string{
			"app.kubernetes.io/name": "ksmscale", "app.kubernetes.io/component": name,
		}},
		Spec: appsv1.DeploymentSpec{
			Replicas: new(int32(1)),
			Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app.kubernetes.io/component": name}},
		},
		Status: appsv1.DeploymentStatus{AvailableReplicas: available},
	}
	for _, override := range overrides {
		override(deployment)
	}
	return deployment
}

// lease is the lease of the controllers, renewed some time ago.
func lease(holder string, ago time.Duration) client.Object {
	return &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ksmscale-system", Name: v1alpha1.ControllerLeaseName},
		Spec: coordinationv1.LeaseSpec{
			HolderIdentity: &holder, LeaseDurationSeconds: new(int32(15)), RenewTime: new(metav1.NewMicroTime(fixtures.Time.Add(-ago))),
		},
	}
}

// installedController is a controller that works.
func installedController() []client.Object {
	return []client.Object{component("controller", 1), lease("controller-1_a", 2*time.Second)}
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
		version: "v1.29.3", dropsTolerance: true, lacks: []string{"create customresourcedefinitions.apiextensions.k8s.io", "create namespaces"},
		objects: append(registered("keda", "keda-operator-metrics-apiserver", "keda", apiregistrationv1.ConditionTrue), other),
	}.run(t, "check", "--pre")
	assert.Equal(t, exitNotYet, code)
	assert.Equal(t, `FAILED  Kubernetes: the version is v1.29.3, and the oldest supported one is 1.30
        upgrade Kubernetes
WARNING tolerance: the API server drops the tolerance of HorizontalPodAutoscalers, so they ignore steps of less than a tenth of the replicas
        turn the feature gate HPAConfigurableTolerance on, or set spec.autoscaling.mode to Direct
FAILED  rights to install: you lack the rights to create namespaces, create customresourcedefinitions.apiextensions.k8s.io
        install as a cluster administrator
WARNING external metrics API: keda/keda-operator-metrics-apiserver serves external metrics, and is not KSMScale's adapter
        set spec.autoscaling.mode to Direct, or put KSMScale's adapter in front of it with --delegate (docs/delegate.md)
NOTE    Prometheus Operator: the cluster has no ScrapeConfigs, so KSMScale creates none
        add the jobs of deploy/prometheus to your Prometheus (docs/prometheus.md)
NOTE    other kube-state-metrics: kube-system/ksm runs too
        replace it without a gap, as docs/migration.md describes
`, stdout)
}

func TestCheckWarnsOfLimitsOfOldVersions(t *testing.T) {
	code, stdout, _ := world{version: "v1.34.1", dropsTolerance: true}.run(t, "check", "--pre")
	assert.Zero(t, code)
	assert.Contains(t, stdout, "OK      Kubernetes: version v1.34.1\nWARNING tolerance: ")
}

func TestCheckFinds(t *testing.T) {
	installed := installedController()
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
		"a controller without a pod": {[]client.Object{component("controller", 0)}, exitNotYet, "FAILED  controller: 0 of 1 pods of ksmscale-system/ksmscale-controller are available\n"},
		"a controller scaled to 0": {[]client.Object{component("controller", 0, func(d *appsv1.Deployment) { d.Spec.Replicas = new(int32(0)) })}, exitNotYet,
			"are available, because it is scaled to 0\n        run kubectl -n ksmscale-system scale deployment ksmscale-controller --replicas=1\n"},
		"a controller that does not start": {[]client.Object{component("controller", 0), componentPod("controller", fixtures.Waiting("CrashLoopBackOff"))}, exitNotYet,
			"are available; pod controller-1: container kube-state-metrics, CrashLoopBackOff: reported by the kubelet\n        see kubectl -n ksmscale-system describe pods"},
		"refused pods": {[]client.Object{component("controller", 0, func(d *appsv1.Deployment) {
			d.Status.Conditions = []appsv1.DeploymentCondition{{Type: appsv1.DeploymentReplicaFailure, Status: corev1.ConditionTrue, Reason: "FailedCreate", Message: "exceeded quota"}}
		})}, exitNotYet, "are available; exceeded quota\n"},
		"a leader":                {installed, exitAsDesired, "OK      leader: controller-1 leads\n"},
		"no leader yet":           {[]client.Object{component("controller", 1)}, exitNotYet, "FAILED  leader: no controller has ever led, so KSMScales have no effect\n        see kubectl -n ksmscale-system logs deployment/ksmscale-controller\n"},
		"a leader that is gone":   {[]client.Object{component("controller", 1), lease("controller-1_a", time.Minute)}, exitNotYet, "FAILED  leader: no controller leads: controller-1 has not renewed its lease for 1m0s; until one leads,"},
		"a leader that has ended": {[]client.Object{component("controller", 1), lease("", time.Minute)}, exitNotYet, "FAILED  leader: no controller leads since 2025-12-31T23:59:00Z, when the last one ended; until"},
		"no election": {[]client.Object{component("controller", 1, func(d *appsv1.Deployment) {
			d.Spec.Template.Spec.Containers = []corev1.Container{{Args: []string{"--leader-elect=false"}}}
		})}, exitAsDesired, "OK      leader: the controller elects none"},
		"another adapter": {append(append(registered("keda", "keda-metrics", "keda", apiregistrationv1.ConditionFalse), component("adapter", 1)), installed...), exitAsDesired,
			"WARNING external metrics API: keda/keda-metrics is not available, MissingEndpoints: no endpoints, and is not KSMScale's adapter\n"},
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

// The clock of the user is 20 seconds ahead, so each lease of 15 seconds looks expired.
func TestCheckOfTheLeaderWithAnotherClock(t *testing.T) {
	renew := func(lease *coordinationv1.Lease) {
		lease.Spec.RenewTime.Time = lease.Spec.RenewTime.Add(2 * time.Second)
	}
	for name, test := range map[string]struct {
		second   func(*coordinationv1.Lease)
		code     int
		expected string
	}{
		"a leader":           {renew, exitAsDesired, "OK      leader: controller-1 leads\n"},
		"none":               {func(*coordinationv1.Lease) {}, exitNotYet, "FAILED  leader: no controller leads: controller-1 has not renewed its lease for 22s; until one leads,"},
		"another leader":     {func(lease *coordinationv1.Lease) { renew(lease); lease.Spec.HolderIdentity = new("controller-2_b") }, exitAsDesired, "OK      leader: controller-2 leads\n"},
		"a leader that ends": {func(lease *coordinationv1.Lease) { renew(lease); lease.Spec.HolderIdentity = new("") }, exitNotYet, "FAILED  leader: no controller leads since 2025-12-31T23:59:40Z, when the last one ended; until"},
	} {
		t.Run(name, func(t *testing.T) {
			looks := 0
			code, stdout, stderr := world{
				objects: []client.Object{component("controller", 1), lease("controller-1_a", 22*time.Second)},
				readLease: func(lease *coordinationv1.Lease) {
					if looks++; looks == 2 {
						test.second(lease)
					}
				},
			}.run(t, "check")
			assert.Empty(t, stderr)
			assert.Equal(t, test.code, code, stdout)
			assert.Contains(t, stdout, test.expected)
			assert.Equal(t, 2, looks)
		})
	}
	assert.Greater(t, verify.PauseLength, 2*flags.NewOptions().RetryPeriod, "a leader renews its lease between two looks")
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
	for _, one := range check.InstalledKinds {
		named.Insert(one.Resource)
	}
	assert.Equal(t, sets.List(installed), sets.List(named))
}

func TestCheckAsJSON(t *testing.T) {
	_, stdout, _ := world{}.run(t, "check", "--pre", "-o", "json")
	var result struct{ Checks []check.Result }
	require.NoError(t, json.Unmarshal([]byte(stdout), &result))
	assert.Equal(t, check.Result{Check: "Kubernetes", Verdict: check.Passed, Message: "version v1.37.2"}, result.Checks[0])
}

// componentPod is a pod of the installation.
func componentPod(name string, override func(*corev1.Pod)) client.Object {
	pod := fixtures.Pod(0, "a", override)
	pod.Namespace, pod.Name, pod.Labels = "ksmscale-system", name+"-1", map[string]string{"app.kubernetes.io/name": "ksmscale", "app.kubernetes.io/component": name}
	return &pod
}

func TestCheckCertificates(t *testing.T) {
	const day = 24 * time.Hour
	certificate := func(validity, left time.Duration) *x509.Certificate {
		end := fixtures.Time.Add(left)
		return &x509.Certificate{NotBefore: end.Add(-validity), NotAfter: end}
	}
	unready := componentPod("adapter", fixtures.NotReady)
	running := componentPod("adapter", func(*corev1.Pod) {})
	for name, test := range map[string]struct {
		served   *x509.Certificate
		pod      client.Object
		expected string
	}{
		"valid":                    {certificate(365*day, 91*day), running, "OK      certificate of the adapter: it is valid until 2026-04-02\n"},
		"near its end":             {certificate(365*day, 40*day+time.Hour), running, "WARNING certificate of the adapter: it ends on 2026-02-10, in 40 days, and should have been renewed\n        see why the controller has not renewed it: kubectl -n ksmscale-system logs deployment/ksmscale-controller | grep -i cert\n"},
		"of a day, renewed hourly": {certificate(day, 12*time.Hour), running, "OK      certificate of the adapter: it is valid until 2026-01-01\n"},
		"ended":                    {certificate(365*day, -time.Hour), running, "FAILED  certificate of the adapter: it ended on 2025-12-31, so the API server refuses the adapter\n"},
		"no pod serves it":         {nil, unready, "OK      leader: controller-1 leads\n"},
	} {
		t.Run(name, func(t *testing.T) {
			objects := append(registered("ksmscale-system", "ksmscale-adapter", "ksmscale", apiregistrationv1.ConditionTrue), component("adapter", 1), test.pod)
			_, stdout, _ := world{objects: append(objects, installedController()...), served: test.served, hidesSecrets: true}.run(t, "check")
			assert.Contains(t, stdout, test.expected)
		})
	}
	assert.Equal(t, flags.NewOptions().CertificateRenewBefore/2, check.CertificateWarning, "the alert and the check agree")
}

func TestCheckShards(t *testing.T) {
	policy := &networkingv1.NetworkPolicy{
		ObjectMeta: metav1.ObjectMeta{Namespace: "monitoring", Name: "deny-all"},
		Spec:       networkingv1.NetworkPolicySpec{PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress}},
	}
	egress := policy.DeepCopy()
	egress.Name, egress.Spec.PolicyTypes = "egress", []networkingv1.PolicyType{networkingv1.PolicyTypeEgress}
	objects := append(append(append(threeShards(), ready(), policy, egress), installedController()...), registered("ksmscale-system", "ksmscale-adapter", "ksmscale", apiregistrationv1.ConditionTrue)...)
	code, stdout, stderr := world{objects: objects, refuses: []string{"list nodes", "watch nodes", "watch configmaps"}}.run(t, "check")
	assert.Empty(t, stderr)
	assert.Equal(t, exitNotYet, code)
	assert.Contains(t, stdout, "FAILED  KSMScale main: service account monitoring/ksm-main lacks the rights to list nodes, watch configmaps, watch nodes\n        grant them, or leave the resources out of spec.metrics.resources\n")
	assert.Contains(t, stdout, "NOTE    KSMScale main: NetworkPolicy deny-all limits who may connect to its pods\n")

	_, stdout, _ = world{objects: objects, unserved: "nodes"}.run(t, "check")
	assert.Contains(t, stdout, "FAILED  KSMScale main: the cluster has no nodes, so kube-state-metrics cannot list them\n        leave them out of spec.metrics.resources\n")
	assert.NotContains(t, stdout, "lacks the rights")
}
