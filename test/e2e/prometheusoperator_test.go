package e2e

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"github.com/prometheus/client_golang/api"
	prometheusv1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/test/cluster/image"
	"github.com/example/ksmscale/test/prometheus/server"
)

const (
	operatorModule = "github.com/prometheus-operator/prometheus-operator"
	// operatedVersion is the version of the Operator's Prometheus, which is v0.313.5 as a module.
	operatedVersion = "v3.13.5"
	// selectedLabel is what its Prometheus servers select rules by.
	selectedLabel, selected = "release", "e2e"

	controllerJob, adapterJob = "ksmscale-controller", "ksmscale-adapter"
)

// additionalJobs are the jobs of KSMScale itself.
var additionalJobs = corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: "jobs"}, Key: "jobs.yaml"}

// startOperator runs the Prometheus Operator, with its CustomResourceDefinitions, until the test ends.
func startOperator(t *testing.T) {
	t.Helper()
	list := exec.CommandContext(t.Context(), "go", "list", "-m", "-json", operatorModule)
	list.Dir = filepath.Join(shared.root, "test", "cluster", "binaries", "prometheus-operator")
	output, err := list.Output()
	require.NoError(t, err)
	var module struct{ Dir string }
	require.NoError(t, json.Unmarshal(output, &module))
	definitions := filepath.Join(module.Dir, "example", "prometheus-operator-crd")
	kubectl(t, "apply", "--server-side", "-f", definitions)
	t.Cleanup(func() { kubectl(t, "delete", "--ignore-not-found", "-f", definitions) })
	// The Operator looks once, when it starts.
	kubectl(t, "wait", "--for=condition=Established", "--timeout="+waitTimeout.String(), "-f", definitions)
	server.RunProgram(t, "Prometheus Operator", exec.Command("env", "KUBECONFIG="+shared.kubeconfig,
		filepath.Join(shared.root, "bin", "prometheus-operator"),
		"--web.listen-address="+server.FreeAddress(t),
		"--prometheus-config-reloader="+image.ConfigReloaderReference,
		"--log-level=warn"))
}

// startOperated configures the Prometheus Operator to run a Prometheus for each KSMScale, in a restricted namespace, with
// the documented rights.
func startOperated(t *testing.T, selector string, ksmScales ...*v1alpha1.KSMScale) []*prometheusServer {
	t.Helper()
	namespace := restricted(t)
	create(t, documentedRights(t, namespace)...)
	shipped := server.ScrapeConfigs(t, "prometheus.yaml")
	jobs, err := yaml.Marshal([]server.ScrapeConfig{shipped[controllerJob], shipped[adapterJob]})
	require.NoError(t, err)
	create(t, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: additionalJobs.Name}, Data: map[string][]byte{additionalJobs.Key: jobs},
	})
	rules := &monitoringv1.PrometheusRule{ObjectMeta: metav1.ObjectMeta{
		Namespace: namespace, Name: "test", Labels: map[string]string{selectedLabel: selected},
	}}
	data, err := yaml.Marshal(server.Rules(selector))
	require.NoError(t, err)
	require.NoError(t, yaml.UnmarshalStrict(data, &rules.Spec))
	create(t, rules)
	var servers []*prometheusServer
	for _, ksmScale := range ksmScales {
		awaitCondition(t, ksmScale, v1alpha1.ConditionMonitoring, v1alpha1.ReasonCreated)
		kind := ksmScale.Spec.Monitoring.Type
		operated := newPrometheus(namespace, ksmScale)
		create(t, operated)
		servers = append(servers, &prometheusServer{
			Server: newServer(proxied(t, namespace, "prometheus-"+operated.Name+"-0:9090"),
				"Prometheus Operator, "+string(kind), selector, kind == v1alpha1.MonitoringServiceMonitor),
			ruleFiles: []string{"rules.yaml", "deduplicate.yaml"},
		})
	}
	return servers
}

