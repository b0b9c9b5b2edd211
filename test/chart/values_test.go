package chart

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	certmanagerv1 "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"helm.sh/helm/v4/pkg/action"
	"helm.sh/helm/v4/pkg/chart/v2/lint/support"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/yaml"

	"github.com/example/ksmscale/deploy/prometheus"
)

// typed decodes every object of the chart into its type. Unknown fields are an error.
func typed(t *testing.T, rendered objects) map[string]runtime.Object {
	t.Helper()
	known := runtime.NewScheme()
	require.NoError(t, scheme.AddToScheme(known))
	require.NoError(t, certmanagerv1.AddToScheme(known))
	require.NoError(t, monitoringv1.AddToScheme(known))
	decoder := serializer.NewCodecFactory(known, serializer.EnableStrict).UniversalDeserializer()
	decoded := map[string]runtime.Object{}
	for name, manifest := range rendered {
		if manifest.GetKind() == "CustomResourceDefinition" {
			continue // It is the same as that of config/crd.
		}
		text, err := yaml.Marshal(manifest.Object)
		require.NoError(t, err)
		decoded[name], _, err = decoder.Decode(text, nil, nil)
		require.NoError(t, err, name)
	}
	return decoded
}

// object is one object of the chart with some values.
func object[T runtime.Object](t *testing.T, text, name string) T {
	t.Helper()
	all := typed(t, render(t, text))
	require.Contains(t, all, name)
	typedObject, ok := all[name].(T)
	require.True(t, ok, "%s is a %T", name, all[name])
	return typedObject
}

func deployment(t *testing.T, component, text string) *appsv1.Deployment {
	t.Helper()
	return object[*appsv1.Deployment](t, text, "Deployment ksmscale-system/ksmscale-"+component)
}

func TestImages(t *testing.T) {
	digest := "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	for _, test := range []struct{ values, ours, gate string }{
		{"", "ghcr.io/example/ksmscale:v0.1.0", "ghcr.io/example/ksmscale-gate:v0.1.0"},
		{"image: {registry: 'mirror:5000/a/b', tag: v9}", "mirror:5000/a/b/ksmscale:v9", "mirror:5000/a/b/ksmscale-gate:v9"},
		{"{image: {repository: x/ours}, gate: {image: {repository: y/gate}}}", "ghcr.io/example/x/ours:v0.1.0", "ghcr.io/example/y/gate:v0.1.0"},
		{"image: {digest: '" + digest + "'}", "ghcr.io/example/ksmscale@" + digest, "ghcr.io/example/ksmscale-gate:v0.1.0"},
		{"{image: {tag: v9}, gate: {image: {digest: '" + digest + "'}}}", "ghcr.io/example/ksmscale:v9", "ghcr.io/example/ksmscale-gate:v9@" + digest},
	} {
		for _, component := range []string{"controller", "adapter"} {
			assert.Equal(t, test.ours, deployment(t, component, test.values).Spec.Template.Spec.Containers[0].Image)
		}
		controller := deployment(t, "controller", test.values).Spec.Template.Spec
		require.Len(t, controller.InitContainers, 1)
		assert.Equal(t, "gate "+test.gate, controller.InitContainers[0].Name+" "+controller.InitContainers[0].Image)
	}
	gate := deployment(t, "controller", "image: {pullPolicy: Always}").Spec.Template.Spec.InitContainers[0]
	assert.Equal(t, corev1.PullAlways, gate.ImagePullPolicy)
}

