package controller

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/sets"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	clocktesting "k8s.io/utils/clock/testing"
	"pgregory.net/rapid"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/controller/fixtures"
	"github.com/example/ksmscale/controller/fixtures/snapshots"
	"github.com/example/ksmscale/controller/observation"
	"github.com/example/ksmscale/controller/partition"
	"github.com/example/ksmscale/plans"
	"github.com/example/ksmscale/scaling"
)

// Whatever the user wants in which order, in whichever mode, however pods and Services come and go, and whatever cannot be made:
// if Prometheus scrapes a ready pod of each shard of some partition, it does so after what was decided, too.
func TestReshardingNeverUncoversAnObject(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := fixtures.Time
		var snapshot observation.Snapshot
		snapshots.AddPartition(&snapshot, 3, 3, 1, now.Add(-time.Hour))
		if rapid.Bool().Draw(t, "taken over from") {
			snapshots.Retire(&snapshot, now.Add(-time.Duration(rapid.IntRange(0, 20).Draw(t, "seconds ago"))*time.Second))
			snapshots.AddPartition(&snapshot, 5, 5, 1, now.Add(-time.Hour))
		}
		var planned plans.Planned
		var seen retirements
		for range rapid.IntRange(1, 5).Draw(t, "changes of mind") {
			ksmScale := fixtures.Sharded(rapid.Int32Range(1, 6).Draw(t, "desired"))
			ksmScale.Spec.Autoscaling = &v1alpha1.AutoscalingConfig{Mode: rapid.SampledFrom([]v1alpha1.AutoscalingMode{
				v1alpha1.ModeHorizontalPodAutoscaler, v1alpha1.ModeNone}).Draw(t, "mode")}
			planned = plans.New(ksmScale, scaling.Cluster{Nodes: rapid.IntRange(1, 200).Draw(t, "nodes")}, now)
			for range rapid.IntRange(0, 30).Draw(t, "reconciles") {
				now = now.Add(time.Duration(rapid.IntRange(0, 60).Draw(t, "seconds")) * time.Second)
				scraped := scrapedWhole(snapshot, now)
				if rapid.IntRange(0, 9).Draw(t, "another leader") == 9 {
					seen = retirements{}
				}
				snapshot.RetiredSince = seen.of("main", snapshot.Services, now)
				decision := partition.Decide(partition.Targets(planned, snapshot), snapshot, now)
				requireUnscraped(t, snapshot, decision, now)
				fails := rapid.Float64Range(0, 1).Draw(t, "share of what cannot be made")
				obey(&snapshot, decision, now, func() bool { return rapid.Float64Range(0, 1).Draw(t, "luck") < fails })
				require.True(t, !scraped || scrapedWhole(snapshot, now), "%d is desired, %v is kept", planned.Total, decision.Keep)
				comeAndGo(t, &snapshot, now)
			}
		}

		// It comes to an end once nothing stands in its way, except that the old pods may leave room for one new pod of each shard only.
		crowded := rapid.Bool().Draw(t, "crowded")
		for range 30 {
			now = now.Add(time.Minute)
			for _, shard := range planned.Shards {
				if deployment := snapshot.Deployment(shard.Shard); deployment != nil {
					deployment.Spec.Replicas = new(shard.Replicas)
				}
			}
			for i := range snapshot.Deployments {
				getReady(&snapshot, &snapshot.Deployments[i], now)
			}
			if crowded && observation.Partitions(snapshot.Deployments).Len() > 1 {
				crowdOut(&snapshot, planned.Total)
			}
			// However often the leader changes.
			seen = retirements{}
			snapshot.RetiredSince = seen.of("main", snapshot.Services, now)
			obey(&snapshot, partition.Decide(partition.Targets(planned, snapshot), snapshot, now), now, func() bool { return false })
		}
		require.Equal(t, []int32{planned.Total}, observation.Partitions(snapshot.Deployments).UnsortedList())
		require.Len(t, snapshot.Services, int(planned.Total))
		require.True(t, scrapedWhole(snapshot, now))
	})
}

