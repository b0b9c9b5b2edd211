package partition

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	"pgregory.net/rapid"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/controller/fixtures"
	"github.com/example/ksmscale/controller/fixtures/snapshots"
	"github.com/example/ksmscale/controller/observation"
)

// simulated is a cluster whose Deployments are rolled out as the controllers of Kubernetes do it. Templates are numbers; pods of an
// odd one never get available.
type simulated struct {
	limits    RolloutLimits
	ksmScales []*v1alpha1.KSMScale
	// desired is the template of each KSMScale.
	desired []int
	shards  []*simulatedShard
}

type simulatedShard struct {
	appsv1.Deployment
	ksmScale int
	// template is that of the Deployment, and revision the one that its controller has seen last.
	template, revision int
	pods               []simulatedPod
}

type simulatedPod struct {
	template  int
	available bool
}

func newSimulated(t *rapid.T) *simulated {
	s := &simulated{limits: RolloutLimits{PerKSMScale: rapid.IntRange(1, 3).Draw(t, "per KSMScale"), Total: rapid.IntRange(1, 4).Draw(t, "total")}}
	for k := range rapid.IntRange(1, 4).Draw(t, "KSMScales") {
		name := string(rune('a' + k))
		s.ksmScales = append(s.ksmScales, fixtures.KSMScale(func(k *v1alpha1.KSMScale) { k.Name, k.UID = name, snapshots.UIDOf(name) }))
		s.desired = append(s.desired, 0)
		for id := range rapid.Int32Range(1, 4).Draw(t, "shards") {
			s.shards = append(s.shards, &simulatedShard{Deployment: snapshots.OwnedDeployment(name, id), ksmScale: k, pods: []simulatedPod{{available: true}}})
		}
	}
	return s
}

// reconcile gives shards of a KSMScale the desired template as the controller does, and requires that no rollout starts beside too
// many others.
func (s *simulated) reconcile(t *rapid.T, k int) {
	for _, shard := range s.shards {
		if shard.ksmScale != k || shard.template == s.desired[k] {
			continue
		}
		if NeedsTurn(&shard.Deployment, false) {
			if shard.Spec.Paused || !s.limits.AllowAnother(s.ksmScales[k], s.deployments()) {
				continue
			}
			own, all := s.rolling(k)
			require.Less(t, own, s.limits.PerKSMScale, "%s starts", shard.Name)
			require.Less(t, all, s.limits.Total, "%s starts", shard.Name)
		}
		shard.template = s.desired[k]
		shard.Generation++
	}
	for _, shard := range s.shards {
		if shard.ksmScale == k && shard.Status.ObservedGeneration == shard.Generation && !shard.Spec.Paused && shard.isRolling() {
			require.Equal(t, s.desired[k], shard.template, "%s is rolled out, and not to the newest", shard.Name)
		}
	}
}

func (s *simulated) deployments() []appsv1.Deployment {
	var deployments []appsv1.Deployment
	for _, shard := range s.shards {
		deployments = append(deployments, *shard.DeepCopy())
	}
	return deployments
}

// rolling counts the shards that replace pods, by what their pods really are, except those that are paused or past their deadline.
func (s *simulated) rolling(k int) (own, all int) {
	for _, shard := range s.shards {
		late := observation.ProgressingReason(&shard.Deployment) == observation.ReasonRolloutStuck && shard.template == shard.revision
		if !shard.isRolling() || shard.Spec.Paused || late {
			continue
		}
		all++
		if shard.ksmScale == k {
			own++
		}
	}
	return own, all
}

func (s *simulatedShard) isRolling() bool {
	return slices.ContainsFunc(s.pods, func(pod simulatedPod) bool { return pod.template != s.template })
}

