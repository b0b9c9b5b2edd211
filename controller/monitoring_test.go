package controller

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	monitoringv1alpha1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1alpha1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/sets"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/yaml"

	"github.com/example/ksmscale/api/v1alpha1"
)

const (
	scrapeConfigKind   = monitoringv1alpha1.ScrapeConfigsKind
	serviceMonitorKind = monitoringv1.ServiceMonitorsKind
	ruleKind           = monitoringv1.PrometheusRuleKind
)

func monitoredBy(config v1alpha1.MonitoringConfig) *v1alpha1.KSMScale {
	return ksmScaleWith(func(k *v1alpha1.KSMScale) { k.Spec.Monitoring = config })
}

// rulesOfJob is which targets a job has, and its relabelling as both Prometheus and its operator spell it.
type rulesOfJob struct {
	Selector               string
	Relabel, MetricRelabel []map[string]any
}

func relabelling(t *testing.T, from, into any) {
	t.Helper()
	data, err := json.Marshal(from)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(data, into))
}

// plainJobs are those of a file for a Prometheus without its operator.
func plainJobs(t *testing.T, file string) map[string]rulesOfJob {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("../deploy/prometheus", file))
	require.NoError(t, err)
	var config struct {
		ScrapeConfigs []struct {
			JobName   string `json:"job_name"`
			Discovery []struct {
				Selectors []struct{ Label string }
			} `json:"kubernetes_sd_configs"`
			Relabel       []map[string]any `json:"relabel_configs"`
			MetricRelabel []map[string]any `json:"metric_relabel_configs"`
		} `json:"scrape_configs"`
	}
	require.NoError(t, yaml.Unmarshal(data, &config))
	jobs := map[string]rulesOfJob{}
	for _, job := range config.ScrapeConfigs {
		for _, rules := range [][]map[string]any{job.Relabel, job.MetricRelabel} {
			for _, rule := range rules {
				if rule["action"] == nil {
					rule["action"] = "replace"
				}
				for plain, operators := range map[string]string{"source_labels": "sourceLabels", "target_label": "targetLabel"} {
					if value, ok := rule[plain]; ok {
						rule[operators] = value
						delete(rule, plain)
					}
				}
			}
		}
		jobs[job.JobName] = rulesOfJob{job.Discovery[0].Selectors[0].Label, job.Relabel, job.MetricRelabel}
	}
	return jobs
}

// The jobs of the Prometheus Operator are those that are shipped, and tested with a real Prometheus.
func TestScrapeConfigsAreTheShippedJobs(t *testing.T) {
	jobs := plainJobs(t, "prometheus.yaml")
	made := scrapeConfigs(monitoredBy(v1alpha1.MonitoringConfig{
		Interval:      metav1.Duration{Duration: 90 * time.Second},
		ScrapeTimeout: &metav1.Duration{Duration: 1500 * time.Millisecond},
		Labels:        map[string]v1alpha1.LabelValue{"release": "kube-prometheus-stack", v1alpha1.LabelKSMScale: "other"},
	}))
	require.Len(t, made, 3)
	// The job for pods is two here, each with one of its ports, which is its first rule.
	ports := map[string]string{"ksm-main.pods": "telemetry", "ksm-main.gates": "gate"}
	assert.Equal(t, "telemetry|gate", jobs[v1alpha1.JobPods].Relabel[0]["regex"])
	for _, is := range made {
		require.Len(t, is.Spec.KubernetesSDConfigs, 1)
		require.Len(t, is.Spec.KubernetesSDConfigs[0].Selectors, 1)
		selector := *is.Spec.KubernetesSDConfigs[0].Selectors[0].Label
		// A file has the jobs of all KSMScales.
		got := rulesOfJob{Selector: strings.Replace(selector, "ksmscale.example.com=main", "ksmscale.example.com", 1)}
		relabelling(t, is.Spec.RelabelConfigs, &got.Relabel)
		relabelling(t, is.Spec.MetricRelabelConfigs, &got.MetricRelabel)
		wanted := jobs[*is.Spec.JobName]
		if port, ok := ports[*is.Name]; ok {
			wanted.Relabel[0]["regex"] = port
		}
		assert.Equal(t, wanted, got, *is.Name)
		assert.Equal(t, "monitoring", *is.Namespace)
		assert.Equal(t, "1m30s", string(*is.Spec.ScrapeInterval))
		assert.Equal(t, "1s500ms", string(*is.Spec.ScrapeTimeout))
		assert.Equal(t, "kube-prometheus-stack", is.Labels["release"])
		assert.Equal(t, "main", is.Labels[v1alpha1.LabelKSMScale], "ours is not overridden")
		assert.Contains(t, selector, "ksmscale.example.com=main")
	}
	assert.True(t, *made[0].Spec.HonorLabels)
}