// requireUnscraped requires that no Service is to be deleted that Prometheus may scrape still.
func requireUnscraped(t *rapid.T, snapshot observation.Snapshot, decision partition.Decision, now time.Time) {
	for i := range snapshot.Services {
		service := &snapshot.Services[i]
		if total, _ := v1alpha1.PartitionOf(service.Labels); !decision.Keep.Has(total) {
			require.True(t, observation.IsRetired(service), "%s is scraped", service.Name)
			require.GreaterOrEqual(t, now.Sub(observation.AppliedAt(service)), partition.DiscoveryDelay, service.Name)
		}
	}
}

// scrapedWhole tells whether Prometheus is sure to scrape a ready pod of each shard of some partition.
func scrapedWhole(snapshot observation.Snapshot, now time.Time) bool {
	for total := range observation.Partitions(snapshot.Deployments) {
		whole := true
		for id := range total {
			shard := v1alpha1.Shard{KSMScale: "main", ID: id, Total: total}
			service := snapshot.Service(shard)
			whole = whole && service != nil && !observation.IsRetired(service) && now.Sub(observation.AppliedAt(service)) >= partition.DiscoveryDelay &&
				snapshot.Replicas(shard).Ready > 0
		}
		if whole {
			return true
		}
	}
	return false
}

// obey makes what was decided, but for what fails, and then removes what is not to be kept, if nothing failed. New Deployments
// have no ready pod yet.
func obey(snapshot *observation.Snapshot, decision partition.Decision, now time.Time, fails func() bool) {
	failed := false
	luckily := func(do func()) {
		if fails() {
			failed = true
		} else {
			do()
		}
	}
	applyService := func(shard v1alpha1.Shard, retired bool) {
		switch service := snapshot.Service(shard); {
		case service == nil:
			luckily(func() { snapshot.Services = append(snapshot.Services, fixtures.ServiceOf(shard, now, retired)) })
		case observation.IsRetired(service) != retired:
			luckily(func() { *service = fixtures.ServiceOf(shard, now, retired) })
		}
	}
	for _, shard := range decision.Apply {
		if snapshot.Deployment(shard.Shard) == nil {
			luckily(func() {
				snapshot.Deployments = append(snapshot.Deployments, appsv1.Deployment{
					ObjectMeta: metav1.ObjectMeta{Name: shard.Name(), Labels: shard.Selector()},
					Spec:       appsv1.DeploymentSpec{Replicas: new(shard.Replicas)},
				})
			})
		}
		applyService(shard.Shard, false)
	}
	for _, shard := range snapshot.Shards() {
		if decision.Retired.Has(shard.Total) && snapshot.Service(shard) != nil {
			applyService(shard, true)
		} else if decision.Keep.Has(shard.Total) && !decision.Retired.Has(shard.Total) {
			applyService(shard, false)
		}
	}
	if failed {
		return
	}
	goes := func(labels map[string]string) bool {
		total, _ := v1alpha1.PartitionOf(labels)
		return !decision.Keep.Has(total)
	}
	snapshot.Deployments = slices.DeleteFunc(snapshot.Deployments, func(d appsv1.Deployment) bool { return goes(d.Labels) })
	snapshot.Services = slices.DeleteFunc(snapshot.Services, func(s corev1.Service) bool { return goes(s.Labels) })
	snapshot.Pods = slices.DeleteFunc(snapshot.Pods, func(p corev1.Pod) bool { return goes(p.Labels) })
}

// comeAndGo has some Deployments, or none, get another ready pod or lose one, and some Services be deleted.
func comeAndGo(t *rapid.T, snapshot *observation.Snapshot, now time.Time) {
	for i := range snapshot.Deployments {
		deployment := &snapshot.Deployments[i]
		switch rapid.SampledFrom([]string{"nothing", "gets ready", "gets ready", "dies"}).Draw(t, "a pod of "+deployment.Name) {
		case "gets ready":
			getReady(snapshot, deployment, now)
		case "dies":
			if index := slices.IndexFunc(snapshot.Pods, func(pod corev1.Pod) bool { return sameShard(pod.Labels, deployment.Labels) }); index >= 0 {
				snapshot.Pods = slices.Delete(snapshot.Pods, index, index+1)
				deployment.Status.Replicas--
			}
		}
		deployment.Status.UpdatedReplicas, deployment.Status.ReadyReplicas = deployment.Status.Replicas, deployment.Status.Replicas
	}
	snapshot.Services = slices.DeleteFunc(snapshot.Services, func(service corev1.Service) bool {
		return rapid.IntRange(0, 19).Draw(t, "fate of Service "+service.Name) == 19
	})
}