// Each value of a component is where it belongs, and on no other component.
func TestComponents(t *testing.T) {
	for _, component := range []string{"controller", "adapter"} {
		t.Run(component, func(t *testing.T) {
			text := "imagePullSecrets: [{name: registry}]\nlogging: {level: 4, format: text}\n" + component + `:
  replicas: 3
  resources: {requests: {cpu: 1}, limits: {memory: 1Gi}}
  nodeSelector: {disk: fast}
  tolerations: [{operator: Exists}]
  affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchExpressions: [{key: pool, operator: Exists}]}]}}}
  topologySpreadConstraints: [{maxSkew: 1, topologyKey: zone, whenUnsatisfiable: ScheduleAnyway}]
  priorityClassName: system-cluster-critical
  labels: {team: a, app.kubernetes.io/name: other}
  annotations: {note: b}
  podLabels: {cost: "12", app.kubernetes.io/component: other}
  podAnnotations: {inject: "false"}
  podSecurityContext: {fsGroup: 7}
  securityContext: {runAsUser: 8}
  env: [{name: GOMEMLIMIT, value: 200MiB}]
  extraArgs: [--feature=on, '--tls-cipher-suites=A,B']
  serviceAccount: {annotations: {role: arn}}
  service: {labels: {served: "yes"}, annotations: {scheme: internal}}
monitors: {enabled: true}
`
			actual := deployment(t, component, text)
			selected := map[string]string{"app.kubernetes.io/name": "ksmscale", "app.kubernetes.io/component": component}
			assert.Equal(t, new(int32(3)), actual.Spec.Replicas)
			assert.Equal(t, selected, actual.Spec.Selector.MatchLabels)
			assert.Subset(t, actual.Labels, map[string]string{"team": "a", "app.kubernetes.io/name": "ksmscale"}, "labels that are ours stay")
			assert.Equal(t, map[string]string{"note": "b"}, actual.Annotations)
			assert.Subset(t, actual.Spec.Template.Labels, selected, "labels that pods are selected by stay")
			assert.Equal(t, "12", actual.Spec.Template.Labels["cost"])
			assert.Equal(t, map[string]string{"inject": "false"}, actual.Spec.Template.Annotations)
			pod := actual.Spec.Template.Spec
			assert.Equal(t, []corev1.LocalObjectReference{{Name: "registry"}}, pod.ImagePullSecrets)
			assert.Equal(t, map[string]string{"disk": "fast", "kubernetes.io/os": "linux"}, pod.NodeSelector)
			assert.Equal(t, corev1.TolerationOpExists, pod.Tolerations[0].Operator)
			assert.NotNil(t, pod.Affinity.NodeAffinity)
			assert.Equal(t, component == "adapter", pod.Affinity.PodAntiAffinity != nil, "a default that others do not replace")
			assert.Equal(t, "zone", pod.TopologySpreadConstraints[0].TopologyKey)
			assert.Equal(t, "system-cluster-critical", pod.PriorityClassName)
			assert.Equal(t, new(int64(7)), pod.SecurityContext.FSGroup)
			assert.Equal(t, new(true), pod.SecurityContext.RunAsNonRoot)
			container := pod.Containers[0]
			assert.Equal(t, new(int64(8)), container.SecurityContext.RunAsUser)
			assert.Equal(t, "1", container.Resources.Requests.Cpu().String())
			assert.Equal(t, "64Mi", container.Resources.Requests.Memory().String())
			assert.Equal(t, "1Gi", container.Resources.Limits.Memory().String())
			assert.Contains(t, container.Env, corev1.EnvVar{Name: "GOMEMLIMIT", Value: "200MiB"})
			assert.Subset(t, container.Args, []string{"--v=4", "--logging-format=text", "--feature=on", "--tls-cipher-suites=A,B"})

			account := object[*corev1.ServiceAccount](t, text, "ServiceAccount ksmscale-system/ksmscale-"+component)
			assert.Equal(t, map[string]string{"role": "arn"}, account.Annotations)
			serviceName := map[string]string{"controller": "ksmscale-controller-metrics", "adapter": "ksmscale-adapter"}[component]
			service := object[*corev1.Service](t, text, "Service ksmscale-system/"+serviceName)
			assert.Equal(t, "yes", service.Labels["served"])
			assert.Equal(t, map[string]string{"scheme": "internal"}, service.Annotations)

			other := deployment(t, map[string]string{"controller": "adapter", "adapter": "controller"}[component], text)
			assert.NotContains(t, other.Spec.Template.Labels, "cost")
			assert.Equal(t, map[string]string{"kubernetes.io/os": "linux"}, other.Spec.Template.Spec.NodeSelector)
			assert.NotContains(t, other.Spec.Template.Spec.Containers[0].Args, "--feature=on")
		})
	}
}

func TestBoundsOfRollouts(t *testing.T) {
	for text, want := range map[string][]string{
		"": nil,
		"controller: {rollouts: {maxConcurrent: 3, maxConcurrentPerKSMScale: 1}}": nil,
		"controller: {rollouts: {maxConcurrent: 10}}":                             {"--max-concurrent-rollouts=10"},
		"controller: {rollouts: {maxConcurrent: 1, maxConcurrentPerKSMScale: 2}, extraArgs: [--v=2]}": {
			"--max-concurrent-rollouts=1", "--max-concurrent-rollouts-per-ksmscale=2", "--v=2",
		},
	} {
		assert.Equal(t, want, deployment(t, "controller", text).Spec.Template.Spec.Containers[0].Args, text)
	}
}

