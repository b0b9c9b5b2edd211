package integration

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/client-go/util/retry"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/example/ksmscale/api/v1alpha1"
)

const (
	// eventually is how long anything that must come may take, on a slow machine that does other things too.
	eventually = 5 * time.Minute
	poll       = 200 * time.Millisecond
	// afterAChange is a time without a write, after which a change has been dealt with.
	afterAChange = 10 * time.Second
)

// externalMetrics is the APIService of external metrics, with only its name.
func externalMetrics() *apiregistrationv1.APIService {
	return &apiregistrationv1.APIService{ObjectMeta: metav1.ObjectMeta{Name: "v1beta1.external.metrics.k8s.io"}}
}

// newKSMScale is a KSMScale of 3 shards with the overrides, in a separate namespace that does not exist yet. It scales
// fast enough for the tests.
func newKSMScale(overrides ...func(*v1alpha1.KSMScale)) *v1alpha1.KSMScale {
	name := "test-" + rand.String(5)
	fast := &v1alpha1.ScalingRules{
		StabilizationWindowSeconds: new(int32(0)),
		Policies:                   []v1alpha1.ScalingPolicy{{Type: "Pods", Value: 1000, PeriodSeconds: 1}},
	}
	ksmScale := &v1alpha1.KSMScale{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: v1alpha1.KSMScaleSpec{
			Namespace:   name,
			Sharding:    &v1alpha1.ShardingConfig{Enabled: true, ShardCount: 3, MinReplicasPerShard: 1},
			Monitoring:  v1alpha1.MonitoringConfig{Interval: metav1.Duration{Duration: time.Second}},
			Autoscaling: &v1alpha1.AutoscalingConfig{Behavior: &v1alpha1.ScalingBehavior{ScaleUp: fast, ScaleDown: fast}},
		},
	}
	for _, override := range overrides {
		override(ksmScale)
	}
	return ksmScale
}

// create creates a KSMScale and its namespace, until the test ends.
func create(t *testing.T, ksmScale *v1alpha1.KSMScale) *v1alpha1.KSMScale {
	t.Helper()
	createNamespace(t, ksmScale.Spec.Namespace)
	require.NoError(t, shared.client.Create(t.Context(), ksmScale))
	t.Cleanup(func() { remove(t, ksmScale) })
	return ksmScale
}

func createNamespace(t *testing.T, name string) {
	t.Helper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	require.NoError(t, client.IgnoreAlreadyExists(shared.client.Create(t.Context(), namespace)))
}

// afterwards is a context for a test's clean-up, when its own is done.
func afterwards(t *testing.T) context.Context {
	t.Helper()
	return context.WithoutCancel(t.Context())
}

// remove deletes an object and waits until it is gone.
func remove(t *testing.T, object client.Object) {
	t.Helper()
	ctx := afterwards(t)
	require.NoError(t, client.IgnoreNotFound(shared.client.Delete(ctx, object)))
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		err := shared.client.Get(ctx, client.ObjectKeyFromObject(object), object)
		require.True(c, apierrors.IsNotFound(err), "still there: %v", err)
	}, eventually, poll)
}

func setNodes(t *testing.T, number int) {
	t.Helper()
	require.NoError(t, shared.cluster.SetNodes(t.Context(), number))
	shared.nodes = number
}

// awaitReplicas waits until the nodes are counted, metric, HorizontalPodAutoscalers and Deployments of a KSMScale
// agree on the replicas of each shard, and they are ready.
func awaitReplicas(t *testing.T, ksmScale *v1alpha1.KSMScale, expected ...int32) {
	t.Helper()
	_, err := shared.walker.Await(t.Context(), ksmScale, shared.nodes, expected, eventually)
	require.NoError(t, err)
}

// awaitCondition waits until a condition of a KSMScale has a status and reason, and returns it.
func awaitCondition(t *testing.T, ksmScale *v1alpha1.KSMScale, conditionType string, status metav1.ConditionStatus, reason string) metav1.Condition {
	t.Helper()
	var condition metav1.Condition
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		require.NoError(c, get(t, ksmScale))
		current := meta.FindStatusCondition(ksmScale.Status.Conditions, conditionType)
		require.NotNil(c, current)
		require.Equal(c, string(status)+" "+reason, string(current.Status)+" "+current.Reason, current.Message)
		condition = *current
	}, eventually, poll)
	return condition
}

// awaitEvent waits until an event about a KSMScale has a type and reason.
func awaitEvent(t *testing.T, ksmScale *v1alpha1.KSMScale, eventType, reason string) {
	t.Helper()
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		var events corev1.EventList
		require.NoError(c, shared.client.List(t.Context(), &events))
		var reasons []string
		for _, event := range events.Items {
			if event.InvolvedObject.Kind == "KSMScale" && event.InvolvedObject.Name == ksmScale.Name {
				reasons = append(reasons, event.Type+" "+event.Reason)
			}
		}
		require.Contains(c, reasons, eventType+" "+reason)
	}, eventually, poll)
}

// update changes an object that others change too.
func update[T client.Object](t *testing.T, object T, change func(T)) {
	t.Helper()
	require.NoError(t, retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		if err := get(t, object); err != nil {
			return err
		}
		change(object)
		return shared.client.Update(t.Context(), object)
	}))
}

// get reads an object again.
func get(t *testing.T, object client.Object) error {
	t.Helper()
	return shared.client.Get(t.Context(), client.ObjectKeyFromObject(object), object)
}

// shardObject is an object of a shard, not yet read.
func shardObject[T client.Object](ksmScale *v1alpha1.KSMScale, id int32, object T) T {
	object.SetNamespace(ksmScale.Spec.Namespace)
	object.SetName(shardOf(ksmScale, id).Name())
	return object
}

func shardOf(ksmScale *v1alpha1.KSMScale, id int32) v1alpha1.Shard {
	return v1alpha1.Shard{KSMScale: ksmScale.Name, ID: id, Total: ksmScale.TotalShards()}
}
