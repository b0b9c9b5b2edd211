package plugin

import (
	"bytes"
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	testclock "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/controller/fixtures"
	"github.com/example/ksmscale/controller/fixtures/snapshots"
)

// world is a cluster of a test.
type world struct {
	objects []client.Object
	// refused are lists that the API server refuses.
	refused func(client.ObjectList) error
	// gates has the answers of closed gates, by the name of the pod.
	gates map[string]string
	stdin string
}

// run runs the plugin in the world, and returns its exit code and what it printed.
func (w world) run(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	scheme, err := newScheme()
	require.NoError(t, err)
	objects := fake.NewClientBuilder().WithScheme(scheme).WithObjects(w.objects...).WithInterceptorFuncs(interceptor.Funcs{
		List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, options ...client.ListOption) error {
			if w.refused != nil {
				if err := w.refused(list); err != nil {
					return err
				}
			}
			return c.List(ctx, list, options...)
		},
	}).Build()
	var out, errOut bytes.Buffer
	o := &options{
		IOStreams: genericiooptions.IOStreams{In: strings.NewReader(w.stdin), Out: &out, ErrOut: &errOut},
		flags:     genericclioptions.NewConfigFlags(true), clock: testclock.NewFakeClock(fixtures.Time),
	}
	o.connect = func() (*cluster, error) {
		return &cluster{client: objects, gateAnswer: func(_ context.Context, pod *corev1.Pod) (string, error) {
			answer, known := w.gates[pod.Name]
			if !known {
				return "", errors.New("connection refused\nand more")
			}
			return answer, nil
		}}, nil
	}
	code = o.run(t.Context(), args)
	return code, out.String(), errOut.String()
}

// condition is a condition of a KSMScale in its current generation.
func condition(conditionType string, status metav1.ConditionStatus, reason, message string) metav1.Condition {
	return metav1.Condition{Type: conditionType, Status: status, Reason: reason, Message: message, ObservedGeneration: 1}
}

// ready is a KSMScale whose three shards are ready on 45 nodes.
func ready(overrides ...func(*v1alpha1.KSMScale)) *v1alpha1.KSMScale {
	ksmScale := fixtures.KSMScale(func(k *v1alpha1.KSMScale) {
		k.UID = snapshots.UIDOf(k.Name)
		k.Status = v1alpha1.KSMScaleStatus{
			ObservedGeneration: 1, Phase: v1alpha1.PhaseReady, NodeCount: 45, Nodes: &v1alpha1.NodesStatus{Registered: 45, Schedulable: 45, Counted: 45},
			DesiredReplicas: 3, CurrentReplicas: 3, ShardingStatus: &v1alpha1.ShardingStatus{TotalShards: 3, Partitions: []int32{3}},
			Conditions: []metav1.Condition{
				condition(v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonAsPlanned, "3 replicas run, as calculated for 45 nodes"),
				condition(v1alpha1.ConditionProgressing, metav1.ConditionTrue, v1alpha1.ReasonComplete, "All 3 desired pods are ready"),
			},
			Recommendation: &v1alpha1.Recommendation{Shards: 3, ReplicasPerShard: 2, Series: 600_000, Message: "measured: 600000 series in 3 shards"},
		}
	})
	for _, override := range overrides {
		override(ksmScale)
	}
	return ksmScale
}

// notReady makes a KSMScale unready, for a reason.
func notReady(reason, message string) func(*v1alpha1.KSMScale) {
	return func(k *v1alpha1.KSMScale) {
		k.Status.Conditions[0] = condition(v1alpha1.ConditionReady, metav1.ConditionFalse, reason, message)
	}
}

// shardObjects are the Deployment, the HorizontalPodAutoscaler and the pod of a shard of main.
func shardObjects(id int32, overrides ...func(*corev1.Pod)) []client.Object {
	deployment := snapshots.OwnedDeployment("main", id, func(d *appsv1.Deployment) { d.Status.ReadyReplicas = 1 })
	autoscaler := fixtures.ActingAutoscaler(id)
	autoscaler.Namespace, autoscaler.Labels, autoscaler.OwnerReferences = deployment.Namespace, deployment.Labels, deployment.OwnerReferences
	autoscaler.Status.CurrentReplicas, autoscaler.Status.DesiredReplicas = 1, 1
	pod := fixtures.Pod(id, "a", overrides...)
	pod.Spec.NodeName = "node-1"
	fixtures.OwnedByDeployment(&pod, fixtures.Shard(id))
	return []client.Object{&deployment, &autoscaler, &pod}
}

func threeShards(overrides ...func(*corev1.Pod)) []client.Object {
	var all []client.Object
	for id := range int32(3) {
		all = append(all, shardObjects(id, overrides...)...)
	}
	return all
}

// nodesOf are some nodes.
func nodesOf(count int) []client.Object {
	var all []client.Object
	for i := range count {
		all = append(all, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node-" + string(rune('a'+i/26)) + string(rune('a'+i%26))}})
	}
	return all
}

// file writes a file of a test.
func file(t *testing.T, content string) string {
	t.Helper()
	name := t.TempDir() + "/ksmscale.yaml"
	require.NoError(t, os.WriteFile(name, []byte(content), 0o600))
	return name
}