func TestSwitches(t *testing.T) {
	without := func(kinds ...string) []string {
		return slices.DeleteFunc(render(t, "").keys(), func(name string) bool {
			kind, _, _ := strings.Cut(name, " ")
			return slices.Contains(kinds, kind)
		})
	}
	for _, test := range []struct {
		name, values string
		want         []string
	}{
		{"rights made by someone else", "rbac: {create: false}", without("ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding")},
		{"accounts made by someone else", "{controller: {serviceAccount: {create: false}}, adapter: {serviceAccount: {create: false}}}", without("ServiceAccount")},
		{"type made by someone else", "crds: {enabled: false}", without("CustomResourceDefinition")},
		{"no disruption budget", "adapter: {podDisruptionBudget: {enabled: false}}", without("PodDisruptionBudget")},
	} {
		t.Run(test.name, func(t *testing.T) {
			assert.Equal(t, test.want, render(t, test.values).keys())
		})
	}
}

func TestObjectCounts(t *testing.T) {
	const role, binding = "ClusterRole ksmscale-object-counts", "ClusterRoleBinding ksmscale-object-counts"
	assert.NotContains(t, render(t, ""), role, "the right to list everything is optional")
	shipped, err := os.ReadFile(filepath.FromSlash("../../deploy/rbac/object-counts.yaml"))
	require.NoError(t, err)
	expected := objects{}
	expected.add(t, string(shipped))
	rendered := render(t, "rbac: {objectCounts: true}")
	require.Contains(t, rendered, role)
	assert.Equal(t, expected[role].Object["rules"], rendered[role].Object["rules"])
	assert.Equal(t, expected[binding].Object["subjects"], rendered[binding].Object["subjects"])
}

// Without the adapter, the chart has no object of it, and the controller runs without it.
func TestNoAdapter(t *testing.T) {
	text := "{adapter: {enabled: false}, networkPolicy: {enabled: true}, monitors: {enabled: true}}"
	rendered, notes, err := tryRender(t, text)
	require.NoError(t, err)
	for name := range typed(t, rendered) {
		assert.NotContains(t, name, "adapter")
		assert.NotContains(t, name, "Secret")
	}
	pod := deployment(t, "controller", text).Spec.Template.Spec
	assert.Equal(t, []string{"--external-metrics=false"}, pod.Containers[0].Args)
	assert.Empty(t, pod.Volumes)
	assert.Contains(t, notes, "mode: Direct")
}

func TestCertManager(t *testing.T) {
	const own, theirs = "certificate: {source: cert-manager}", `
certificate: {source: cert-manager, certManager: {issuerRef: {name: company, kind: ClusterIssuer, group: pki.example.com}, duration: 48h, renewBefore: 24h}}`
	actual := typed(t, render(t, own))
	assert.NotContains(t, actual, "Secret ksmscale-system/ksmscale-adapter-certificate")
	controller, adapter := deployment(t, "controller", own).Spec.Template.Spec, deployment(t, "adapter", own).Spec.Template.Spec
	assert.Equal(t, []string{
		"--manage-certificate=false", "--certificate-secret=ksmscale-adapter-cert-manager", "--certificate-renew-before=720h",
	}, controller.Containers[0].Args)
	assert.Empty(t, controller.Volumes)
	assert.Equal(t, "ksmscale-adapter-cert-manager", adapter.Volumes[0].Secret.SecretName)

	certificate := object[*certmanagerv1.Certificate](t, own, "Certificate ksmscale-system/ksmscale-adapter")
	assert.Equal(t, "ksmscale-adapter-cert-manager", certificate.Spec.SecretName)
	assert.Equal(t, []string{"ksmscale-adapter.ksmscale-system.svc"}, certificate.Spec.DNSNames, "the name that the API server expects")
	assert.Equal(t, "ksmscale-ca", certificate.Spec.IssuerRef.Name)
	ca := object[*certmanagerv1.Certificate](t, own, "Certificate ksmscale-system/ksmscale-ca")
	assert.True(t, ca.Spec.IsCA)
	issuer := object[*certmanagerv1.Issuer](t, own, "Issuer ksmscale-system/ksmscale-ca")
	assert.Equal(t, ca.Spec.SecretName, issuer.Spec.CA.SecretName)
	selfSigned := object[*certmanagerv1.Issuer](t, own, "Issuer ksmscale-system/"+ca.Spec.IssuerRef.Name)
	assert.NotNil(t, selfSigned.Spec.SelfSigned)

	certificate = object[*certmanagerv1.Certificate](t, theirs, "Certificate ksmscale-system/ksmscale-adapter")
	assert.Equal(t, "pki.example.com/ClusterIssuer company", certificate.Spec.IssuerRef.Group+"/"+certificate.Spec.IssuerRef.Kind+" "+certificate.Spec.IssuerRef.Name)
	assert.Equal(t, "48h0m0s 24h0m0s", certificate.Spec.Duration.Duration.String()+" "+certificate.Spec.RenewBefore.Duration.String())
	for name := range typed(t, render(t, theirs)) {
		assert.NotContains(t, name, "Issuer")
	}
}

