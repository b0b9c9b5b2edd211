package e2e

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/test/cluster/audit"
)

// customResources exports metrics of the KSMScales themselves.
const customResources = `
kind: CustomResourceStateMetrics
spec:
  resources:
  - groupVersionKind: {group: monitor.example.com, version: v1alpha1, kind: KSMScale}
    labelsFromPath: {ksmscale: [metadata, name]}
    metrics:
    - name: nodes_per_monitor
      help: Nodes per pod.
      each: {type: Gauge, gauge: {path: [spec, nodesPerMonitor]}}
`

const customMetric = "kube_customresource_nodes_per_monitor"

// optionObjects are the objects that the KSMScales of TestOptions export: three pods and three ConfigMaps in the named
// namespace. It also creates an empty namespace, and another one with a pod.
type optionObjects struct{ empty, named, other string }

// Each option of spec.metrics, seen in what a real kube-state-metrics exports; and with each the gate opens because all
// is exposed, not by its deadline.
func TestOptions(t *testing.T) {
	needsLocal(t)
	install(t)
	// This is before any custom resources, whose metrics reload when others are installed.
	startOperator(t)
	objects := makeOptionObjects(t)
	lists := newKSMScale(single, version("v2.18.0"), objects.lists)
	denials := newKSMScale(single, objects.denials)
	limits := newKSMScale(single, objects.limits)
	customToo := newKSMScale(single, inline)
	customOnly := newKSMScale(single, objects.customOnly)
	trusted := x509.NewCertPool()
	require.True(t, trusted.AppendCertsFromPEM(objects.makeCertificate(t)))
	makeReader(t)
	secure := newKSMScale(single, version("v2.18.0"), objects.secured(v1alpha1.MonitoringScrapeConfig))
	secureEach := newKSMScale(single, objects.secured(v1alpha1.MonitoringServiceMonitor))
	all := []*v1alpha1.KSMScale{secure, secureEach, lists, denials, limits, customToo, customOnly}
	for _, ksmScale := range all {
		create(t, ksmScale)
	}
	servers := startOperated(t, fmt.Sprintf("{namespace=%q}", objects.named), secure, secureEach)
	for _, ksmScale := range all {
		awaitReady(t, ksmScale)
	}
	t.Run("lists", func(t *testing.T) {
		noGateOpenedByDeadline(t, lists)
		objects.seeLists(t, lists)
	})
	t.Run("denials", func(t *testing.T) {
		noGateOpenedByDeadline(t, denials)
		objects.seeDenials(t, denials)
	})
	t.Run("limit and filter", func(t *testing.T) {
		noGateOpenedByDeadline(t, limits)
		objects.seeLimits(t, limits)
	})
	t.Run("custom resources too", func(t *testing.T) {
		noGateOpenedByDeadline(t, customToo)
		seeCustomResources(t, customToo, len(all))
		assert.NotEmpty(t, seriesIn(exported(t, customToo, "")["kube_configmap_info"], objects.named))
	})
	t.Run("custom resources only", func(t *testing.T) {
		noGateOpenedByDeadline(t, customOnly)
		seeCustomResources(t, customOnly, len(all))
		assert.Equal(t, []string{customMetric}, slices.Sorted(maps.Keys(exported(t, customOnly, ""))))
	})
	t.Run("TLS", func(t *testing.T) {
		noGateOpenedByDeadline(t, secure)
		seeTLS(t, secure, trusted)
	})
	t.Run("kubectl ksmscale verify", func(t *testing.T) { seeOptionsVerified(t, all, limits, secure) })
	t.Run("connections", func(t *testing.T) {
		for _, ksmScale := range []*v1alpha1.KSMScale{lists, denials} {
			seeConnectionsEnd(t, ksmScale)
		}
	})
	for _, prometheus := range servers {
		t.Run("TLS, "+prometheus.Name, func(t *testing.T) { objects.seeScraped(t, prometheus) })
	}
	t.Run("the API server's cache", func(t *testing.T) { seeCache(t, lists, secure) })
}

// seeOptionsVerified compares the objects of each KSMScale, except one with a limit, which only some objects have.
func seeOptionsVerified(t *testing.T, all []*v1alpha1.KSMScale, limited, secure *v1alpha1.KSMScale) {
	t.Helper()
	for _, ksmScale := range all {
		result := verify(t, ksmScale, 0)
		compared := result.Partitions[0].Objects > 0
		hasBuiltIn := ksmScale.Spec.Metrics.CustomResourceState == nil || !ksmScale.Spec.Metrics.CustomResourceState.Only
		assert.Equal(t, ksmScale != limited && hasBuiltIn, compared, "%s: %+v", ksmScale.Name, result)
	}
	require.True(t, secure.Spec.Metrics.AuthFilter && secure.Spec.Metrics.TLS.SecretName != "")
	code, _, stderr := ksmscale(t, "verify", secure.Name, "--monitor-ca-file", filepath.Join(shared.root, "LICENSE"))
	assert.Equal(t, 2, code)
	assert.Contains(t, stderr, "the CA of kube-state-metrics' certificate is no PEM certificate")
}

