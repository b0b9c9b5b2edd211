package controller

import (
	"testing"

	"github.com/stretchr/testify/assert"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"github.com/example/ksmscale/api/v1alpha1"
)

// ownedDeployment is a Deployment of a KSMScale's shard that has replaced its pods before, and has one, with the overrides made.
func ownedDeployment(ksmScale string, id int32, overrides ...func(*appsv1.Deployment)) appsv1.Deployment {
	shard := v1alpha1.Shard{KSMScale: ksmScale, ID: id, Total: 3}
	deployment := appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "monitoring", Name: shard.Name(), Labels: shard.Selector(), Generation: 5,
			Annotations: map[string]string{annotationRevision: "2"},
			OwnerReferences: []metav1.OwnerReference{
				{APIVersion: v1alpha1.GroupVersion.String(), Kind: "KSMScale", Name: ksmScale, UID: uidOf(ksmScale), Controller: new(true)},
			},
		},
		Spec: appsv1.DeploymentSpec{Replicas: new(int32(1))},
		Status: appsv1.DeploymentStatus{
			ObservedGeneration: 5, Replicas: 1, UpdatedReplicas: 1, AvailableReplicas: 1,
			Conditions: []appsv1.DeploymentCondition{{Type: appsv1.DeploymentProgressing, Status: corev1.ConditionTrue, Reason: reasonRolloutCompleted}},
		},
	}
	for _, override := range overrides {
		override(&deployment)
	}
	return deployment
}

// uidOf is the UID of the KSMScale of a name, as ksmScaleWith has it.
func uidOf(ksmScale string) (uid types.UID) {
	if ksmScale == "main" {
		return "uid"
	}
	return types.UID("uid-" + ksmScale)
}

func because(reason string) func(*appsv1.Deployment) {
	return func(d *appsv1.Deployment) { d.Status.Conditions[0].Reason = reason }
}

// surging is a Deployment in the middle of a rollout.
func surging(d *appsv1.Deployment) {
	d.Status.Replicas = 2
	because("ReplicaSetUpdated")(d)
}

func late(d *appsv1.Deployment) {
	surging(d)
	because(reasonRolloutStuck)(d)
}

func unseen(d *appsv1.Deployment) { d.Generation++ }