func TestServiceMonitorStoresAsEveryPod(t *testing.T) {
	spec := serviceMonitor(monitoredBy(v1alpha1.MonitoringConfig{})).Spec
	require.Len(t, spec.Endpoints, 3)
	selector, err := metav1.LabelSelectorAsSelector(as[metav1.LabelSelector](spec.Selector))
	require.NoError(t, err)
	assert.Equal(t, "ksmscale.example.com=main,!ksmscale.example.com/retired", selector.String())
	metrics := spec.Endpoints[0]
	assert.True(t, *metrics.HonorLabels)
	assert.Equal(t, "30s", string(*metrics.Interval))
	assert.Nil(t, metrics.ScrapeTimeout)
	wanted := plainJobs(t, "every-pod.yaml")[v1alpha1.JobMetrics]
	var got rulesOfJob
	relabelling(t, metrics.RelabelConfigs, &got.Relabel)
	relabelling(t, metrics.MetricRelabelConfigs, &got.MetricRelabel)
	assert.Equal(t, wanted.MetricRelabel, got.MetricRelabel)
	// The port is chosen by the endpoint, and so is whether it is ready.
	assert.Equal(t, []any{"__meta_kubernetes_pod_ready"}, wanted.Relabel[1]["sourceLabels"])
	assert.Subset(t, got.Relabel, wanted.Relabel[2:])
}

// Prometheus does not look again at the pod of an endpoint that stays as it is.
func TestServiceMonitorAsksTheEndpointWhetherItIsReady(t *testing.T) {
	metrics := serviceMonitor(monitoredBy(v1alpha1.MonitoringConfig{})).Spec.Endpoints[0]
	for _, test := range []struct {
		label, value string
		ready        bool
	}{
		{"__meta_kubernetes_endpoint_ready", "true", true},
		{"__meta_kubernetes_endpoint_ready", "false", false},
		{"__meta_kubernetes_endpointslice_endpoint_conditions_ready", "true", true},
		{"__meta_kubernetes_endpointslice_endpoint_conditions_ready", "false", false},
		{"__meta_kubernetes_pod_ready", "true", false},
	} {
		endpoint := map[string]string{test.label: test.value}
		kept := true
		for _, rule := range metrics.RelabelConfigs {
			if *rule.Action != "keep" {
				continue
			}
			var values []string
			for _, name := range rule.SourceLabels {
				values = append(values, endpoint[string(name)])
			}
			kept = kept && regexp.MustCompile("^(?:"+*rule.Regex+")$").MatchString(strings.Join(values, ";"))
		}
		assert.Equal(t, test.ready, kept, endpoint)
	}
}

// What is scraped of a port, as the Prometheus Operator reads it; its kinds differ in how they write the scheme.
type scraped struct {
	Scheme        monitoringv1.Scheme             `json:"scheme"`
	TLSConfig     *monitoringv1.SafeTLSConfig     `json:"tlsConfig"`
	Authorization *monitoringv1.SafeAuthorization `json:"authorization"`
}