// single is one replica of one shard.
func single(spec *v1alpha1.KSMScaleSpec) {
	shards(1)(spec)
	spec.NodesPerMonitor = 1000
}

func makeOptionObjects(t *testing.T) optionObjects {
	t.Helper()
	objects := optionObjects{newNamespace(t), newNamespace(t), newNamespace(t)}
	for i := range 3 {
		name := fmt.Sprintf("object-%d", i)
		create(t, optionPod(objects.named, name),
			&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: objects.named, Name: name}})
	}
	create(t, optionPod(objects.other, "object"),
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: objects.named, Name: "secret"}},
		&corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Namespace: monitoringNamespace, Name: objects.named},
			Data:       map[string]string{"config.yaml": customResources},
		})
	role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: objects.named}, Rules: []rbacv1.PolicyRule{
		{APIGroups: []string{v1alpha1.GroupVersion.Group}, Resources: []string{"ksmscales"}, Verbs: []string{"list", "watch"}},
		{APIGroups: []string{"apiextensions.k8s.io"}, Resources: []string{"customresourcedefinitions"}, Verbs: []string{"list", "watch"}},
	}}
	create(t, role, &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: objects.named},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role.Name},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.GroupKind, Name: "system:serviceaccounts:" + monitoringNamespace}},
	})
	return objects
}

func newNamespace(t *testing.T) string {
	t.Helper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "e2e-options-"}}
	create(t, namespace)
	return namespace.Name
}

// optionPod is a pod that stays pending.
func optionPod(namespace, name string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, Name: name,
			Labels: map[string]string{"app": "shop", "tier": "web"}, Annotations: map[string]string{"example.com/owner": "a", "example.com/cost": "b"},
		},
		Spec: corev1.PodSpec{
			SchedulingGates: []corev1.PodSchedulingGate{{Name: "example.com/never"}},
			NodeSelector:    map[string]string{"pool": "shop"},
			Containers:      []corev1.Container{{Name: "none", Image: "none"}},
		},
	}
}

// lists are the exported metrics. The first of the namespaces has no pods.
func (o optionObjects) lists(spec *v1alpha1.KSMScaleSpec) {
	spec.Resources.Limits = corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("200Mi")}
	spec.Template = &v1alpha1.PodTemplate{GoMemoryLimitPercent: 50}
	spec.Metrics = v1alpha1.MetricsConfig{
		Resources:                  []string{"configmaps", "pods"},
		MetricAllowlist:            []string{"^kube_pod_(info|labels|annotations|nodeselectors)$", "kube_configmap_info"},
		MetricOptInList:            []string{"^kube_pod_nodeselectors$"},
		MetricLabelsAllowlist:      []string{"pods=[app]"},
		MetricAnnotationsAllowlist: []string{"pods=[example.com/owner]"},
		Namespaces:                 []string{o.empty, o.named},
		UseAPIServerCache:          true,
	}
}

func (o optionObjects) seeLists(t *testing.T, ksmScale *v1alpha1.KSMScale) {
	t.Helper()
	families := exported(t, ksmScale, "")
	assert.Equal(t, []string{"kube_configmap_info", "kube_pod_annotations", "kube_pod_info", "kube_pod_labels", "kube_pod_nodeselectors"},
		slices.Sorted(maps.Keys(families)))
	for family, labels := range map[string]map[string]string{
		"kube_pod_info":          {},
		"kube_pod_labels":        {"label_app": "shop", "label_tier": ""},
		"kube_pod_annotations":   {"annotation_example_com_owner": "a", "annotation_example_com_cost": ""},
		"kube_pod_nodeselectors": {"nodeselector_pool": "shop"},
	} {
		series := families[family].GetMetric()
		assert.Len(t, series, 3, family)
		for _, one := range series {
			labels["namespace"] = o.named
			for label, value := range labels {
				assert.Equal(t, value, labelOf(one, label), "%s of %s", label, family)
			}
		}
	}
	telemetry := metrics(t, podAddress(t, ksmScale, v1alpha1.PortTelemetry), "")
	assert.EqualValues(t, 100<<20, telemetry["go_gc_gomemlimit_bytes"].GetMetric()[0].GetGauge().GetValue())
}