func pausesDeployment(d *appsv1.Deployment) { d.Spec.Paused = true }

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
		{name: "its controller has not seen a change", override: unseen, needs: true, takes: true},
		{name: "its controller has not seen a change that replaces another", override: both(surging, unseen), needs: true, takes: true},
		{name: "a rollout is under way", override: surging, takes: true},
		{
			name: "the old pods have failed, and the new one is not available yet",
			override: func(d *appsv1.Deployment) {
				d.Status.AvailableReplicas = 0
				because("ReplicaSetUpdated")(d)
			},
			takes: true,
		},
		{name: "a rollout is past its deadline", override: late},
		{name: "a rollout is past its deadline, and a correction is not seen yet", override: both(late, unseen), needs: true, takes: true},
		{name: "paused", override: both(pausesDeployment, because("DeploymentPaused")), needs: true},
		{name: "paused in the middle", override: both(surging, both(pausesDeployment, because("DeploymentPaused")))},
		{name: "resumed", override: both(surging, because("DeploymentResumed")), takes: true},
		{name: "scaled up, and the pod is not available", override: func(d *appsv1.Deployment) {
			d.Spec.Replicas, d.Status.Replicas, d.Status.UpdatedReplicas = new(int32(3)), 2, 2
		}, needs: true},
		{name: "not available for a while", override: func(d *appsv1.Deployment) { d.Status.AvailableReplicas = 0 }, needs: true},
		{name: "just created", override: func(d *appsv1.Deployment) {
			d.Status, d.Annotations = appsv1.DeploymentStatus{}, nil
		}},
		{name: "being created", override: func(d *appsv1.Deployment) {
			d.Annotations[annotationRevision], d.Status.AvailableReplicas = "1", 0
			because("NewReplicaSetCreated")(d)
		}},
		{name: "created, and given a template that it has not seen", override: func(d *appsv1.Deployment) {
			d.Annotations[annotationRevision] = "1"
			unseen(d)
		}, needs: true, takes: true},
		{name: "being deleted", override: both(surging, func(d *appsv1.Deployment) { d.DeletionTimestamp = new(metav1.NewTime(testTime)) })},
	} {
		t.Run(test.name, func(t *testing.T) {
			deployment := ownedDeployment("main", 0, test.override)
			assert.Equal(t, test.needs, needsTurn(&deployment, false), "needs its turn")
			assert.Equal(t, test.takes, takesTurn(&deployment), "takes a turn")
			assert.False(t, needsTurn(&deployment, true), "a shard that is down has nothing to lose")
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
		{name: "killed again and again", override: none, pod: failing(5), down: true},
		{name: "without an image", override: none, pod: waiting("ErrImagePull"), down: true},
		{name: "without a node", override: none, pod: unschedulable, down: true},
		{name: "not ready, as all are while the API server is away", override: none, pod: notReady},
		{name: "beside one that is available", override: func(*appsv1.Deployment) {}, pod: unschedulable},
	} {
		t.Run(test.name, func(t *testing.T) {
			deployment := ownedDeployment("main", 0, test.override)
			assert.Equal(t, test.down, isDown(&deployment, []corev1.Pod{pod(0, "a", test.pod)}, metav1.NewTime(testTime)))
		})
	}
}

func TestRolloutsAreBounded(t *testing.T) {
	foreign := func(d *appsv1.Deployment) {
		surging(d)
		d.OwnerReferences[0].APIVersion = "example.com/v1"
	}
	for _, test := range []struct {
		name   string
		there  []appsv1.Deployment
		limits RolloutLimits
		allows bool
	}{
		{name: "none", limits: RolloutLimits{1, 1}, allows: true},
		{name: "others are settled", there: []appsv1.Deployment{ownedDeployment("main", 0), ownedDeployment("b", 0)}, limits: RolloutLimits{1, 1}, allows: true},
		{name: "one of its own", there: []appsv1.Deployment{ownedDeployment("main", 0, surging)}, limits: RolloutLimits{1, 3}},
		{name: "one of its own, of two", there: []appsv1.Deployment{ownedDeployment("main", 0, surging)}, limits: RolloutLimits{2, 3}, allows: true},
		{name: "one of another", there: []appsv1.Deployment{ownedDeployment("b", 0, surging)}, limits: RolloutLimits{1, 2}, allows: true},
		{name: "two of others", there: []appsv1.Deployment{ownedDeployment("b", 0, surging), ownedDeployment("c", 0, unseen)}, limits: RolloutLimits{1, 2}},
		{name: "of others, all late", there: []appsv1.Deployment{ownedDeployment("b", 0, late), ownedDeployment("c", 0, late)}, limits: RolloutLimits{1, 2}, allows: true},
		{name: "what is no KSMScale's", there: []appsv1.Deployment{ownedDeployment("b", 0, foreign)}, limits: RolloutLimits{1, 1}, allows: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			assert.Equal(t, test.allows, test.limits.allowAnother(ksmScaleWith(), test.there))
		})
	}
}

func TestTheEndOfARolloutIsTold(t *testing.T) {
	settled, rolling, stuck := ownedDeployment("main", 0), ownedDeployment("main", 0, surging), ownedDeployment("main", 0, late)
	ended := turnEnded()
	assert.True(t, ended.Update(event.UpdateEvent{ObjectOld: &rolling, ObjectNew: &settled}))
	assert.True(t, ended.Update(event.UpdateEvent{ObjectOld: &rolling, ObjectNew: &stuck}))
	assert.True(t, ended.Delete(event.DeleteEvent{Object: &rolling}))
	assert.False(t, ended.Update(event.UpdateEvent{ObjectOld: &settled, ObjectNew: &rolling}))
	assert.False(t, ended.Update(event.UpdateEvent{ObjectOld: &rolling, ObjectNew: &rolling}))
	assert.False(t, ended.Delete(event.DeleteEvent{Object: &settled}))
	assert.False(t, ended.Create(event.CreateEvent{Object: &rolling}))
}