// Both kinds verify kube-state-metrics, and send it credentials, alike; the gate is scraped as it always is.
func TestSecureScraping(t *testing.T) {
	key := v1alpha1.KeySelector{Name: "certificate", Key: "ca.crt"}
	secret := &corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: "certificate"}, Key: "ca.crt"}
	configMap := &corev1.ConfigMapKeySelector{LocalObjectReference: secret.LocalObjectReference, Key: "ca.crt"}
	for name, test := range map[string]struct {
		monitoring v1alpha1.MonitoringConfig
		tls        *v1alpha1.TLSConfig
		wanted     scraped
	}{
		"neither": {},
		"a Secret with the authority": {
			monitoring: v1alpha1.MonitoringConfig{TLSConfig: &v1alpha1.ScrapeTLSConfig{CA: &v1alpha1.SecretOrConfigMap{Secret: &key}}},
			tls:        &v1alpha1.TLSConfig{SecretName: "certificate"},
			wanted: scraped{Scheme: "https", TLSConfig: &monitoringv1.SafeTLSConfig{
				CA: monitoringv1.SecretOrConfigMap{Secret: secret}, ServerName: new("ksm-main.monitoring.svc"),
			}},
		},
		"a ConfigMap with it, and a name": {
			monitoring: v1alpha1.MonitoringConfig{TLSConfig: &v1alpha1.ScrapeTLSConfig{
				CA: &v1alpha1.SecretOrConfigMap{ConfigMap: &key}, ServerName: "example.com",
			}},
			tls: &v1alpha1.TLSConfig{SecretName: "certificate"},
			wanted: scraped{Scheme: "https", TLSConfig: &monitoringv1.SafeTLSConfig{
				CA: monitoringv1.SecretOrConfigMap{ConfigMap: configMap}, ServerName: new("example.com"),
			}},
		},
		"nothing verified": {
			monitoring: v1alpha1.MonitoringConfig{TLSConfig: &v1alpha1.ScrapeTLSConfig{InsecureSkipVerify: true}},
			tls:        &v1alpha1.TLSConfig{SecretName: "certificate"},
			wanted: scraped{Scheme: "https", TLSConfig: &monitoringv1.SafeTLSConfig{
				ServerName: new("ksm-main.monitoring.svc"), InsecureSkipVerify: new(true),
			}},
		},
		"credentials": {
			monitoring: v1alpha1.MonitoringConfig{Authorization: &v1alpha1.ScrapeAuthorization{Credentials: key}},
			wanted:     scraped{Authorization: &monitoringv1.SafeAuthorization{Credentials: secret}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			ksmScale := monitoredBy(test.monitoring)
			ksmScale.Spec.Metrics.TLS = test.tls
			wanted := []scraped{test.wanted, test.wanted, {}}
			var got []scraped
			relabelling(t, serviceMonitor(ksmScale).Spec.Endpoints, &got)
			assert.Equal(t, wanted, got)
			for i, is := range scrapeConfigs(ksmScale) {
				var got scraped
				relabelling(t, is.Spec, &got)
				got.Scheme = monitoringv1.Scheme(strings.ToLower(string(got.Scheme)))
				assert.Equal(t, wanted[i], got, *is.Name)
			}
		})
	}
	ksmScale := monitoredBy(v1alpha1.MonitoringConfig{TLSConfig: &v1alpha1.ScrapeTLSConfig{InsecureSkipVerify: true}})
	ksmScale.Spec.Metrics.TLS = &v1alpha1.TLSConfig{SecretName: "certificate"}
	assert.EqualValues(t, "HTTPS", *scrapeConfigs(ksmScale)[0].Spec.Scheme, "older ones know it in upper case only")
	assert.EqualValues(t, "https", *serviceMonitor(ksmScale).Spec.Endpoints[0].Scheme, "older ones know it in lower case only")
}

