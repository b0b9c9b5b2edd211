package objects

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/controller/fixtures"
)

// rulesOfJob is which targets a job has, and its relabelling as both Prometheus and its operator spell it.
type rulesOfJob struct {
	Selector               string
	Relabel, MetricRelabel []map[string]any
}

// plainJobs are those of a file for a Prometheus without its operator.
func plainJobs(t *testing.T, file string) map[string]rulesOfJob {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("../../deploy/prometheus", file))
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
	created := ScrapeConfigs(fixtures.MonitoredBy(v1alpha1.MonitoringConfig{
		Interval:      metav1.Duration{Duration: 90 * time.Second},
		ScrapeTimeout: &metav1.Duration{Duration: 1500 * time.Millisecond},
		BodySizeLimit: new(resource.MustParse("16Mi")),
		Labels:        map[string]v1alpha1.LabelValue{"release": "kube-prometheus-stack", v1alpha1.LabelKSMScale: "other"},
	}))
	require.Len(t, created, 3)
	// The job for pods is two here, each with one of its ports, which is its first rule.
	ports := map[string]string{"ksm-main.pods": "telemetry", "ksm-main.gates": "gate"}
	assert.Equal(t, "telemetry|gate", jobs[v1alpha1.JobPods].Relabel[0]["regex"])
	for _, config := range created {
		require.Len(t, config.Spec.KubernetesSDConfigs, 1)
		require.Len(t, config.Spec.KubernetesSDConfigs[0].Selectors, 1)
		selector := *config.Spec.KubernetesSDConfigs[0].Selectors[0].Label
		// A file has the jobs of all KSMScales.
		got := rulesOfJob{Selector: strings.Replace(selector, "ksmscale.example.com=main", "ksmscale.example.com", 1)}
		fixtures.Convert(t, config.Spec.RelabelConfigs, &got.Relabel)
		fixtures.Convert(t, config.Spec.MetricRelabelConfigs, &got.MetricRelabel)
		desired := jobs[*config.Spec.JobName]
		if port, ok := ports[*config.Name]; ok {
			desired.Relabel[0]["regex"] = port
		}
		assert.Equal(t, desired, got, *config.Name)
		assert.Equal(t, "monitoring", *config.Namespace)
		assert.Equal(t, "1m30s", string(*config.Spec.ScrapeInterval))
		assert.Equal(t, "1s500ms", string(*config.Spec.ScrapeTimeout))
		assert.Equal(t, "kube-prometheus-stack", config.Labels["release"])
		assert.Equal(t, "main", config.Labels[v1alpha1.LabelKSMScale], "ours is not overridden")
		assert.Contains(t, selector, "ksmscale.example.com=main")
	}
	assert.True(t, *created[0].Spec.HonorLabels)
	assert.Equal(t, "16777216B", string(*created[0].Spec.BodySizeLimit))
	assert.Nil(t, created[1].Spec.BodySizeLimit, "only the metrics of objects are large")
}

func TestServiceMonitorStoresAsEveryPod(t *testing.T) {
	spec := ServiceMonitor(fixtures.MonitoredBy(v1alpha1.MonitoringConfig{})).Spec
	require.Len(t, spec.Endpoints, 3)
	selector, err := metav1.LabelSelectorAsSelector(As[metav1.LabelSelector](spec.Selector))
	require.NoError(t, err)
	assert.Equal(t, "ksmscale.example.com=main,!ksmscale.example.com/retired", selector.String())
	metrics := spec.Endpoints[0]
	assert.True(t, *metrics.HonorLabels)
	assert.Equal(t, "30s", string(*metrics.Interval))
	assert.Nil(t, metrics.ScrapeTimeout)
	assert.Nil(t, spec.BodySizeLimit)
	limited := ServiceMonitor(fixtures.MonitoredBy(v1alpha1.MonitoringConfig{BodySizeLimit: new(resource.MustParse("16M"))})).Spec
	assert.Equal(t, "16000000B", string(*limited.BodySizeLimit))
	desired := plainJobs(t, "every-pod.yaml")[v1alpha1.JobMetrics]
	var got rulesOfJob
	fixtures.Convert(t, metrics.RelabelConfigs, &got.Relabel)
	fixtures.Convert(t, metrics.MetricRelabelConfigs, &got.MetricRelabel)
	assert.Equal(t, desired.MetricRelabel, got.MetricRelabel)
	// The port is chosen by the endpoint, and so is whether it is ready.
	assert.Equal(t, []any{"__meta_kubernetes_pod_ready"}, desired.Relabel[1]["sourceLabels"])
	assert.Subset(t, got.Relabel, desired.Relabel[2:])
}

