package integration

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/test/cluster"
	"github.com/example/ksmscale/test/cluster/audit"
	"github.com/example/ksmscale/test/installation"
)

// An API server that behaves like Kubernetes 1.34 drops the tolerances of HorizontalPodAutoscalers. The status reports it,
// and the controller does not write again and again. The feature gate itself cannot be turned off any more. Without
// WatchList, controller and adapter list before they watch.
func TestOldAPIServer(t *testing.T) {
	ctx := t.Context()
	old := []string{"--emulated-version=1.34"}
	withoutWatchList := append(slices.Clone(old), "--feature-gates=WatchList=false")
	local := cluster.StartT(t, cluster.Options{
		HPASyncPeriod: time.Second,
		Flags:         map[string][]string{cluster.APIServer: withoutWatchList, cluster.ControllerManager: old, cluster.Scheduler: old},
	})
	installed, err := installation.Install(ctx, local)
	require.NoError(t, err)
	_, _, err = installed.StartAll(ctx)
	require.NoError(t, err)
	require.NoError(t, local.SetNodes(ctx, 10))
	c, err := client.New(local.Config(), client.Options{Scheme: shared.client.Scheme()})
	require.NoError(t, err)
	ksmScale := newKSMScale()
	require.NoError(t, c.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ksmScale.Spec.Namespace}}))
	require.NoError(t, c.Create(ctx, ksmScale))
	observed := func(collect *assert.CollectT) {
		require.NoError(collect, c.Get(ctx, client.ObjectKeyFromObject(ksmScale), ksmScale))
		condition := meta.FindStatusCondition(ksmScale.Status.Conditions, v1alpha1.ConditionAutoscaling)
		require.NotNil(collect, condition)
		require.Equal(collect, v1alpha1.ReasonToleranceIgnored, condition.Reason, condition.Message)
		require.Equal(collect, v1alpha1.PhaseReady, ksmScale.Status.Phase)
		require.Equal(collect, ksmScale.Generation, ksmScale.Status.ObservedGeneration)
	}
	require.EventuallyWithT(t, observed, eventually, poll)
	autoscaler := &autoscalingv2.HorizontalPodAutoscaler{}
	require.NoError(t, c.Get(ctx, client.ObjectKey{Namespace: ksmScale.Spec.Namespace, Name: shardOf(ksmScale, 0).Name()}, autoscaler))
	require.Nil(t, autoscaler.Spec.Behavior.ScaleUp.Tolerance)

	// The first change that the controller acts on may have it write once more, the others not.
	var mark int64
	for nodesPerMonitor := range int32(3) {
		mark, err = audit.Mark(local.AuditLog())
		require.NoError(t, err)
		changed := ksmScale.DeepCopy()
		changed.Spec.NodesPerMonitor = 16 + nodesPerMonitor
		require.NoError(t, c.Patch(ctx, changed, client.MergeFrom(ksmScale)))
		require.EventuallyWithT(t, observed, eventually, poll)
	}
	events, err := audit.Since(local.AuditLog(), mark)
	require.NoError(t, err)
	assert.NotContains(t, resources(audit.Writes(events, controllerUser)), "horizontalpodautoscalers")
}