// sync takes one step of a rollout, and writes the status.
func (s *simulatedShard) sync() {
	status, replicas := &s.Status, int(observation.ReplicasOf(&s.Deployment))
	status.ObservedGeneration = s.Generation
	if !s.Spec.Paused {
		if s.revision != s.template {
			s.revision = s.template
			snapshots.ProgressingBecause("NewReplicaSetCreated")(&s.Deployment)
		}
		s.step(replicas)
	}
	updated, available := s.count(func(pod simulatedPod) bool { return pod.template == s.revision }), s.count(func(pod simulatedPod) bool { return pod.available })
	status.Replicas, status.UpdatedReplicas, status.AvailableReplicas = int32(len(s.pods)), int32(updated), int32(available)
	if updated == len(s.pods) && updated == replicas && available == replicas {
		snapshots.ProgressingBecause(observation.ReasonRolloutCompleted)(&s.Deployment)
	}
}

func (s *simulatedShard) step(replicas int) {
	isOld := func(pod simulatedPod) bool { return pod.template != s.template }
	s.pods = slices.DeleteFunc(s.pods, func(pod simulatedPod) bool { return isOld(pod) && !pod.available })
	updated := s.count(func(pod simulatedPod) bool { return !isOld(pod) })
	switch old := slices.IndexFunc(s.pods, isOld); {
	case old >= 0 && s.count(func(pod simulatedPod) bool { return pod.available }) > replicas:
		s.pods = slices.Delete(s.pods, old, old+1)
	case updated < replicas && (old < 0 || len(s.pods) <= replicas):
		s.pods = append(s.pods, simulatedPod{template: s.template})
	}
}

func (s *simulatedShard) count(which func(simulatedPod) bool) (count int) {
	for _, pod := range s.pods {
		if which(pod) {
			count++
		}
	}
	return count
}

// getAvailable has all pods of a good template be available.
func (s *simulatedShard) getAvailable() {
	for i := range s.pods {
		s.pods[i].available = s.pods[i].template%2 == 0
	}
}

// expire is the progress deadline of a rollout that does not get on.
func (s *simulatedShard) expire() {
	if !s.Spec.Paused && !observation.RolloutCompleted(&s.Deployment) {
		snapshots.ProgressingBecause(observation.ReasonRolloutStuck)(&s.Deployment)
	}
}

// happen lets anything happen that may.
func (s *simulated) happen(t *rapid.T) {
	k := rapid.IntRange(0, len(s.ksmScales)-1).Draw(t, "KSMScale")
	shard := s.shards[rapid.IntRange(0, len(s.shards)-1).Draw(t, "shard")]
	switch rapid.SampledFrom([]string{"reconcile", "reconcile", "sync", "sync", "available", "expire", "change", "scale", "pause"}).Draw(t, "what") {
	case "reconcile":
		s.reconcile(t, k)
	case "sync":
		shard.sync()
	case "available":
		shard.getAvailable()
	case "expire":
		shard.expire()
	case "change":
		s.desired[k] = rapid.IntRange(0, 9).Draw(t, "template")
	case "scale":
		shard.Spec.Replicas = new(rapid.Int32Range(1, 3).Draw(t, "replicas"))
		shard.Generation++
	case "pause":
		shard.Spec.Paused = !shard.Spec.Paused
		shard.Generation++
	}
}

// proceed has everything get on.
func (s *simulated) proceed(t *rapid.T) {
	for k := range s.ksmScales {
		s.reconcile(t, k)
	}
	for _, shard := range s.shards {
		shard.Spec.Paused = false
		shard.sync()
		shard.getAvailable()
		if shard.template%2 != 0 {
			shard.expire()
		}
	}
}

// In whatever order things happen: no rollout starts beside too many others, what is rolled out is the newest template, and in the end
// all shards have it.
func TestRolloutsStayWithinTheirBoundsAndComeToAnEnd(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newSimulated(t)
		for range rapid.IntRange(0, 60).Draw(t, "steps") {
			s.happen(t)
		}

		// Some KSMScale may have a template that nobody corrects.
		mistake := rapid.IntRange(0, len(s.ksmScales)).Draw(t, "mistake")
		for k := range s.ksmScales {
			s.desired[k] = 10
			if k == mistake {
				s.desired[k] = 11
			}
		}
		for range 20 * len(s.shards) {
			s.proceed(t)
		}
		for _, shard := range s.shards {
			require.Equal(t, s.desired[shard.ksmScale], shard.template, shard.Name)
			require.True(t, shard.ksmScale == mistake || !shard.isRolling(), "%s has old pods", shard.Name)
		}
	})
}