func TestPrometheusRule(t *testing.T) {
	groups := func(deduplicate bool) []string {
		var names []string
		for _, group := range prometheusRule(ksmScaleWith(), deduplicate).Spec.Groups {
			names = append(names, *group.Name)
			assert.NotEmpty(t, group.Rules)
		}
		return names
	}
	assert.Equal(t, []string{"ksmscale.rules", "ksmscale.alerts"}, groups(false))
	assert.Equal(t, []string{"ksmscale.rules", "ksmscale.alerts", "ksmscale.deduplicate"}, groups(true))
	assert.Len(t, groups(false), 2, "what is shipped stays as it is")
}

func TestOneKSMScaleHasTheRules(t *testing.T) {
	named := func(name string, config v1alpha1.MonitoringConfig) v1alpha1.KSMScale {
		is := monitoredBy(config)
		is.Name = name
		return *is
	}
	asks := v1alpha1.MonitoringConfig{Rules: true}
	assert.Equal(t, rulesFor{}, rulesOf([]v1alpha1.KSMScale{named("a", v1alpha1.MonitoringConfig{})}))
	assert.Equal(t, rulesFor{ksmScale: "b", deduplicate: true}, rulesOf([]v1alpha1.KSMScale{
		named("c", asks), named("b", asks), named("a", v1alpha1.MonitoringConfig{Type: v1alpha1.MonitoringServiceMonitor}),
	}))
}

func TestMonitoringCondition(t *testing.T) {
	all := []string{scrapeConfigKind, serviceMonitorKind, ruleKind}
	for _, test := range []struct {
		name      string
		config    v1alpha1.MonitoringConfig
		installed []string
		err       error
		status    metav1.ConditionStatus
		reason    string
		message   string
	}{
		{"unset and installed", v1alpha1.MonitoringConfig{}, all, nil, metav1.ConditionTrue, v1alpha1.ReasonCreated, "There is a ScrapeConfig ksm-main in namespace monitoring"},
		{"unset and not installed", v1alpha1.MonitoringConfig{}, nil, nil, metav1.ConditionTrue, v1alpha1.ReasonOperatorNotInstalled, "scrapeconfigs.monitoring.coreos.com is not installed"},
		{"asked for and not installed", v1alpha1.MonitoringConfig{Type: v1alpha1.MonitoringServiceMonitor}, []string{scrapeConfigKind}, nil, metav1.ConditionFalse, v1alpha1.ReasonCRDNotInstalled, "servicemonitors.monitoring.coreos.com is not installed"},
		{"rules not installed", v1alpha1.MonitoringConfig{Rules: true}, []string{scrapeConfigKind}, nil, metav1.ConditionFalse, v1alpha1.ReasonCRDNotInstalled, "prometheusrules.monitoring.coreos.com is not installed"},
		{"none", v1alpha1.MonitoringConfig{Type: v1alpha1.MonitoringNone}, all, nil, metav1.ConditionTrue, v1alpha1.ReasonDisabled, "None"},
		{"rules only", v1alpha1.MonitoringConfig{Type: v1alpha1.MonitoringNone, Rules: true}, all, nil, metav1.ConditionTrue, v1alpha1.ReasonCreated, "There is a PrometheusRule ksm-main"},
		{"not ours", v1alpha1.MonitoringConfig{}, all, notOwnedError{"ScrapeConfig", "ksm-main"}, metav1.ConditionFalse, v1alpha1.ReasonNotOwned, "was not made for this KSMScale"},
		{"forbidden", v1alpha1.MonitoringConfig{}, all, apierrors.NewForbidden(schema.GroupResource{}, "ksm-main", errors.New("no")), metav1.ConditionFalse, v1alpha1.ReasonForbidden, "no"},
	} {
		t.Run(test.name, func(t *testing.T) {
			ksmScale := monitoredBy(test.config)
			in := conditionInput{ksmScale: ksmScale, failed: failures{monitoring: test.err}, observed: observed{monitoring: monitoring{
				known: true, installed: sets.New(test.installed...), rules: rulesOf([]v1alpha1.KSMScale{*ksmScale}),
			}}}
			got := monitored(in)
			assert.Equal(t, string(test.status)+" "+test.reason, string(got.Status)+" "+got.Reason)
			assert.Contains(t, got.Message, test.message)
		})
	}
}

