// Package integration installs, upgrades and uninstalls the Helm chart with Helm's own library on a local cluster.
package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/klog/v2"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/test/cluster"
	"github.com/example/ksmscale/test/installation"
	"github.com/example/ksmscale/test/walk"
)

const (
	// eventually is how long anything that must come may take, on a slow machine that does other things too.
	eventually = 5 * time.Minute
	poll       = 200 * time.Millisecond
)

// release is KSMScale on a cluster, and a KSMScale of a user.
type release struct {
	*helm
	cluster   *cluster.Cluster
	client    client.Client
	installed *installation.Installation
	walker    *walk.Walker
	ksmScale  *v1alpha1.KSMScale

	controller, adapter *installation.Component
}

func newRelease(t *testing.T) *release {
	t.Helper()
	log.SetLogger(klog.Background())
	r := &release{cluster: cluster.StartT(t, cluster.Options{HPASyncPeriod: time.Second})}
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, apiregistrationv1.AddToScheme, apiextensionsv1.AddToScheme, v1alpha1.AddToScheme} {
		require.NoError(t, add(scheme))
	}
	var err error
	r.client, err = client.New(r.cluster.Config(), client.Options{Scheme: scheme})
	require.NoError(t, err)
	r.walker, err = walk.New(r.cluster.Config())
	require.NoError(t, err)
	r.installed, err = installation.On(t.Context(), r.cluster)
	require.NoError(t, err)
	r.helm = newHelm(t, r.cluster, installation.Namespace)
	fast := &v1alpha1.ScalingRules{StabilizationWindowSeconds: new(int32(0)), Policies: []v1alpha1.ScalingPolicy{{Type: "Pods", Value: 1000, PeriodSeconds: 1}}}
	r.ksmScale = &v1alpha1.KSMScale{
		ObjectMeta: metav1.ObjectMeta{Name: "users"},
		Spec: v1alpha1.KSMScaleSpec{
			Namespace:   "monitoring",
			Sharding:    &v1alpha1.ShardingConfig{Enabled: true, ShardCount: 3, MinReplicasPerShard: 1},
			Monitoring:  v1alpha1.MonitoringConfig{Interval: metav1.Duration{Duration: time.Second}},
			Autoscaling: &v1alpha1.AutoscalingConfig{Behavior: &v1alpha1.ScalingBehavior{ScaleUp: fast, ScaleDown: fast}},
		},
	}
	return r
}

// start has processes stand in for the pods of the release, with the arguments that these have.
func (r *release) start(t *testing.T) {
	t.Helper()
	require.NoError(t, r.installed.StandIn(t.Context()))
	var err error
	r.controller, r.adapter, err = r.installed.StartAll(t.Context())
	require.NoError(t, err)
}

func (r *release) stop(t *testing.T) {
	t.Helper()
	require.NoError(t, r.adapter.Stop(t.Context()))
	require.NoError(t, r.controller.Stop(t.Context()))
}

func (r *release) awaitReplicas(t *testing.T, nodes int, expected ...int32) {
	t.Helper()
	require.NoError(t, r.cluster.SetNodes(t.Context(), nodes))
	_, err := r.walker.Await(t.Context(), r.ksmScale, nodes, expected, eventually)
	require.NoError(t, err)
}

func (r *release) get(t require.TestingT, object client.Object) {
	require.NoError(t, r.client.Get(context.Background(), client.ObjectKeyFromObject(object), object))
}

// shards are the shards' objects. Their UIDs show whether they were created again.
func (r *release) shards(t *testing.T) map[string]types.UID {
	t.Helper()
	uids := map[string]types.UID{}
	for _, list := range []client.ObjectList{&appsv1.DeploymentList{}, &autoscalingv2.HorizontalPodAutoscalerList{}, &corev1.ServiceList{}, &corev1.PodList{}} {
		require.NoError(t, r.client.List(t.Context(), list, client.InNamespace("monitoring")))
		require.NoError(t, meta.EachListItem(list, func(item runtime.Object) error {
			object, err := meta.Accessor(item)
			if err == nil {
				uids[fmt.Sprintf("%T %s", item, object.GetName())] = object.GetUID()
			}
			return err
		}))
	}
	return uids
}