// withoutDNS leads to Services by their addresses where no name is resolved, which is so on the local cluster.
func withoutDNS() []monitoringv1.ScrapeClass {
	if shared.cluster == nil {
		return nil
	}
	return []monitoringv1.ScrapeClass{{Name: "without-dns", Default: new(true), Relabelings: []monitoringv1.RelabelConfig{{
		SourceLabels: []monitoringv1.LabelName{"__meta_kubernetes_service_cluster_ip", "__meta_kubernetes_service_port_number"},
		Separator:    new(":"), Regex: "(.+:.+)", TargetLabel: "__address__", Replacement: new("$1"),
	}}}}
}

// newPrometheus scrapes the objects that were created for a KSMScale.
func newPrometheus(namespace string, ksmScale *v1alpha1.KSMScale) *monitoringv1.Prometheus {
	everywhere := &metav1.LabelSelector{}
	ofKSMScale := &metav1.LabelSelector{MatchLabels: map[string]string{v1alpha1.LabelKSMScale: ksmScale.Name}}
	interval := monitoringv1.Duration(prometheusInterval.String())
	return &monitoringv1.Prometheus{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: strings.ToLower(string(ksmScale.Spec.Monitoring.Type))},
		Spec: monitoringv1.PrometheusSpec{
			CommonPrometheusFields: monitoringv1.CommonPrometheusFields{
				Image: new(image.PrometheusReference), Version: operatedVersion,
				ScrapeInterval: interval, AdditionalScrapeConfigs: &additionalJobs,
				ScrapeConfigSelector: ofKSMScale, ScrapeConfigNamespaceSelector: everywhere,
				ServiceMonitorSelector: ofKSMScale, ServiceMonitorNamespaceSelector: everywhere,
				ScrapeClasses: withoutDNS(),
				SecurityContext: &corev1.PodSecurityContext{
					RunAsNonRoot: new(true), SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
				},
				TerminationGracePeriodSeconds: new(int64(1)),
			},
			EvaluationInterval: interval,
			RuleSelector:       &metav1.LabelSelector{MatchLabels: map[string]string{selectedLabel: selected}}, RuleNamespaceSelector: everywhere,
		},
	}
}

// documented is the first block of YAML in a section of a file in docs.
func documented(t *testing.T, file, section string) string {
	t.Helper()
	documentation, err := os.ReadFile(filepath.Join(shared.root, "docs", file))
	require.NoError(t, err)
	_, text, ok := strings.Cut(string(documentation), "\n## "+section+"\n")
	require.True(t, ok)
	_, text, ok = strings.Cut(text, "```yaml\n")
	require.True(t, ok)
	block, _, ok := strings.Cut(text, "```")
	require.True(t, ok)
	return block
}

// documentedRights grants the default service account of a namespace the rights of docs/prometheus.md.
func documentedRights(t *testing.T, namespace string) []client.Object {
	t.Helper()
	name := metav1.ObjectMeta{Name: namespace + "-prometheus"}
	role := &rbacv1.ClusterRole{ObjectMeta: name}
	require.NoError(t, yaml.UnmarshalStrict([]byte(documented(t, "prometheus.md", "Rights")), role))
	return []client.Object{role, &rbacv1.ClusterRoleBinding{
		ObjectMeta: name,
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: name.Name},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: namespace, Name: "default"}},
	}}
}

// proxied is the API of a Prometheus in a pod, through the API server.
func proxied(t *testing.T, namespace, pod string) prometheusv1.API {
	t.Helper()
	transport, err := rest.TransportFor(shared.config)
	require.NoError(t, err)
	connection, err := api.NewClient(api.Config{
		Address:      shared.config.Host + "/api/v1/namespaces/" + namespace + "/pods/" + pod + "/proxy",
		RoundTripper: transport,
	})
	require.NoError(t, err)
	return prometheusv1.NewAPI(connection)
}