// denials are the denied metrics: all metrics of nodes, and all known metrics of ConfigMaps.
func (o optionObjects) denials(spec *v1alpha1.KSMScaleSpec) {
	spec.Metrics = v1alpha1.MetricsConfig{
		Resources: []string{
			"configmaps", "namespaces", "nodes", "pods", "secrets",
			"mutatingadmissionpolicies", "mutatingadmissionpolicybindings", "validatingadmissionpolicies", "validatingadmissionpolicybindings",
			"clusterrolebindings", "clusterroles", "endpoints", "ingressclasses", "rolebindings", "roles", "serviceaccounts",
		},
		MetricDenylist: []string{
			"^kube_pod_(info|created)$", "kube_node_.*", "^kube_configmap_(annotations|created|info|labels|metadata_resource_version)$",
		},
		NamespacesDenylist: []string{o.other},
	}
}

func (o optionObjects) seeDenials(t *testing.T, ksmScale *v1alpha1.KSMScale) {
	t.Helper()
	families := exported(t, ksmScale, "")
	for family := range families {
		assert.NotContains(t, []string{"kube_pod_info", "kube_pod_created"}, family)
		assert.False(t, strings.HasPrefix(family, "kube_node_") || strings.HasPrefix(family, "kube_configmap_"), family)
	}
	assert.Len(t, seriesIn(families["kube_pod_owner"], o.named), 3)
	assert.Len(t, seriesIn(families["kube_secret_info"], o.named), 1)
	assert.Empty(t, seriesIn(families["kube_pod_owner"], o.other))
	assert.Len(t, seriesIn(families["kube_namespace_created"], o.other), 1, "a namespace is in no namespace")
}

// limits apply to a namespace in which no object is deleted, because a limit concerns the objects at the time of a list.
// Pods have no metrics, because the allowed family is not opted in.
func (o optionObjects) limits(spec *v1alpha1.KSMScaleSpec) {
	spec.Metrics = v1alpha1.MetricsConfig{
		Resources: []string{"configmaps", "pods"}, MetricAllowlist: []string{"^kube_configmap_info$", "^kube_pod_nodeselectors$"},
		Namespaces: []string{o.named}, ObjectLimit: 2, AuthFilter: true,
	}
}

func (o optionObjects) seeLimits(t *testing.T, ksmScale *v1alpha1.KSMScale) {
	t.Helper()
	scraper := token(t, o.named, o.newScraper(t))
	for _, address := range []string{serviceAddress(t, ksmScale), podAddress(t, ksmScale, v1alpha1.PortTelemetry)} {
		assert.Equal(t, http.StatusUnauthorized, status(t, address, ""))
		assert.Equal(t, http.StatusForbidden, status(t, address, token(t, o.named, "default")))
		assert.Equal(t, http.StatusOK, status(t, address, scraper))
	}
	families := exported(t, ksmScale, scraper)
	assert.Len(t, families["kube_configmap_info"].GetMetric(), 2, "of the four that there are")
	assert.Len(t, families, 1)
}

// newScraper creates a service account that may get metrics.
func (o optionObjects) newScraper(t *testing.T) string {
	t.Helper()
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: o.named, Name: "scraper"}}
	role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: o.named + "-scraper"}, Rules: []rbacv1.PolicyRule{
		{NonResourceURLs: []string{"/metrics"}, Verbs: []string{"get"}},
	}}
	create(t, account, role, &rbacv1.ClusterRoleBinding{
		ObjectMeta: role.ObjectMeta,
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role.Name},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: o.named, Name: account.Name}},
	})
	awaitReview(t, authorizationv1.SubjectAccessReviewSpec{
		User:                  fmt.Sprintf("system:serviceaccount:%s:%s", o.named, account.Name),
		NonResourceAttributes: &authorizationv1.NonResourceAttributes{Verb: "get", Path: "/metrics"},
	}, true)
	return account.Name
}

// inline exports custom resources with others, from all namespaces, because cluster-scoped ones cannot be listed
// otherwise.
func inline(spec *v1alpha1.KSMScaleSpec) {
	spec.Metrics = v1alpha1.MetricsConfig{
		Resources: []string{"configmaps"}, CustomResourceState: &v1alpha1.CustomResourceState{Config: customResources},
	}
}

func (o optionObjects) customOnly(spec *v1alpha1.KSMScaleSpec) {
	spec.Metrics.CustomResourceState = &v1alpha1.CustomResourceState{
		ConfigMap: v1alpha1.ConfigMapKey{Name: o.named, Key: "config.yaml"}, Only: true,
	}
}

