package partition

import (
	"testing"

	"github.com/stretchr/testify/assert"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/example/ksmscale/controller/fixtures"
	"github.com/example/ksmscale/controller/fixtures/snapshots"
	"github.com/example/ksmscale/controller/observation"
	"github.com/example/ksmscale/scaling"
)

func TestTurns(t *testing.T) {
	both := func(first, second func(*appsv1.Deployment)) func(*appsv1.Deployment) {
		return func(d *appsv1.Deployment) { first(d); second(d) }
	}
	for _, test := range []struct {
		name     string
		override func(*appsv1.Deployment)
		// needs is whether another template would start a rollout, and takes whether others wait for one that is under way.
		needs, takes bool
	}{
		{name: "nothing happens", override: func(*appsv1.Deployment) {}, needs: true},
		{name: "its controller has not seen a change", override: snapshots.Unobserved, needs: true, takes: true},
		{name: "its controller has not seen a change that replaces another", override: both(snapshots.Surging, snapshots.Unobserved), needs: true, takes: true},
		{name: "a rollout is under way", override: snapshots.Surging, takes: true},
		{
			name: "the old pods have failed, and the new one is not available yet",
			override: func(d *appsv1.Deployment) {
				d.Status.AvailableReplicas = 0
				snapshots.ProgressingBecause("ReplicaSetUpdated")(d)
			},
			takes: true,
		},
		{name: "a rollout is past its deadline", override: snapshots.PastDeadline},
		{name: "a rollout is past its deadline, and a correction is not seen yet", override: both(snapshots.PastDeadline, snapshots.Unobserved), needs: true, takes: true},
		{name: "paused", override: both(snapshots.Paused, snapshots.ProgressingBecause("DeploymentPaused")), needs: true},
		{name: "paused in the middle", override: both(snapshots.Surging, both(snapshots.Paused, snapshots.ProgressingBecause("DeploymentPaused")))},
		{name: "resumed", override: both(snapshots.Surging, snapshots.ProgressingBecause("DeploymentResumed")), takes: true},
		{name: "scaled up, and the pod is not available", override: func(d *appsv1.Deployment) {
			d.Spec.Replicas, d.Status.Replicas, d.Status.UpdatedReplicas = new(int32(3)), 2, 2
		}, needs: true},
		{name: "not available for a while", override: func(d *appsv1.Deployment) { d.Status.AvailableReplicas = 0 }, needs: true},
		{name: "just created", override: func(d *appsv1.Deployment) {
			d.Status, d.Annotations = appsv1.DeploymentStatus{}, nil
		}},
		{name: "being created", override: func(d *appsv1.Deployment) {
			d.Annotations[observation.AnnotationRevision], d.Status.AvailableReplicas = "1", 0
			snapshots.ProgressingBecause("NewReplicaSetCreated")(d)
		}},
		{name: "created, and given a template that it has not seen", override: func(d *appsv1.Deployment) {
			d.Annotations[observation.AnnotationRevision] = "1"
			snapshots.Unobserved(d)
		}, needs: true, takes: true},
		{name: "being deleted", override: both(snapshots.Surging, func(d *appsv1.Deployment) { d.DeletionTimestamp = new(metav1.NewTime(fixtures.Time)) })},
	} {
		t.Run(test.name, func(t *testing.T) {
			deployment := snapshots.OwnedDeployment("main", 0, test.override)
			assert.Equal(t, test.needs, NeedsTurn(&deployment, false), "needs its turn")
			assert.Equal(t, test.takes, TakesTurn(&deployment), "takes a turn")
			assert.False(t, NeedsTurn(&deployment, true), "an urgent shard needs none")
		})
	}
}

func TestAShardIsDownIfItsPodsCannotStart(t *testing.T) {
	none := func(d *appsv1.Deployment) { d.Status.AvailableReplicas = 0 }
	for _, test := range []struct {
		name     string
		override func(*appsv1.Deployment)
		pod      func(*corev1.Pod)
		down     bool
	}{
		{name: "killed again and again", override: none, pod: fixtures.Failing(5), down: true},
		{name: "without an image", override: none, pod: fixtures.Waiting("ErrImagePull"), down: true},
		{name: "without a node", override: none, pod: fixtures.Unschedulable, down: true},
		{name: "not ready, as all are while the API server is away", override: none, pod: fixtures.NotReady},
		{name: "beside one that is available", override: func(*appsv1.Deployment) {}, pod: fixtures.Unschedulable},
	} {
		t.Run(test.name, func(t *testing.T) {
			deployment := snapshots.OwnedDeployment("main", 0, test.override)
			assert.Equal(t, test.down, IsUrgent(&deployment, corev1.ResourceRequirements{}, []corev1.Pod{fixtures.Pod(0, "a", test.pod)}, metav1.NewTime(fixtures.Time)))
		})
	}
}

// memory are resources with a request and a limit; empty for none.
func memory(request, limit string) (resources corev1.ResourceRequirements) {
	if request != "" {
		resources.Requests = corev1.ResourceList{corev1.ResourceMemory: resource.MustParse(request)}
	}
	if limit != "" {
		resources.Limits = corev1.ResourceList{corev1.ResourceMemory: resource.MustParse(limit)}
	}
	return resources
}