// Helm upgrades and removes the installation completely, while the shards keep running.
func TestReleaseComesAndGoes(t *testing.T) {
	ctx := t.Context()
	r := newRelease(t)
	require.NoError(t, r.cluster.SetNodes(ctx, 45))
	require.NoError(t, r.client.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "monitoring"}}))
	before := snapshot(t, r.cluster)

	require.NoError(t, r.install(t, "ksmscale", previous(t), withoutPods(nil)))
	r.start(t)
	require.NoError(t, r.client.Create(ctx, r.ksmScale))
	r.awaitReplicas(t, 45, 1, 1, 1)
	shards := r.shards(t)
	require.NotEmpty(t, shards)

	t.Run("helm test", func(t *testing.T) {
		require.NoError(t, r.test(t, "ksmscale", func() { require.NoError(t, r.check(t, eventually)) }))
		require.NoError(t, r.adapter.Stop(ctx))
		require.Error(t, r.test(t, "ksmscale", func() { require.Error(t, r.check(t, 10*time.Second), "no adapter answers") }))
		var err error
		r.adapter, err = r.installed.StartAdapter(ctx, "adapter")
		require.NoError(t, err)
		// Helm and others ask the API server for all types, which this one is among again.
		require.EventuallyWithT(t, func(c *assert.CollectT) {
			_, err := r.installed.Kubectl(ctx, "api-resources")
			require.NoError(c, err)
		}, eventually, poll)
		require.NoError(t, r.client.Delete(ctx, testPod()), "which a test that fails leaves")
	})
	t.Run("a second release is refused", func(t *testing.T) {
		err := newHelm(t, r.cluster, "elsewhere").install(t, "second", current(t), nil)
		require.ErrorContains(t, err, "invalid ownership metadata")
	})
	t.Run("an upgrade", func(t *testing.T) {
		certificate := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: r.namespace, Name: "ksmscale-adapter-certificate"}}
		r.get(t, certificate)
		require.NotEmpty(t, certificate.Data)
		kept := certificate.DeepCopy()
		r.upgrade(t, "ksmscale", current(t), withoutPods(values{"logging": values{"level": 2}, "networkPolicy": values{"enabled": true}}))

		r.get(t, certificate)
		assert.Equal(t, kept.Data, certificate.Data, "Helm has no say in what the controller wrote")
		crd := &apiextensionsv1.CustomResourceDefinition{ObjectMeta: metav1.ObjectMeta{Name: "ksmscales.monitor.example.com"}}
		r.get(t, crd)
		assert.Contains(t, fmt.Sprint(crd.Spec.Versions[0].AdditionalPrinterColumns), "{Desired ", "the type is upgraded too")
		role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "ksmscale-kube-state-metrics"}}
		r.get(t, role)
		assert.Contains(t, fmt.Sprint(role.Rules), "volumeattachments")
		r.stop(t)
		r.start(t)
		r.awaitReplicas(t, 60, 2, 1, 1)
		assert.Subset(t, r.shards(t), shards, "and shards are left alone")
	})
	t.Run("an uninstallation", func(t *testing.T) {
		shards := r.shards(t)
		r.uninstall(t, "ksmscale")
		r.stop(t)
		require.NoError(t, r.cluster.SetNodes(ctx, 90))
		assert.Equal(t, shards, r.shards(t), "shards run without")
		r.awaitLeft(t, before, "ksmscales users", "monitoring/", "ksm-users")
		r.mayRead(t, "pods")
	})
	t.Run("a new installation", func(t *testing.T) {
		shards := r.shards(t)
		require.NoError(t, r.install(t, "ksmscale", current(t), withoutPods(nil)))
		r.start(t)
		r.awaitReplicas(t, 90, 2, 2, 2)
		assert.Subset(t, r.shards(t), shards)
	})
	t.Run("monitors and rules", func(t *testing.T) { r.monitored(t) })
	t.Run("a certificate from cert-manager", func(t *testing.T) { r.certified(t) })
	t.Run("the end", func(t *testing.T) {
		require.NoError(t, r.client.Delete(ctx, r.ksmScale))
		r.awaitNone(t, "monitoring/ksm-users")
		r.uninstall(t, "ksmscale")
		r.stop(t)
		r.awaitLeft(t, before, "cert-manager.io", "monitoring.coreos.com", "secrets ksmscale-system/"+issuedSecret, "secrets ksmscale-system/"+caSecret)
	})
}

func testPod() *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: installation.Namespace, Name: "ksmscale-test"}}
}

// check stands in for the pod of `helm test`: it runs what that runs with the rights that it has, for up to a timeout, and ends the pod.
func (r *release) check(t *testing.T, timeout time.Duration) error {
	t.Helper()
	pod := testPod()
	require.EventuallyWithT(t, func(c *assert.CollectT) { r.get(c, pod) }, eventually, poll)
	require.Equal(t, []string{"/adapter", "check"}, pod.Spec.Containers[0].Command)
	err := r.installed.Check(t.Context(), pod.Spec.ServiceAccountName, timeout)
	phase := corev1.PodSucceeded
	if err != nil {
		phase = corev1.PodFailed
	}
	// The program that marks pods as running may write at the same time.
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		r.get(c, pod)
		pod.Status.Phase = phase
		require.NoError(c, r.client.Status().Update(t.Context(), pod))
	}, eventually, poll)
	return err
}