func sameShard(a, b map[string]string) bool {
	first, _ := v1alpha1.ShardOf(a)
	second, _ := v1alpha1.ShardOf(b)
	return first == second
}

// getReady has a Deployment get another ready pod, if it is to have one more.
func getReady(snapshot *observation.Snapshot, deployment *appsv1.Deployment, now time.Time) {
	pods := int(deployment.Status.Replicas)
	if pods >= int(observation.ReplicasOf(deployment)) {
		return
	}
	pod := fixtures.ReadyPod(v1alpha1.Shard{KSMScale: "main"}, pods, now)
	pod.Labels = deployment.Labels
	snapshot.Pods = append(snapshot.Pods, pod)
	deployment.Status.Replicas++
	deployment.Status.UpdatedReplicas, deployment.Status.ReadyReplicas = deployment.Status.Replicas, deployment.Status.Replicas
}

// crowdOut takes the nodes of all pods of a partition except the first of each shard.
func crowdOut(snapshot *observation.Snapshot, total int32) {
	seen := sets.New[v1alpha1.Shard]()
	for i := range snapshot.Pods {
		pod := &snapshot.Pods[i]
		shard, _ := v1alpha1.ShardOf(pod.Labels)
		if shard.Total == total && seen.Has(shard) && !observation.IsUnschedulable(pod) {
			pod.Status.Conditions = make([]corev1.PodCondition, 2)
			fixtures.Unschedulable(pod)
			status := &snapshot.Deployment(shard).Status
			status.ReadyReplicas--
			status.UnavailableReplicas++
		}
		seen.Insert(shard)
	}
	snapshots.CountPods(snapshot)
}

// reshardingWorld has a KSMScale of three shards that are scraped long since, and pods that are ready long since of three and of two.
type reshardingWorld struct {
	*Reconciler
	t     *testing.T
	clock *clocktesting.FakePassiveClock
}

func newReshardingWorld(t *testing.T, apply func(kind, name string) error) reshardingWorld {
	r, _ := newReconciler(t, planner{nodes: 30}, apply)
	w := reshardingWorld{Reconciler: r, t: t, clock: clocktesting.NewFakePassiveClock(fixtures.Time.Add(-time.Hour))}
	r.Clock, r.Client = w.clock, dated(counting(r.Client.(client.WithWatch)), w.clock)
	_, err := reconcileMain(t, r)
	require.NoError(t, err)
	w.clock.SetTime(fixtures.Time)
	for _, total := range []int32{2, 3} {
		for id := range total {
			pod := fixtures.ReadyPod(v1alpha1.Shard{KSMScale: "main", ID: id, Total: total}, 0, fixtures.Time.Add(-time.Hour))
			require.NoError(t, r.Client.Create(t.Context(), &pod))
		}
	}
	return w
}

// counting has the status of each Deployment have the counts of its pods: a fake client has no controllers.
func counting(c client.WithWatch) client.WithWatch {
	return interceptor.NewClient(c, interceptor.Funcs{
		List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, options ...client.ListOption) error {
			err := c.List(ctx, list, options...)
			if deployments, ok := list.(*appsv1.DeploymentList); ok && err == nil {
				var pods corev1.PodList
				if err := c.List(ctx, &pods, options...); err != nil {
					return err
				}
				snapshots.CountPods(&observation.Snapshot{Deployments: deployments.Items, Pods: pods.Items})
			}
			return err
		},
	})
}

// dated has Services be applied by this clock; a fake client takes that of the machine.
func dated(c client.WithWatch, clock *clocktesting.FakePassiveClock) client.Client {
	applied := map[string]time.Time{}
	return interceptor.NewClient(c, interceptor.Funcs{
		Apply: func(ctx context.Context, c client.WithWatch, object runtime.ApplyConfiguration, options ...client.ApplyOption) error {
			err := c.Apply(ctx, object, options...)
			if service, ok := object.(*corev1ac.ServiceApplyConfiguration); ok && err == nil {
				applied[*service.GetName()] = clock.Now()
			}
			return err
		},
		List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, options ...client.ListOption) error {
			err := c.List(ctx, list, options...)
			if services, ok := list.(*corev1.ServiceList); ok {
				for i := range services.Items {
					for j := range services.Items[i].ManagedFields {
						services.Items[i].ManagedFields[j].Time = new(metav1.NewTime(applied[services.Items[i].Name]))
					}
				}
			}
			return err
		},
	})
}

