package compatibility

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/version"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/test/cluster"
	"github.com/example/ksmscale/test/installation"
	"github.com/example/ksmscale/test/versions"
	"github.com/example/ksmscale/test/walk"
)

const (
	root = "../.."
	// eventually only bounds a failing test.
	eventually = 5 * time.Minute
	poll       = 200 * time.Millisecond
)

func TestKubernetes(t *testing.T) {
	log.SetLogger(klog.Background())
	for _, minor := range versions.Run(t, root, "Kubernetes", "emulate") {
		t.Run(minor, func(t *testing.T) { testKubernetes(t, minor) })
	}
}

// testKubernetes installs KSMScale on a control plane that emulates a version, takes it through numbers of nodes, upgrades it, and changes
// the number of shards.
func testKubernetes(t *testing.T, minor string) {
	ctx := t.Context()
	emulated := []string{"--emulated-version=" + minor}
	local := cluster.StartT(t, cluster.Options{
		HPASyncPeriod: time.Second,
		Flags:         map[string][]string{cluster.APIServer: emulated, cluster.ControllerManager: emulated, cluster.Scheduler: emulated},
	})
	installed, err := installation.Install(ctx, local)
	require.NoError(t, err)
	answer, err := installed.Kubectl(ctx, "get", "--raw", "/version")
	require.NoError(t, err)
	var running version.Info
	require.NoError(t, json.Unmarshal([]byte(answer), &running))
	require.Equal(t, minor, running.EmulationMajor+"."+running.EmulationMinor)
	_, _, err = installed.StartAll(ctx)
	require.NoError(t, err)

	scheme := runtime.NewScheme()
	require.NoError(t, clientgoscheme.AddToScheme(scheme))
	require.NoError(t, v1alpha1.AddToScheme(scheme))
	c, err := client.New(local.Config(), client.Options{Scheme: scheme})
	require.NoError(t, err)
	walker, err := walk.New(local.Config())
	require.NoError(t, err)
	ksmScale := sample()
	require.NoError(t, c.Create(ctx, ksmScale))
	await := func(nodes int, expected ...int32) {
		t.Helper()
		require.NoError(t, local.SetNodes(ctx, nodes))
		replicas, err := walker.Await(ctx, ksmScale, nodes, expected, eventually)
		require.NoError(t, err)
		t.Logf("%d nodes: %v", nodes, replicas.Ready)
	}
	await(45, 1, 1, 1)
	await(60, 2, 1, 1)
	await(90, 2, 2, 2)

	require.NoError(t, installed.Apply(ctx), "the same manifests again")
	changed := ksmScale.DeepCopy()
	changed.Spec.Sharding.ShardCount = 4
	require.NoError(t, c.Patch(ctx, changed, client.MergeFrom(ksmScale)))
	ksmScale = changed
	await(90, 2, 2, 1, 1)
	require.EventuallyWithT(t, func(collect *assert.CollectT) {
		var services corev1.ServiceList
		require.NoError(collect, c.List(ctx, &services, client.InNamespace(ksmScale.Spec.Namespace)))
		require.Len(collect, services.Items, 4, "the shards of three are gone")
		require.NoError(collect, c.Get(ctx, client.ObjectKeyFromObject(ksmScale), ksmScale))
		require.Equal(collect, v1alpha1.PhaseReady, ksmScale.Status.Phase)
	}, eventually, poll)
	await(45, 1, 1, 1, 1)
}

// sample is a KSMScale that scales without delay.
func sample() *v1alpha1.KSMScale {
	fast := &v1alpha1.ScalingRules{
		StabilizationWindowSeconds: new(int32(0)),
		Policies:                   []v1alpha1.ScalingPolicy{{Type: "Pods", Value: 1000, PeriodSeconds: 1}},
	}
	return &v1alpha1.KSMScale{
		ObjectMeta: metav1.ObjectMeta{Name: "compatible"},
		Spec: v1alpha1.KSMScaleSpec{
			Namespace:       "monitoring",
			NodesPerMonitor: 15,
			Sharding:        &v1alpha1.ShardingConfig{Enabled: true, ShardCount: 3, MinReplicasPerShard: 1},
			Monitoring:      v1alpha1.MonitoringConfig{Interval: metav1.Duration{Duration: time.Second}},
			Autoscaling:     &v1alpha1.AutoscalingConfig{Behavior: &v1alpha1.ScalingBehavior{ScaleUp: fast, ScaleDown: fast}},
		},
	}
}
