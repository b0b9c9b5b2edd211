package plugin

import (
	"bytes"
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/meta/testrestmapper"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	apiversion "k8s.io/apimachinery/pkg/version"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/discovery"
	discoveryfake "k8s.io/client-go/discovery/fake"
	metadatafake "k8s.io/client-go/metadata/fake"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/utils/clock"
	testclock "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/controller/fixtures"
	"github.com/example/ksmscale/controller/fixtures/snapshots"
	"github.com/example/ksmscale/gate"
	"github.com/example/ksmscale/plugin/cluster"
)

// world is a cluster of a test.
type world struct {
	objects []client.Object
	// refused are lists that the API server refuses.
	refused func(client.ObjectList) error
	// gates has the answers of closed gates, by the name of the pod.
	gates map[string]string
	// readGate answers in place of gates, unless it is nil.
	readGate func(pod string) (string, error)
	stdin    string
	// listed are the objects of the cluster, and exposed are the objects in the metrics of pods, for one look after the other.
	listed  []runtime.Object
	exposed []map[string]gate.Exposed
	// lacks are the rights that the user, and refuses those that the service account of the shards, does not have.
	lacks, refuses []string
	// found is the object that `where` names.
	found cluster.Target
	// unserved is a resource that the API server does not serve.
	unserved string
	// logs is the log of each container, and gateMetrics are the metrics of each gate.
	logs, gateMetrics string
	// served is the certificate that pods of the adapter serve.
	served *x509.Certificate
	// version is the version of Kubernetes, and kinds are those of the Prometheus Operator.
	version string
	kinds   []string
	// hidesSecrets is whether the test fails if the plugin reads a Secret. It must never list them.
	hidesSecrets bool
	// dropsTolerance is whether the API server drops the tolerance of HorizontalPodAutoscalers.
	dropsTolerance bool
	// readLease changes a lease that the plugin reads; nil for the lease of objects.
	readLease func(*coordinationv1.Lease)
	// clock is nil for a clock that stands still.
	clock clock.Clock
}

// allowed reviews a right.
func allowed(attributes *authorizationv1.ResourceAttributes, denied []string) authorizationv1.SubjectAccessReviewStatus {
	return authorizationv1.SubjectAccessReviewStatus{Allowed: !slices.Contains(denied, cluster.Right{ResourceAttributes: *attributes}.String())}
}

// interceptors stand for what the API server does to requests in the world.
func (w world) interceptors(t *testing.T) interceptor.Funcs {
	t.Helper()
	return interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, object client.Object, options ...client.GetOption) error {
			if _, isSecret := object.(*corev1.Secret); isSecret && w.hidesSecrets {
				t.Error("the plugin reads Secret", key)
			}
			err := c.Get(ctx, key, object, options...)
			if lease, isLease := object.(*coordinationv1.Lease); isLease && w.readLease != nil {
				w.readLease(lease)
			}
			return err
		},
		List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, options ...client.ListOption) error {
			listsTooMuch(t, list, options)
			if w.refused != nil {
				if err := w.refused(list); err != nil {
					return err
				}
			}
			return c.List(ctx, list, options...)
		},
		Create: func(ctx context.Context, c client.WithWatch, object client.Object, options ...client.CreateOption) error {
			switch review := object.(type) {
			case *autoscalingv2.HorizontalPodAutoscaler:
				if w.dropsTolerance {
					review.Spec.Behavior.ScaleUp.Tolerance = nil
				}
			case *authorizationv1.SelfSubjectAccessReview:
				review.Status = allowed(review.Spec.ResourceAttributes, w.lacks)
			case *authorizationv1.SubjectAccessReview:
				review.Status = allowed(review.Spec.ResourceAttributes, w.refuses)
			default:
				return c.Create(ctx, object, options...)
			}
			return nil
		},
	}
}

// listsTooMuch fails the test if the plugin lists what it must not list.
func listsTooMuch(t *testing.T, list client.ObjectList, options []client.ListOption) {
	t.Helper()
	if _, areSecrets := list.(*corev1.SecretList); areSecrets || strings.HasPrefix(list.GetObjectKind().GroupVersionKind().Kind, "Secret") {
		t.Error("the plugin lists Secrets")
	}
	if _, areEvents := list.(*corev1.EventList); areEvents && (&client.ListOptions{}).ApplyOptions(options).Namespace == "" {
		t.Error("the plugin lists the events of all namespaces")
	}
}

// indexed indexes a field of events, because the fake client selects by indexed fields only.
func indexed(builder *fake.ClientBuilder, field string, value func(*corev1.ObjectReference) string) {
	builder.WithIndex(&corev1.Event{}, field, func(event client.Object) []string {
		return []string{value(&event.(*corev1.Event).InvolvedObject)}
	})
}

// run runs the plugin in the world, and returns its exit code and what it printed.
func (w world) run(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	return w.runUntil(t.Context(), t, args...)
}