func TestDelegate(t *testing.T) {
	const fromSecret = `
adapter: {delegate: {address: "keda/keda-operator-metrics-apiserver:443", serverName: keda, ca: {secretName: kedaorg-certs, key: bundle.pem}}}`
	pod := deployment(t, "adapter", fromSecret).Spec.Template.Spec
	assert.Subset(t, pod.Containers[0].Args, []string{
		"--delegate=keda/keda-operator-metrics-apiserver:443", "--delegate-ca-file=/etc/ksmscale/delegate/ca.crt", "--delegate-server-name=keda",
	})
	require.Len(t, pod.Volumes, 2)
	assert.Equal(t, "kedaorg-certs", pod.Volumes[1].Secret.SecretName)
	assert.Equal(t, []corev1.KeyToPath{{Key: "bundle.pem", Path: "ca.crt"}}, pod.Volumes[1].Secret.Items)
	assert.Equal(t, "/etc/ksmscale/delegate", pod.Containers[0].VolumeMounts[1].MountPath)
	role := object[*rbacv1.ClusterRole](t, fromSecret, "ClusterRole ksmscale-adapter:delegate")
	assert.Equal(t, []string{"external.metrics.k8s.io"}, role.Rules[0].APIGroups)
	binding := object[*rbacv1.ClusterRoleBinding](t, fromSecret, "ClusterRoleBinding ksmscale-adapter:delegate")
	assert.Equal(t, "ksmscale-adapter", binding.Subjects[0].Name)

	pod = deployment(t, "adapter", "adapter: {delegate: {address: 'https://metrics.example.com', ca: {configMapName: company}}}").Spec.Template.Spec
	assert.Equal(t, "company", pod.Volumes[1].ConfigMap.Name)
	assert.NotContains(t, pod.Containers[0].Args, "--delegate-server-name=")
}

// Probes, Service and NetworkPolicy go by the name of the adapter's port, and so follow its number.
func TestPortOfTheAdapter(t *testing.T) {
	const text = "{adapter: {port: 10250}, networkPolicy: {enabled: true}}"
	container := deployment(t, "adapter", text).Spec.Template.Spec.Containers[0]
	assert.Contains(t, container.Args, "--secure-port=10250")
	assert.Equal(t, []corev1.ContainerPort{{Name: "https", ContainerPort: 10250}}, container.Ports)
	assert.Equal(t, "https", container.LivenessProbe.HTTPGet.Port.String())
	assert.Equal(t, "https", container.ReadinessProbe.HTTPGet.Port.String())
	assert.Equal(t, "https", object[*corev1.Service](t, text, "Service ksmscale-system/ksmscale-adapter").Spec.Ports[0].TargetPort.String())
	assert.Equal(t, "https", object[*networkingv1.NetworkPolicy](t, text, "NetworkPolicy ksmscale-system/ksmscale-adapter").Spec.Ingress[0].Ports[0].Port.String())
}

