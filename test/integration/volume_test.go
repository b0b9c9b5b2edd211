package integration

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/test/cluster/audit"
)

// Thousands of nodes appear in two steps, with only heartbeats in between. This is the last test by its file's name, so
// other tests do not wait for the removal of the nodes.
func TestManyNodes(t *testing.T) {
	setNodes(t, 45)
	ksmScale := create(t, newKSMScale())
	awaitReplicas(t, ksmScale, 1, 1, 1)

	setNodes(t, 1000)
	awaitReplicas(t, ksmScale, 23, 22, 22)
	awaitCondition(t, ksmScale, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonAsPlanned)
	t.Run("steady state", func(t *testing.T) {
		removePodsOfOthers(t, ksmScale)
		steadyState(t)
	})

	setNodes(t, 3000)
	awaitReplicas(t, ksmScale, 67, 67, 66)
	awaitCondition(t, ksmScale, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonAsPlanned)
}

// steadyState checks that two minutes pass without a reconcile, and without a write except leases and reviews, while all
// nodes send heartbeats.
func steadyState(t *testing.T) {
	const quiet = 2 * time.Minute
	prometheus := monitorClient(t)
	awaitUntainted(t)
	// The controller reads the gates of a new KSMScale up to --size-interval later, and the first reading is a change.
	awaitQuiet(t, prometheus, time.Minute+5*time.Second)

	mark, reconciles, began := auditMark(t), reconcilesNow(t.Context(), t, prometheus), time.Now()
	require.Contains(t, reconciles, `controller="ksmscale"`)
	beatHearts(t)
	awaitTime(t, quiet-time.Since(began))
	events := auditSince(t, mark)
	for _, event := range events {
		assert.False(t, unexpectedWrite(event), "%s %s by %s in steady state", event.Verb, event.RequestURI, event.User.Username)
	}
	assert.Contains(t, resources(audit.Writes(events, controllerUser)), "leases", "the controller's writes are in the audit log")
	assert.Equal(t, reconciles, reconcilesNow(t.Context(), t, prometheus), "heartbeats cause no reconcile")

	var leases coordinationv1.LeaseList
	require.NoError(t, shared.client.List(t.Context(), &leases, client.InNamespace(corev1.NamespaceNodeLease)))
	var renewed int
	for _, lease := range leases.Items {
		if lease.Spec.RenewTime.After(began) {
			renewed++
		}
	}
	t.Logf("%d nodes sent their status, and %d renewed their lease", shared.nodes, renewed)
	assert.Positive(t, renewed, "nodes went on renewing their leases")
}

// awaitUntainted waits until the node controller has removed the taint of each new node. That changes the picture of the cluster.
func awaitUntainted(t *testing.T) {
	t.Helper()
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		var nodes corev1.NodeList
		require.NoError(c, shared.client.List(t.Context(), &nodes))
		for _, node := range nodes.Items {
			require.Empty(c, node.Spec.Taints, node.Name)
		}
	}, eventually, poll)
}

// removePodsOfOthers removes the remains of earlier tests. Pods of deleted nodes wait for a minute or two for garbage
// collection, and each of them is an event for the controller.
func removePodsOfOthers(t *testing.T, ksmScale *v1alpha1.KSMScale) {
	t.Helper()
	var pods corev1.PodList
	require.NoError(t, shared.client.List(t.Context(), &pods))
	for i := range pods.Items {
		if pod := &pods.Items[i]; pod.Labels[v1alpha1.LabelKSMScale] != ksmScale.Name {
			require.NoError(t, client.IgnoreNotFound(shared.client.Delete(t.Context(), pod, client.GracePeriodSeconds(0))))
		}
	}
}

// beatHearts writes the status of every node, like kubelets do every five minutes. KWOK renews the leases as often as it
// can.
func beatHearts(t *testing.T) {
	t.Helper()
	var nodes corev1.NodeList
	require.NoError(t, shared.client.List(t.Context(), &nodes))
	group, ctx := errgroup.WithContext(t.Context())
	group.SetLimit(16)
	for i := range nodes.Items {
		group.Go(func() error {
			patch := fmt.Sprintf(`{"status":{"conditions":[{"type":"Ready","lastHeartbeatTime":%q}]}}`, time.Now().UTC().Format(time.RFC3339))
			return shared.client.Status().Patch(ctx, &nodes.Items[i], client.RawPatch("application/strategic-merge-patch+json", []byte(patch)))
		})
	}
	require.NoError(t, group.Wait())
}

var reconcileCount = regexp.MustCompile(`controller_runtime_reconcile_total\{controller="(?:ksmscale|apiservice)",result="\w+"\} \d+`)

// reconcilesNow is the number of reconciles in the controller's metrics.
func reconcilesNow(ctx context.Context, t require.TestingT, prometheus *http.Client) string {
	response := askWith(ctx, t, prometheus, shared.controller.MetricsURL)
	require.Equal(t, 200, response.code, response.body)
	return strings.Join(reconcileCount.FindAllString(response.body, -1), "\n")
}

// unexpectedWrite reports whether a component wrote an object other than its lease and reviews of tokens and rights.
func unexpectedWrite(event auditv1.Event) bool {
	if event.User.Username != controllerUser && event.User.Username != adapterUser || !audit.IsWrite(event) {
		return false
	}
	switch event.ObjectRef.Resource {
	case "leases", "tokenreviews", "subjectaccessreviews":
		return false
	}
	return true
}

// awaitQuiet waits until the controller has not reconciled and no component has written for a while. So the end of a
// change does not count as steady state.
func awaitQuiet(t *testing.T, prometheus *http.Client, while time.Duration) {
	t.Helper()
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		mark, reconciles := auditMark(c), reconcilesNow(t.Context(), c, prometheus)
		awaitTime(t, while)
		for _, event := range auditSince(c, mark) {
			require.False(c, unexpectedWrite(event), "%s %s", event.Verb, event.RequestURI)
		}
		require.Equal(c, reconciles, reconcilesNow(t.Context(), c, prometheus))
	}, eventually, poll)
}

// awaitTime waits for a time in which an event must not happen, because there is no event to wait for.
func awaitTime(t *testing.T, duration time.Duration) {
	t.Helper()
	_ = wait.PollUntilContextTimeout(t.Context(), duration, duration, false, func(context.Context) (bool, error) { return false, nil })
}