// runUntil is run until a context is done.
func (w world) runUntil(ctx context.Context, t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	scheme, err := cluster.NewScheme()
	require.NoError(t, err)
	mapper := mapperOf{testrestmapper.TestOnlyStaticRESTMapper(scheme), w.unserved}
	builder := fake.NewClientBuilder().WithScheme(scheme).WithRESTMapper(mapper).WithObjects(w.objects...).WithInterceptorFuncs(w.interceptors(t))
	indexed(builder, "involvedObject.kind", func(involved *corev1.ObjectReference) string { return involved.Kind })
	indexed(builder, "involvedObject.name", func(involved *corev1.ObjectReference) string { return involved.Name })
	objects := builder.Build()
	names := metadatafake.NewTestScheme()
	require.NoError(t, metav1.AddMetaToScheme(names))
	var out, errOut bytes.Buffer
	o := &options{
		IOStreams: genericiooptions.IOStreams{In: strings.NewReader(w.stdin), Out: &out, ErrOut: &errOut},
		flags:     genericclioptions.NewConfigFlags(true), clock: w.clock,
	}
	if o.clock == nil {
		o.clock = &skippingClock{testclock.NewFakeClock(fixtures.Time)}
	}
	var mu sync.Mutex
	looks := map[string]int{}
	o.connect = func() (*cluster.Cluster, error) {
		return &cluster.Cluster{Client: objects, Clock: o.clock, ServedCertificate: func(context.Context, *corev1.Pod) (*x509.Certificate, error) {
			return w.served, nil
		}, Discovery: w.discovery(), MetricsServed: func(context.Context) error { return nil }, Logs: func(context.Context, *corev1.Pod, string) ([]byte, error) {
			return []byte(w.logs), nil
		}, GateMetrics: func(context.Context, *corev1.Pod) ([]byte, error) {
			return []byte(w.gateMetrics), nil
		}, Metadata: metadatafake.NewSimpleMetadataClient(names, w.listed...), Find: func([]string) (cluster.Target, error) {
			return w.found, nil
		}, ReadPod: func(_ context.Context, pod *corev1.Pod, _ cluster.Access) (gate.Exposed, error) {
			mu.Lock()
			defer mu.Unlock()
			look := min(looks[pod.Name], len(w.exposed)-1)
			looks[pod.Name]++
			if exposed, answers := w.exposed[look][pod.Name]; answers {
				return exposed, nil
			}
			return nil, errors.New("connection refused")
		}, GateAnswer: func(_ context.Context, pod *corev1.Pod) (string, error) {
			if w.readGate != nil {
				return w.readGate(pod.Name)
			}
			answer, known := w.gates[pod.Name]
			if !known {
				return "", errors.New("connection refused\nand more")
			}
			return answer, nil
		}}, nil
	}
	code = o.run(ctx, args)
	return code, out.String(), errOut.String()
}

// discovery is the API server's own information.
func (w world) discovery() discovery.DiscoveryInterface {
	fakeDiscovery := &discoveryfake.FakeDiscovery{Fake: &clienttesting.Fake{}, FakedServerVersion: &apiversion.Info{GitVersion: cmp.Or(w.version, "v1.37.2")}}
	list := &metav1.APIResourceList{GroupVersion: "monitoring.coreos.com/v1alpha1"}
	for _, kind := range w.kinds {
		list.APIResources = append(list.APIResources, metav1.APIResource{Kind: kind})
	}
	if len(w.kinds) > 0 {
		fakeDiscovery.Resources = []*metav1.APIResourceList{list}
	}
	return fakeDiscovery
}

// mapperOf maps all resources, except one.
type mapperOf struct {
	meta.RESTMapper
	unserved string
}

func (m mapperOf) KindFor(resource schema.GroupVersionResource) (schema.GroupVersionKind, error) {
	if resource.Resource == m.unserved {
		return schema.GroupVersionKind{}, &meta.NoResourceMatchError{PartialResource: resource}
	}
	return m.RESTMapper.KindFor(resource)
}

// skippingClock lets time pass at once.
type skippingClock struct{ *testclock.FakeClock }

func (c *skippingClock) After(duration time.Duration) <-chan time.Time {
	passed := make(chan time.Time, 1)
	c.Step(duration)
	passed <- c.Now()
	return passed
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
			ObservedGeneration: 1, Phase: v1alpha1.PhaseReady, NodeCount: 45, Nodes: &v1alpha1.NodesStatus{Registered: 45, Schedulable: 45},
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
	deployment := snapshots.OwnedDeployment("main", id, func(d *appsv1.Deployment) {
		d.Status.ReadyReplicas = 1
		d.Spec.Template.Spec.Containers = []corev1.Container{{Name: "gate", Args: []string{
			fmt.Sprintf("--shard=%d", id), "--total-shards=3", "--resources=configmaps,nodes", "--namespaces-denylist=kube-system", "--newer-flag=1",
		}}}
	})
	autoscaler := fixtures.ActingAutoscaler(id)
	autoscaler.Namespace, autoscaler.Labels, autoscaler.OwnerReferences = deployment.Namespace, deployment.Labels, deployment.OwnerReferences
	autoscaler.Status.CurrentReplicas, autoscaler.Status.DesiredReplicas = 1, 1
	pod := fixtures.Pod(id, "a", overrides...)
	pod.Spec, pod.UID = deployment.Spec.Template.Spec, types.UID(pod.Name)
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

// zoned are nodes in two zones.
func zoned(nodes []client.Object) []client.Object {
	for i, node := range nodes {
		node.GetLabels()[corev1.LabelTopologyZone] = fmt.Sprint("zone-", i%2)
	}
	return nodes
}

// nodesOf are some nodes.
func nodesOf(count int) []client.Object {
	var all []client.Object
	for i := range count {
		all = append(all, &corev1.Node{ObjectMeta: metav1.ObjectMeta{
			Name: "node-" + string(rune('a'+i/26)) + string(rune('a'+i%26)), Labels: map[string]string{corev1.LabelOSStable: string(corev1.Linux)},
		}})
	}
	return all
}