func (w reshardingWorld) pass(d time.Duration) { w.clock.SetTime(w.clock.Now().Add(d)) }

func (w reshardingWorld) reshardTo(shards int32) {
	ksmScale := readMain(w.t, w.Reconciler)
	ksmScale.Spec.Sharding.ShardCount = shards
	require.NoError(w.t, w.Client.Update(w.t.Context(), ksmScale))
}

func (w reshardingWorld) services(selector string) []corev1.Service {
	parsed, err := labels.Parse(selector)
	require.NoError(w.t, err)
	var services corev1.ServiceList
	require.NoError(w.t, w.Client.List(w.t.Context(), &services, client.MatchingLabelsSelector{Selector: parsed}))
	return services.Items
}

// reconciled has the totals of what is there, and of it the Services that are scraped.
func (w reshardingWorld) reconciled() (deployments, scraped []string, requeueAfter time.Duration) {
	result, err := reconcileMain(w.t, w.Reconciler)
	require.NoError(w.t, err)
	var listed appsv1.DeploymentList
	require.NoError(w.t, w.Client.List(w.t.Context(), &listed))
	for i := range listed.Items {
		deployments = append(deployments, listed.Items[i].Labels["total-shards"])
	}
	for _, service := range w.services("ksmscale.example.com=main,!ksmscale.example.com/retired") {
		scraped = append(scraped, service.Labels["total-shards"])
	}
	slices.Sort(deployments)
	slices.Sort(scraped)
	return deployments, scraped, result.RequeueAfter
}

// Prometheus has to take a Service out of its targets before the Service is gone, and to have found one again before others leave.
func TestServicesLeaveServiceDiscoveryBeforeTheyAreDeleted(t *testing.T) {
	const enough = partition.DiscoveryDelay + time.Minute
	w := newReshardingWorld(t, nil)
	w.reshardTo(2)
	deployments, scraped, _ := w.reconciled()
	// The first new shard's Deployment is there, and none has been seen.
	assert.Equal(t, []string{"2", "3", "3", "3"}, deployments)
	assert.Equal(t, []string{"2", "3", "3", "3"}, scraped)
	w.reconciled()
	w.pass(enough - time.Second)
	_, scraped, requeueAfter := w.reconciled()
	assert.Equal(t, []string{"2", "2", "3", "3", "3"}, scraped, "Prometheus may not have noticed the new ones")
	assert.Equal(t, time.Second, requeueAfter)
	w.pass(time.Second)
	deployments, scraped, requeueAfter = w.reconciled()
	assert.Equal(t, []string{"2", "2", "3", "3", "3"}, deployments)
	assert.Equal(t, []string{"2", "2"}, scraped)
	assert.Equal(t, partition.DiscoveryDelay, requeueAfter)

	w.pass(partition.DiscoveryDelay - time.Second)
	deployments, scraped, requeueAfter = w.reconciled()
	assert.Len(t, deployments, 5, "Prometheus may not have noticed that the old ones are to go")
	assert.Len(t, scraped, 2)
	assert.Equal(t, time.Second, requeueAfter)

	t.Run("and come back if they are desired again", func(t *testing.T) {
		w.reshardTo(3)
		deployments, scraped, requeueAfter := w.reconciled()
		assert.Len(t, deployments, 5)
		assert.Equal(t, []string{"2", "2", "3", "3", "3"}, scraped)
		assert.Zero(t, requeueAfter, "the change of the Services is what is waited for")
		_, _, requeueAfter = w.reconciled()
		assert.Equal(t, enough, requeueAfter)
		w.pass(enough)
		deployments, scraped, _ = w.reconciled()
		assert.Len(t, deployments, 5)
		assert.Equal(t, []string{"3", "3", "3"}, scraped)
		w.pass(time.Second)
		w.reshardTo(2)
		w.reconciled()
		w.pass(enough)
		deployments, scraped, _ = w.reconciled()
		assert.Len(t, deployments, 5)
		assert.Equal(t, []string{"2", "2"}, scraped)
	})

	w.pass(partition.DiscoveryDelay)
	deployments, scraped, requeueAfter = w.reconciled()
	assert.Equal(t, []string{"2", "2"}, deployments)
	assert.Equal(t, []string{"2", "2"}, scraped)
	assert.Zero(t, requeueAfter)
}