func TestMonitoringConditionTellsOfAMissingToken(t *testing.T) {
	credentials := &v1alpha1.ScrapeAuthorization{Credentials: v1alpha1.KeySelector{Name: "reader", Key: "token"}}
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
			ksmScale := monitoredBy(test.config)
			ksmScale.Spec.Metrics.AuthFilter = test.filter
			got := monitored(conditionInput{ksmScale: ksmScale, observed: observed{monitoring: monitoring{known: true, installed: sets.New(scrapeConfigKind)}}})
			assert.Equal(t, metav1.ConditionTrue, got.Status)
			assert.Equal(t, test.told, strings.Contains(got.Message, "; Prometheus is given no token for spec.metrics.authFilter"), got.Message)
		})
	}
}

// What nobody has looked for yet changes no condition.
func TestMonitoringIsUnknownAtFirst(t *testing.T) {
	assert.Nil(t, meta.FindStatusCondition(newWorld().status().Conditions, v1alpha1.ConditionMonitoring))
	missing := newWorld(func(w *world) {
		w.ksmScale.Spec.Monitoring.Type = v1alpha1.MonitoringScrapeConfig
		w.observed.monitoring = monitoring{known: true, installed: sets.New[string]()}
	}).status()
	ready := meta.FindStatusCondition(missing.Conditions, v1alpha1.ConditionReady)
	assert.Equal(t, v1alpha1.ReasonCRDNotInstalled, ready.Reason)
}

// installed are the kinds that an API server has.
type installed []schema.GroupVersionKind

func (i installed) ServerResourcesForGroupVersion(groupVersion string) (*metav1.APIResourceList, error) {
	list := &metav1.APIResourceList{GroupVersion: groupVersion}
	for _, kind := range i {
		if kind.GroupVersion().String() == groupVersion {
			list.APIResources = append(list.APIResources, metav1.APIResource{Kind: kind.Kind})
		}
	}
	if len(list.APIResources) == 0 {
		return nil, apierrors.NewNotFound(schema.GroupResource{}, groupVersion)
	}
	return list, nil
}

func TestMonitorsTellOfChangesOnly(t *testing.T) {
	r, _ := newReconciler(t, planner{nodes: 60}, nil)
	objects := fake.NewClientBuilder().WithScheme(r.Client.Scheme()).Build()
	kinds := installed{}
	changed := newChanges()
	monitors := NewMonitors(&kinds, r.Client, objects, clocktesting.NewFakeClock(testTime), changed.notify)
	assert.False(t, monitors.found().known)
	told := func() bool {
		require.NoError(t, monitors.look(t.Context()))
		select {
		case <-changed:
			return true
		default:
			return false
		}
	}
	assert.True(t, told())
	assert.False(t, told())
	kinds = monitorKinds
	assert.True(t, told(), "kinds have come")
	assert.False(t, told())
	assert.Len(t, monitors.found().installed, 3)

	made := &monitoringv1.ServiceMonitor{ObjectMeta: metav1.ObjectMeta{Namespace: "monitoring", Name: "ksm-main", UID: "uid", Labels: map[string]string{v1alpha1.LabelKSMScale: "main"}}}
	require.NoError(t, objects.Create(t.Context(), made))
	assert.True(t, told(), "an object has come")
	assert.Equal(t, serviceMonitorKind, monitors.found().objects[monitorKey{serviceMonitorKind, client.ObjectKeyFromObject(made)}].Kind)
	kinds = nil
	assert.True(t, told(), "kinds have gone")
	assert.Empty(t, monitors.found().installed)
}