// mayRead checks that the shards have their rights still.
func (r *release) mayRead(t *testing.T, resource string) {
	t.Helper()
	review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
		User:               "system:serviceaccount:monitoring:" + v1alpha1.ServiceAccountName(r.ksmScale.Name),
		ResourceAttributes: &authorizationv1.ResourceAttributes{Verb: "list", Resource: resource},
	}}
	require.NoError(t, r.client.Create(t.Context(), review))
	require.True(t, review.Status.Allowed, review.Status.Reason)
}

// awaitLeft waits until only these objects are left in addition to the ones from before: the type and the rights of
// shards, the release's namespace, and the given names.
func (r *release) awaitLeft(t *testing.T, before sets.Set[string], names ...string) {
	t.Helper()
	expected := sets.New(
		"customresourcedefinitions ksmscales.monitor.example.com", "apiservices v1alpha1.monitor.example.com",
		"clusterroles ksmscale-kube-state-metrics", "clusterroles ksmscale-kube-state-metrics-auth-filter", "clusterroles ksmscale-kube-state-metrics-secrets",
		"namespaces ksmscale-system", "serviceaccounts ksmscale-system/default", "configmaps ksmscale-system/kube-root-ca.crt",
	)
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		left := snapshot(t, r.cluster).Difference(before)
		for name := range left {
			for _, allowed := range names {
				if strings.Contains(name, allowed) {
					left.Delete(name)
				}
			}
		}
		require.ElementsMatch(c, expected.UnsortedList(), left.UnsortedList())
	}, eventually, poll)
}

func (r *release) awaitNone(t *testing.T, name string) {
	t.Helper()
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		for remaining := range snapshot(t, r.cluster) {
			require.NotContains(c, remaining, name)
		}
	}, eventually, poll)
}

// monitored upgrades to a release that the Prometheus Operator's Prometheus scrapes, with the types of that Prometheus.
func (r *release) monitored(t *testing.T) {
	const types = "example/prometheus-operator-crd/monitoring.coreos.com_"
	r.installTypes(t, operatorModule, types+"servicemonitors.yaml", types+"prometheusrules.yaml")
	r.awaitTypes(t, "servicemonitors.monitoring.coreos.com,prometheusrules.monitoring.coreos.com")
	r.upgrade(t, "ksmscale", current(t), withoutPods(values{
		"monitors": values{"enabled": true, "interval": "30s", "labels": values{"release": "prometheus"}},
		"rules":    values{"enabled": true, "deduplicate": true, "labels": values{"release": "prometheus"}},
	}))
	names, err := r.installed.Kubectl(t.Context(), "get", "-n", r.namespace, "servicemonitors,prometheusrules", "-l", "release=prometheus", "-o", "name")
	require.NoError(t, err)
	assert.Equal(t, []string{
		"servicemonitor.monitoring.coreos.com/ksmscale-adapter", "servicemonitor.monitoring.coreos.com/ksmscale-controller",
		"prometheusrule.monitoring.coreos.com/ksmscale",
	}, strings.Fields(names))
}

// The modules that have the CustomResourceDefinitions of other projects.
const (
	certManagerModule = "github.com/cert-manager/cert-manager"
	operatorModule    = "github.com/prometheus-operator/prometheus-operator@v0.85.0"
)

// installTypes creates CustomResourceDefinitions that are files of a module.
func (r *release) installTypes(t *testing.T, module string, files ...string) {
	t.Helper()
	output, err := exec.CommandContext(t.Context(), "go", "mod", "download", "-json", module).Output()
	require.NoError(t, err)
	var downloaded struct{ Dir string }
	require.NoError(t, json.Unmarshal(output, &downloaded))
	for _, file := range files {
		_, err := r.installed.Kubectl(t.Context(), "apply", "--server-side", "-f", filepath.Join(downloaded.Dir, file))
		require.NoError(t, err)
	}
}

// awaitTypes waits until the API server serves types, and clears Helm's cache of types.
func (r *release) awaitTypes(t *testing.T, types string) {
	t.Helper()
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		_, err := r.installed.Kubectl(t.Context(), "get", types)
		require.NoError(c, err)
	}, eventually, poll)
	r.configuration = newHelm(t, r.cluster, r.namespace).configuration
}