func TestNetworkOfTheAdapter(t *testing.T) {
	for _, test := range []struct {
		values              string
		hostNetwork         bool
		dnsPolicy           corev1.DNSPolicy
		unavailable, surges int
	}{
		{"", false, "", 0, 1},
		{"adapter: {dnsPolicy: Default}", false, corev1.DNSDefault, 0, 1},
		{"adapter: {hostNetwork: true}", true, corev1.DNSClusterFirstWithHostNet, 1, 0},
		{"adapter: {hostNetwork: true, dnsPolicy: Default}", true, corev1.DNSDefault, 1, 0},
	} {
		t.Run(test.values, func(t *testing.T) {
			spec := deployment(t, "adapter", test.values).Spec
			assert.Equal(t, test.hostNetwork, spec.Template.Spec.HostNetwork)
			assert.Equal(t, test.dnsPolicy, spec.Template.Spec.DNSPolicy)
			assert.Equal(t, test.unavailable, spec.Strategy.RollingUpdate.MaxUnavailable.IntValue())
			assert.Equal(t, test.surges, spec.Strategy.RollingUpdate.MaxSurge.IntValue())
			assert.False(t, deployment(t, "controller", test.values).Spec.Template.Spec.HostNetwork)
		})
	}
}

func TestNodeSelectorCanBeRemoved(t *testing.T) {
	for _, component := range []string{"controller", "adapter"} {
		pod := deployment(t, component, component+": {nodeSelector: {kubernetes.io/os: null}}").Spec.Template.Spec
		assert.Empty(t, pod.NodeSelector)
	}
}

func TestNetworkPolicies(t *testing.T) {
	text := "networkPolicy: {enabled: true, metricsFrom: [{podSelector: {matchLabels: {app: prometheus}}}], egress: [{ports: [{port: 6443}]}]}"
	controller := object[*networkingv1.NetworkPolicy](t, text, "NetworkPolicy ksmscale-system/ksmscale-controller").Spec
	adapter := object[*networkingv1.NetworkPolicy](t, text, "NetworkPolicy ksmscale-system/ksmscale-adapter").Spec
	assert.Equal(t, "metrics", controller.Ingress[0].Ports[0].Port.String())
	assert.Equal(t, "prometheus", controller.Ingress[0].From[0].PodSelector.MatchLabels["app"])
	assert.Equal(t, "https", adapter.Ingress[0].Ports[0].Port.String())
	assert.Empty(t, adapter.Ingress[0].From)
	assert.Equal(t, []networkingv1.PolicyType{networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress}, adapter.PolicyTypes)
	assert.Len(t, adapter.Egress, 1)

	assert.Equal(t, []networkingv1.PolicyType{networkingv1.PolicyTypeIngress},
		object[*networkingv1.NetworkPolicy](t, "networkPolicy: {enabled: true}", "NetworkPolicy ksmscale-system/ksmscale-adapter").Spec.PolicyTypes, "egress is not limited by default")
}

// Clients that may scrape also reach the adapter, which serves its metrics on the port of the API.
func TestScrapesPassNetworkPolicies(t *testing.T) {
	const prometheus = "metricsFrom: [{podSelector: {matchLabels: {app: prometheus}}}]"
	from := func(component, text string) []networkingv1.NetworkPolicyPeer {
		return object[*networkingv1.NetworkPolicy](t, "networkPolicy: {enabled: true, "+text+"}", "NetworkPolicy ksmscale-system/ksmscale-"+component).Spec.Ingress[0].From
	}
	peers := from("adapter", "adapterFrom: [{ipBlock: {cidr: 10.0.0.1/32}}], "+prometheus)
	require.Len(t, peers, 3)
	assert.Equal(t, "10.0.0.1/32", peers[0].IPBlock.CIDR)
	assert.Equal(t, from("controller", prometheus)[0], peers[1])
	peers = from("adapter", "adapterFrom: [{ipBlock: {cidr: 10.0.0.1/32}}]")
	require.Len(t, peers, 2)
	assert.Equal(t, deployment(t, "controller", "").Spec.Selector, peers[1].PodSelector, "the controller reads the adapters' certificates")
	assert.Empty(t, from("adapter", prometheus), "the API server need not be listed")
}