// Prometheus does not look again at the pod of an endpoint that stays as it is.
func TestServiceMonitorAsksTheEndpointWhetherItIsReady(t *testing.T) {
	metrics := ServiceMonitor(fixtures.MonitoredBy(v1alpha1.MonitoringConfig{})).Spec.Endpoints[0]
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
		tls        v1alpha1.TLSConfig
		desired    scraped
	}{
		"neither": {},
		"a Secret with the authority": {
			monitoring: v1alpha1.MonitoringConfig{TLSConfig: &v1alpha1.ScrapeTLSConfig{CA: &v1alpha1.SecretOrConfigMap{Secret: key}}},
			tls:        v1alpha1.TLSConfig{SecretName: "certificate"},
			desired: scraped{Scheme: "https", TLSConfig: &monitoringv1.SafeTLSConfig{
				CA: monitoringv1.SecretOrConfigMap{Secret: secret}, ServerName: new("ksm-main.monitoring.svc"),
			}},
		},
		"a ConfigMap with it, and a name": {
			monitoring: v1alpha1.MonitoringConfig{TLSConfig: &v1alpha1.ScrapeTLSConfig{
				CA: &v1alpha1.SecretOrConfigMap{ConfigMap: key}, ServerName: "example.com",
			}},
			tls: v1alpha1.TLSConfig{SecretName: "certificate"},
			desired: scraped{Scheme: "https", TLSConfig: &monitoringv1.SafeTLSConfig{
				CA: monitoringv1.SecretOrConfigMap{ConfigMap: configMap}, ServerName: new("example.com"),
			}},
		},
		"nothing verified": {
			monitoring: v1alpha1.MonitoringConfig{TLSConfig: &v1alpha1.ScrapeTLSConfig{InsecureSkipVerify: true}},
			tls:        v1alpha1.TLSConfig{SecretName: "certificate"},
			desired: scraped{Scheme: "https", TLSConfig: &monitoringv1.SafeTLSConfig{
				ServerName: new("ksm-main.monitoring.svc"), InsecureSkipVerify: new(true),
			}},
		},
		"credentials": {
			monitoring: v1alpha1.MonitoringConfig{Authorization: v1alpha1.ScrapeAuthorization{Credentials: key}},
			desired:    scraped{Authorization: &monitoringv1.SafeAuthorization{Credentials: secret}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			ksmScale := fixtures.MonitoredBy(test.monitoring)
			ksmScale.Spec.Metrics.TLS = test.tls
			desired := []scraped{test.desired, test.desired, {}}
			var got []scraped
			fixtures.Convert(t, ServiceMonitor(ksmScale).Spec.Endpoints, &got)
			assert.Equal(t, desired, got)
			for i, config := range ScrapeConfigs(ksmScale) {
				var got scraped
				fixtures.Convert(t, config.Spec, &got)
				got.Scheme = monitoringv1.Scheme(strings.ToLower(string(got.Scheme)))
				assert.Equal(t, desired[i], got, *config.Name)
			}
		})
	}
	ksmScale := fixtures.MonitoredBy(v1alpha1.MonitoringConfig{TLSConfig: &v1alpha1.ScrapeTLSConfig{InsecureSkipVerify: true}})
	ksmScale.Spec.Metrics.TLS = v1alpha1.TLSConfig{SecretName: "certificate"}
	assert.EqualValues(t, "HTTPS", *ScrapeConfigs(ksmScale)[0].Spec.Scheme, "older ones know it in upper case only")
	assert.EqualValues(t, "https", *ServiceMonitor(ksmScale).Spec.Endpoints[0].Scheme, "older ones know it in lower case only")
}

func TestPrometheusRule(t *testing.T) {
	groups := func(deduplicate bool) []string {
		var names []string
		for _, group := range PrometheusRule(fixtures.KSMScale(), deduplicate).Spec.Groups {
			names = append(names, *group.Name)
			assert.NotEmpty(t, group.Rules)
		}
		return names
	}
	assert.Equal(t, []string{"ksmscale.rules", "ksmscale.alerts"}, groups(false))
	assert.Equal(t, []string{"ksmscale.rules", "ksmscale.alerts", "ksmscale.deduplicate"}, groups(true))
	assert.Len(t, groups(false), 2, "what is shipped stays as it is")
}