func requesting(resources corev1.ResourceRequirements) corev1.PodTemplateSpec {
	return corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "gate"}, {Name: "kube-state-metrics", Resources: resources}}}}
}

func TestAShardWhoseProcessWasKilledForMemoryIsUrgentIfItGetsMore(t *testing.T) {
	live := appsv1.Deployment{Spec: appsv1.DeploymentSpec{Template: requesting(memory("100Mi", "200Mi"))}, Status: appsv1.DeploymentStatus{AvailableReplicas: 2}}
	ended := func(reason string) []corev1.Pod {
		return []corev1.Pod{fixtures.Pod(0, "a"), fixtures.Pod(0, "b", func(p *corev1.Pod) {
			p.Status.ContainerStatuses = []corev1.ContainerStatus{
				{Name: "gate"},
				{Name: "kube-state-metrics", Ready: true, LastTerminationState: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Reason: reason}}},
			}
		})}
	}
	isUrgent := func(reason, request, limit string) bool {
		return IsUrgent(&live, memory(request, limit), ended(reason), metav1.NewTime(fixtures.Time))
	}
	assert.True(t, isUrgent("OOMKilled", "125Mi", "250Mi"))
	assert.True(t, isUrgent("OOMKilled", "100Mi", "250Mi"))
	assert.True(t, isUrgent("OOMKilled", "100Mi", ""), "without a limit")
	assert.False(t, isUrgent("OOMKilled", "100Mi", "200Mi"), "an old kill does not make other changes urgent")
	assert.False(t, isUrgent("OOMKilled", "", "200Mi"))
	assert.False(t, isUrgent("Error", "125Mi", "250Mi"))
}

// The first shard would take the turn of the rollout, and the urgent one would roll out next to it.
func TestUrgentShardsComeFirst(t *testing.T) {
	var shards []scaling.Shard
	var snapshot observation.Snapshot
	for id := range int32(3) {
		shards = append(shards, scaling.Shard{Shard: fixtures.Shard(id)})
		snapshot.Deployments = append(snapshot.Deployments, appsv1.Deployment{
			ObjectMeta: metav1.ObjectMeta{Name: fixtures.Shard(id).Name()}, Spec: appsv1.DeploymentSpec{Template: requesting(memory("100Mi", ""))},
			Status: appsv1.DeploymentStatus{AvailableReplicas: 1},
		})
	}
	ids := func() (ids []int32) {
		for _, shard := range UrgentFirst(shards, memory("125Mi", ""), &snapshot, metav1.NewTime(fixtures.Time)) {
			ids = append(ids, shard.ID)
		}
		return ids
	}
	assert.Equal(t, []int32{0, 1, 2}, ids())
	snapshot.Pods = []corev1.Pod{fixtures.Pod(2, "a", func(p *corev1.Pod) {
		p.Status.ContainerStatuses = []corev1.ContainerStatus{
			{Name: "kube-state-metrics", LastTerminationState: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Reason: "OOMKilled"}}},
		}
	})}
	assert.Equal(t, []int32{2, 0, 1}, ids())
}

func TestRolloutsAreBounded(t *testing.T) {
	foreign := func(d *appsv1.Deployment) {
		snapshots.Surging(d)
		d.OwnerReferences[0].APIVersion = "example.com/v1"
	}
	for _, test := range []struct {
		name   string
		there  []appsv1.Deployment
		limits RolloutLimits
		allows bool
	}{
		{name: "none", limits: RolloutLimits{1, 1}, allows: true},
		{name: "others are settled", there: []appsv1.Deployment{snapshots.OwnedDeployment("main", 0), snapshots.OwnedDeployment("b", 0)}, limits: RolloutLimits{1, 1}, allows: true},
		{name: "one of its own", there: []appsv1.Deployment{snapshots.OwnedDeployment("main", 0, snapshots.Surging)}, limits: RolloutLimits{1, 3}},
		{name: "one of its own, of two", there: []appsv1.Deployment{snapshots.OwnedDeployment("main", 0, snapshots.Surging)}, limits: RolloutLimits{2, 3}, allows: true},
		{name: "one of another", there: []appsv1.Deployment{snapshots.OwnedDeployment("b", 0, snapshots.Surging)}, limits: RolloutLimits{1, 2}, allows: true},
		{name: "two of others", there: []appsv1.Deployment{snapshots.OwnedDeployment("b", 0, snapshots.Surging), snapshots.OwnedDeployment("c", 0, snapshots.Unobserved)}, limits: RolloutLimits{1, 2}},
		{name: "of others, all late", there: []appsv1.Deployment{snapshots.OwnedDeployment("b", 0, snapshots.PastDeadline), snapshots.OwnedDeployment("c", 0, snapshots.PastDeadline)}, limits: RolloutLimits{1, 2}, allows: true},
		{name: "what is no KSMScale's", there: []appsv1.Deployment{snapshots.OwnedDeployment("b", 0, foreign)}, limits: RolloutLimits{1, 1}, allows: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			assert.Equal(t, test.allows, test.limits.AllowAnother(fixtures.KSMScale(), test.there))
		})
	}
}