// Objects follow the type, are not written again when they are as wanted, and those of others are left alone.
func TestMonitorsAreAppliedAndPruned(t *testing.T) {
	var applied int
	r, _ := newReconciler(t, planner{nodes: 60}, func(kind, _ string) error {
		if _, ours := monitorResources[kind]; ours {
			applied++
		}
		return nil
	})
	kinds := installed(monitorKinds)
	r.Monitors = NewMonitors(&kinds, r.Client, r.Client, clocktesting.NewFakeClock(testTime), func() {})
	foreign := &monitoringv1.ServiceMonitor{ObjectMeta: metav1.ObjectMeta{
		Namespace: "monitoring", Name: "foreign", UID: "foreign", Labels: map[string]string{v1alpha1.LabelKSMScale: "main"},
	}}
	require.NoError(t, r.Client.Create(t.Context(), foreign))
	again := func(change func(*v1alpha1.MonitoringConfig)) {
		ksmScale := readMain(t, r)
		change(&ksmScale.Spec.Monitoring)
		require.NoError(t, r.Client.Update(t.Context(), ksmScale))
		for range 2 {
			require.NoError(t, r.Monitors.look(t.Context()))
			_, err := reconcileMain(t, r)
			require.NoError(t, err)
		}
	}
	names := func(list client.ObjectList) int {
		require.NoError(t, r.Client.List(t.Context(), list))
		return meta.LenList(list)
	}
	again(func(c *v1alpha1.MonitoringConfig) { c.Rules = true })
	assert.Equal(t, 3, names(&monitoringv1alpha1.ScrapeConfigList{}))
	assert.Equal(t, 1, names(&monitoringv1.PrometheusRuleList{}))
	assert.Equal(t, 4, applied, "each once")
	again(func(c *v1alpha1.MonitoringConfig) { c.Labels = map[string]v1alpha1.LabelValue{"release": "stack"} })
	assert.Equal(t, 8, applied)
	again(func(c *v1alpha1.MonitoringConfig) { c.Labels = nil })
	assert.Equal(t, 12, applied, "a label that is no longer wanted is taken away")
	again(func(c *v1alpha1.MonitoringConfig) {
		c.TLSConfig = &v1alpha1.ScrapeTLSConfig{CA: &v1alpha1.SecretOrConfigMap{Secret: &v1alpha1.KeySelector{Name: "a", Key: "b"}}}
		c.Authorization = &v1alpha1.ScrapeAuthorization{Credentials: v1alpha1.KeySelector{Name: "a", Key: "b"}}
	})
	assert.Equal(t, 14, applied, "those of kube-state-metrics, once")
	again(func(c *v1alpha1.MonitoringConfig) { c.TLSConfig, c.Authorization = nil, nil })
	assert.Equal(t, 16, applied, "and without")

	again(func(c *v1alpha1.MonitoringConfig) { c.Type = v1alpha1.MonitoringServiceMonitor })
	assert.Zero(t, names(&monitoringv1alpha1.ScrapeConfigList{}))
	assert.Equal(t, 2, names(&monitoringv1.ServiceMonitorList{}), "ours, and the foreign one")
	assert.Equal(t, 18, applied, "with the rules that it needs")
	again(func(c *v1alpha1.MonitoringConfig) { c.TLSConfig = &v1alpha1.ScrapeTLSConfig{InsecureSkipVerify: true} })
	assert.Equal(t, 19, applied)
	again(func(c *v1alpha1.MonitoringConfig) { c.Type, c.Rules = v1alpha1.MonitoringNone, false })
	assert.Zero(t, names(&monitoringv1.PrometheusRuleList{}))
	assert.Equal(t, 1, names(&monitoringv1.ServiceMonitorList{}), "the foreign one")
}