// Monitors select the Services of the chart, by a port that these have.
func TestMonitors(t *testing.T) {
	const text = "monitors: {enabled: true, labels: {release: prometheus}, interval: 1m, scrapeTimeout: 10s, prometheus: {serviceAccount: p, namespace: monitoring}}"
	for component, serviceName := range map[string]string{"controller": "ksmscale-controller-metrics", "adapter": "ksmscale-adapter"} {
		monitor := object[*monitoringv1.ServiceMonitor](t, text, "ServiceMonitor ksmscale-system/ksmscale-"+component)
		service := object[*corev1.Service](t, text, "Service ksmscale-system/"+serviceName)
		pod := deployment(t, component, text).Spec.Template
		assert.Equal(t, "prometheus", monitor.Labels["release"])
		assert.Subset(t, service.Labels, monitor.Spec.Selector.MatchLabels)
		assert.Subset(t, pod.Labels, service.Spec.Selector)
		endpoint := monitor.Spec.Endpoints[0]
		assert.Equal(t, service.Spec.Ports[0].Name, endpoint.Port)
		assert.Equal(t, pod.Spec.Containers[0].Ports[0].Name, service.Spec.Ports[0].TargetPort.String())
		assert.Equal(t, "1m 10s", string(endpoint.Interval)+" "+string(endpoint.ScrapeTimeout))
		assert.Equal(t, []monitoringv1.RelabelConfig{{TargetLabel: "job", Replacement: new("ksmscale-" + component)}}, endpoint.RelabelConfigs)
	}
	tls := object[*monitoringv1.ServiceMonitor](t, text, "ServiceMonitor ksmscale-system/ksmscale-adapter").Spec.Endpoints[0].TLSConfig
	assert.Equal(t, "ksmscale-adapter-certificate ca.crt", tls.CA.Secret.Name+" "+tls.CA.Secret.Key)
	assert.Equal(t, "ksmscale-adapter.ksmscale-system.svc", *tls.ServerName)
	binding := object[*rbacv1.ClusterRoleBinding](t, text, "ClusterRoleBinding ksmscale-metrics-reader")
	assert.Equal(t, rbacv1.Subject{Kind: "ServiceAccount", Name: "p", Namespace: "monitoring"}, binding.Subjects[0])
	assert.Equal(t, []string{"/metrics"}, object[*rbacv1.ClusterRole](t, text, "ClusterRole ksmscale-metrics-reader").Rules[0].NonResourceURLs)
}

// The rules are those that are shipped, and read the jobs that monitors have.
func TestRules(t *testing.T) {
	const text = "rules: {enabled: true, labels: {release: prometheus, app.kubernetes.io/part-of: other}}"
	rule := object[*monitoringv1.PrometheusRule](t, text, "PrometheusRule ksmscale-system/ksmscale")
	assert.Equal(t, "prometheus ksmscale", rule.Labels["release"]+" "+rule.Labels["app.kubernetes.io/part-of"])
	source := prometheus.Rules
	assert.Equal(t, shippedGroups(t, source), rule.Spec.Groups)
	for _, component := range []string{"controller", "adapter"} {
		assert.Contains(t, string(source), `job="ksmscale-`+component+`"`)
	}
}

// If requested, they include the rules that a ServiceMonitor of the shards needs.
func TestDeduplicatingRules(t *testing.T) {
	const text = "rules: {enabled: true, deduplicate: true}"
	rule := object[*monitoringv1.PrometheusRule](t, text, "PrometheusRule ksmscale-system/ksmscale")
	assert.Equal(t, slices.Concat(shippedGroups(t, prometheus.Rules), shippedGroups(t, prometheus.DeduplicatingRules)), rule.Spec.Groups)
	assert.NotContains(t, render(t, "rules: {deduplicate: true}").keys(), "PrometheusRule ksmscale-system/ksmscale")
}

// Alerts about the recommended size are off by default, because a size can differ on purpose.
func TestRecommendationRules(t *testing.T) {
	rule := object[*monitoringv1.PrometheusRule](t, "rules: {enabled: true, recommendations: true}", "PrometheusRule ksmscale-system/ksmscale")
	assert.Equal(t, slices.Concat(shippedGroups(t, prometheus.Rules), shippedGroups(t, prometheus.RecommendationRules)), rule.Spec.Groups)
	rule = object[*monitoringv1.PrometheusRule](t, "rules: {enabled: true}", "PrometheusRule ksmscale-system/ksmscale")
	assert.Equal(t, shippedGroups(t, prometheus.Rules), rule.Spec.Groups)
}

func shippedGroups(t *testing.T, file []byte) []monitoringv1.RuleGroup {
	t.Helper()
	var shipped monitoringv1.PrometheusRuleSpec
	require.NoError(t, yaml.UnmarshalStrict(file, &shipped))
	require.NotEmpty(t, shipped.Groups)
	return shipped.Groups
}