// A pod of nobody's with the labels of a shard is not one of its pods.
func TestPodsOfOthersTakeNothingOver(t *testing.T) {
	w := newReshardingWorld(t, nil)
	for id := range int32(2) {
		pod := fixtures.ReadyPod(v1alpha1.Shard{KSMScale: "main", ID: id, Total: 2}, 0, fixtures.Time)
		require.NoError(t, w.Client.Get(t.Context(), client.ObjectKeyFromObject(&pod), &pod))
		pod.OwnerReferences = nil
		require.NoError(t, w.Client.Update(t.Context(), &pod))
	}
	w.reshardTo(2)
	for range 3 {
		w.reconciled()
		w.pass(time.Hour)
	}
	condition := meta.FindStatusCondition(readMain(t, w.Reconciler).Status.Conditions, v1alpha1.ConditionProgressing)
	assert.Contains(t, condition.Message, "they wait for shard 0 of 2 to have 1 ready pod (now 0)")
}

// Without its Service nobody scrapes a shard, however ready its pods are.
func TestShardsAreScrapedUntilOthersHaveServices(t *testing.T) {
	w := newReshardingWorld(t, func(kind, name string) error {
		if kind == "Service" && strings.HasSuffix(name, "-of-2") {
			return errors.New("exceeded quota")
		}
		return nil
	})
	w.reshardTo(2)
	for range 5 {
		_, err := reconcileMain(t, w.Reconciler)
		require.ErrorContains(t, err, "exceeded quota")
	}
	services := w.services("ksmscale.example.com=main")
	require.Len(t, services, 3)
	for _, service := range services {
		assert.NotContains(t, service.Labels, v1alpha1.LabelRetired, service.Name)
	}
}

// What someone deletes of a shard that is still needed is made again, desired or not.
func TestServicesOfShardsThatAreStillNeededAreMadeAgain(t *testing.T) {
	w := newReshardingWorld(t, nil)
	w.reshardTo(2)
	w.reconciled()
	meta := metav1.ObjectMeta{Namespace: "monitoring", Name: "ksm-main-shard-1-of-3"}
	lost := []client.Object{&corev1.Service{ObjectMeta: meta}, &policyv1.PodDisruptionBudget{ObjectMeta: meta}, &autoscalingv2.HorizontalPodAutoscaler{ObjectMeta: meta}}
	for _, object := range lost {
		require.NoError(t, w.Client.Delete(t.Context(), object))
	}
	w.reconciled()
	for _, object := range lost {
		assert.NoError(t, w.Client.Get(t.Context(), client.ObjectKeyFromObject(object), object), "%T", object)
	}
}

// One that is not ready is no reason to leave the others out.
func TestAllServicesAreScrapedAgainAtOnce(t *testing.T) {
	w := newReshardingWorld(t, nil)
	w.reshardTo(2)
	w.reconciled()
	w.reconciled()
	w.pass(time.Hour)
	_, scraped, _ := w.reconciled()
	require.Equal(t, []string{"2", "2"}, scraped)
	pod := fixtures.ReadyPod(v1alpha1.Shard{KSMScale: "main", ID: 0, Total: 3}, 0, fixtures.Time)
	require.NoError(t, w.Client.Delete(t.Context(), &pod))
	w.reshardTo(3)
	_, scraped, _ = w.reconciled()
	assert.Equal(t, []string{"2", "2", "3", "3", "3"}, scraped)
}

// What could not be made is not missed any more once nobody wants it.
func TestNothingIsMadeOfShardsThatAreAboutToGo(t *testing.T) {
	w := newReshardingWorld(t, func(kind, name string) error {
		if kind == "Service" && name == "ksm-main-shard-0-of-2" {
			return errors.New("exceeded quota")
		}
		return nil
	})
	w.reshardTo(2)
	_, err := reconcileMain(t, w.Reconciler)
	require.ErrorContains(t, err, "exceeded quota")
	w.reshardTo(3)
	deployments, scraped, _ := w.reconciled()
	assert.Equal(t, []string{"3", "3", "3"}, deployments, "none was scraped, so that Prometheus has nothing to notice")
	assert.Equal(t, []string{"3", "3", "3"}, scraped)
}