// seeCustomResources is about the metrics of so many KSMScales, which the gate has waited for.
func seeCustomResources(t *testing.T, ksmScale *v1alpha1.KSMScale, count int) {
	t.Helper()
	series := exported(t, ksmScale, "")[customMetric].GetMetric()
	assert.GreaterOrEqual(t, len(series), count)
	for _, one := range series {
		assert.EqualValues(t, 1000, one.GetGauge().GetValue(), labelOf(one, "ksmscale"))
	}
}

// seeTLS has the certificate verified for the name of the Service, on both ports.
func seeTLS(t *testing.T, ksmScale *v1alpha1.KSMScale, trusted *x509.CertPool) {
	t.Helper()
	service := v1alpha1.Shard{KSMScale: ksmScale.Name, Total: ksmScale.TotalShards()}.Name()
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{
		MinVersion: tls.VersionTLS12, RootCAs: trusted, ServerName: service + "." + monitoringNamespace + ".svc",
	}}}
	t.Cleanup(client.CloseIdleConnections)
	for _, address := range []string{serviceAddress(t, ksmScale), podAddress(t, ksmScale, v1alpha1.PortTelemetry)} {
		assert.Equal(t, http.StatusBadRequest, status(t, address, ""), "without TLS")
		scrape, err := http.NewRequestWithContext(t.Context(), http.MethodGet, strings.Replace(address, "http:", "https:", 1), nil)
		require.NoError(t, err)
		response, err := client.Do(scrape)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		assert.Equal(t, http.StatusUnauthorized, response.StatusCode, "with TLS, and without a token")
	}
	for _, pod := range shardPods(t, ksmScale) {
		for _, containerStatus := range pod.Status.ContainerStatuses {
			assert.Zero(t, containerStatus.RestartCount, "its liveness probe speaks TLS too")
		}
	}
}

// seeCache makes two kube-state-metrics list again, because the first list of each always comes from the cache. One with
// custom resources is unsuitable, because it reloads when the API server returns.
func seeCache(t *testing.T, cached, uncached *v1alpha1.KSMScale) {
	t.Helper()
	mark, err := audit.Mark(shared.cluster.AuditLog())
	require.NoError(t, err)
	require.NoError(t, shared.cluster.APIServers()[0].Restart(t.Context()))
	await(t, "lists of both", func(context.Context) error {
		versions := listedVersions(t, mark)
		if seen := versions[cached.Name]; len(seen) == 0 {
			return fmt.Errorf("%s lists not yet", cached.Name)
		}
		if seen := versions[uncached.Name]; len(seen) == 0 {
			return fmt.Errorf("%s lists not yet", uncached.Name)
		}
		return nil
	})
	versions := listedVersions(t, mark)
	for _, resourceVersion := range versions[cached.Name] {
		assert.Equal(t, "0", resourceVersion)
	}
	assert.NotContains(t, versions[uncached.Name], "0")
}

// listedVersions are the resource versions in the lists of ConfigMaps by each KSMScale's kube-state-metrics.
func listedVersions(t *testing.T, mark int64) map[string][]string {
	t.Helper()
	events, err := audit.Since(shared.cluster.AuditLog(), mark)
	require.NoError(t, err)
	versions := map[string][]string{}
	for _, entry := range events {
		name, ok := strings.CutPrefix(entry.User.Username, "system:serviceaccount:"+monitoringNamespace+":ksm-")
		asked, err := url.Parse(entry.RequestURI)
		require.NoError(t, err)
		if ok && entry.Verb == "list" && entry.ObjectRef.Resource == "configmaps" && strings.HasPrefix(entry.UserAgent, "kube-state-metrics") {
			versions[name] = append(versions[name], asked.Query().Get("resourceVersion"))
		}
	}
	return versions
}

// seeConnectionsEnd checks that kube-state-metrics closes an idle connection after a scrape, so the next scrape goes to a
// pod that stays.
func seeConnectionsEnd(t *testing.T, ksmScale *v1alpha1.KSMScale) {
	t.Helper()
	address, err := url.Parse(serviceAddress(t, ksmScale))
	require.NoError(t, err)
	connection, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address.Host)
	require.NoError(t, err)
	defer connection.Close()
	// By default it is kept for five minutes.
	require.NoError(t, connection.SetDeadline(time.Now().Add(time.Minute)))
	scrape, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address.String(), nil)
	require.NoError(t, err)
	require.NoError(t, scrape.Write(connection))
	reader := bufio.NewReader(connection)
	response, err := http.ReadResponse(reader, scrape)
	require.NoError(t, err)
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, response.Body)
	require.NoError(t, err)
	require.False(t, response.Close, "the connection is kept at first")
	_, err = reader.ReadByte()
	require.ErrorIs(t, err, io.EOF, "%s goes on keeping it", ksmScale.Spec.MonitorImage)
}