// The dashboard is the one that is shipped, where the sidecar of Grafana finds it.
func TestDashboard(t *testing.T) {
	assert.NotContains(t, render(t, "").keys(), "ConfigMap ksmscale-system/ksmscale-dashboard")
	shipped, err := os.ReadFile(filepath.Join(root, "deploy", "grafana", "ksmscale.json"))
	require.NoError(t, err)
	for text, label := range map[string]string{
		"dashboard: {enabled: true}": "grafana_dashboard",
		"dashboard: {enabled: true, labels: {grafana_dashboard: null, dashboards: '1'}}": "dashboards",
	} {
		dashboard := object[*corev1.ConfigMap](t, text, "ConfigMap ksmscale-system/ksmscale-dashboard")
		assert.JSONEq(t, string(shipped), dashboard.Data["ksmscale.json"])
		assert.Equal(t, "1", dashboard.Labels[label], text)
		assert.Len(t, dashboard.Labels, 3, text)
	}
	const elsewhere = "dashboard: {enabled: true, namespace: grafana, annotations: {grafana_folder: Monitoring}}"
	assert.Equal(t, "Monitoring", object[*corev1.ConfigMap](t, elsewhere, "ConfigMap grafana/ksmscale-dashboard").Annotations["grafana_folder"])
}

func TestDisruptionBudgetSelectsAdapters(t *testing.T) {
	budget := object[*policyv1.PodDisruptionBudget](t, "", "PodDisruptionBudget ksmscale-system/ksmscale-adapter")
	assert.Subset(t, deployment(t, "adapter", "").Spec.Template.Labels, budget.Spec.Selector.MatchLabels)
}

func TestLint(t *testing.T) {
	result := action.NewLint().Run([]string{filepath.Join(root, "deploy", "chart")}, nil)
	assert.Empty(t, result.Errors)
	for _, message := range result.Messages {
		assert.Less(t, message.Severity, support.WarningSev, message.Error())
	}
}

func TestWrongValuesAreRefused(t *testing.T) {
	for text, message := range map[string]string{
		"adaptor: {enabled: false}":                                  "adaptor",
		"adapter: {replica: 3}":                                      "replica",
		"controller: {resources: {request: {}}}":                     "request",
		"image: {digest: latest}":                                    "digest",
		"image: {registry: ''}":                                      "registry",
		"image: {registry: ghcr.io/example/}":                        "registry",
		"gate: {image: {repository: ''}}":                            "repository",
		"gate: {image: null}":                                        "image",
		"gate: {image: {repository: null}}":                          "repository",
		"logging: {level: debug}":                                    "level",
		"certificate: {source: vault}":                               "source",
		"controller: {extraArgs: {v: 4}}":                            "extraArgs",
		"adapter: {podLabels: {a: 1}}":                               "podLabels",
		"adapter: {delegate: {address: keda}}":                       "address",
		"adapter: {delegate: {address: 'keda/metrics:443'}}":         "without the CAs of its certificate",
		"controller: {resources: {limits: {cpu: 0.5}}}":              "cpu",
		"adapter: {resources: {requests: {memory: 1 GB}}}":           "memory",
		"adapter: {port: 70000}":                                     "port",
		"adapter: {hostNetwork: true, port: 443}":                    "adapter.port must be 1024 or more",
		"adapter: {dnsPolicy: None}":                                 "dnsPolicy",
		"adapter: {nodeSelector: {a b: c}}":                          "nodeSelector",
		"adapter: {nodeSelector: {a: b c}}":                          "nodeSelector",
		"controller: {labels: {a: b c}}":                             "labels",
		"controller: {podAnnotations: {a b: c}}":                     "podAnnotations",
		"controller: {tolerations: [{operator: Is}]}":                "operator",
		"controller: {tolerations: [{key: a b}]}":                    "key",
		"controller: {tolerations: [{tolerationSeconds: -1}]}":       "tolerationSeconds",
		"controller: {tolerations: [{effect: NoEntry}]}":             "effect",
		"controller: {env: [{name: GOMEMLIMIT, value: 5}]}":          "value",
		"rules: {labels: {a: 1}}":                                    "labels",
		"rules: {deduplicate: ServiceMonitor}":                       "deduplicate",
		"dashboard: {labels: {grafana_dashboard: 1}}":                "labels",
		"dashboard: {namespace: Grafana}":                            "namespace",
		"monitors: {enabled: true, prometheus: {serviceAccount: p}}": "monitors.prometheus.namespace",
	} {
		_, _, err := tryRender(t, text)
		assert.ErrorContains(t, err, message, text)
	}
	_, _, err := tryRender(t, "global: {registry: x}")
	assert.NoError(t, err, "other charts can have this one as a part")
}
