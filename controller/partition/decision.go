package partition

import (
	"cmp"
	"math"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/controller/observation"
	"github.com/example/ksmscale/plans"
	"github.com/example/ksmscale/scaling"
)

// Decision says what to do with the partitions of a KSMScale. Normally there is one. After a change of the number of shards, the
// desired partition is created next to the previous one, which stays until the desired partition has taken over.
type Decision struct {
	// Apply are the shards of the desired partition to apply. While another partition runs, the next shard is created once the shards
	// before it are ready: each kube-state-metrics that starts lists the whole cluster.
	Apply []scaling.Shard
	// Keep are the partitions to keep, by their numbers of shards.
	Keep sets.Set[int32]
	// Retired are the kept partitions that the desired partition has taken over from. Prometheus no longer scrapes their Services.
	Retired sets.Set[int32]
	// Awaited is the next step of the desired partition before it takes over; nil if there is no other partition, or no such step.
	Awaited *Awaited
	// RecheckAfter is the time until the decision changes by time alone; 0 if it does not.
	RecheckAfter time.Duration
}

// Awaited is a step that the desired partition waits for.
type Awaited struct {
	Step AwaitedStep
	// Shard is the shard that lacks the step; with AwaitScrapes only its Total is set.
	Shard v1alpha1.Shard
	// ReadyReplicas and NeededReplicas are set with AwaitReadyPods.
	ReadyReplicas, NeededReplicas int32
	// ScrapedFor is how long all shards must have been ready and scraped; set with AwaitScrapes.
	ScrapedFor time.Duration
}

// AwaitedStep names a step, in the order in which they happen.
type AwaitedStep string

// The steps of a shard before its partition takes over, and the last step of all shards together.
const (
	AwaitDeployment       AwaitedStep = "Deployment"
	AwaitService          AwaitedStep = "Service"
	AwaitUnretiredService AwaitedStep = "UnretiredService"
	AwaitReadyPods        AwaitedStep = "ReadyPods"
	AwaitRollout          AwaitedStep = "Rollout"
	AwaitScrapes          AwaitedStep = "Scrapes"
)

// DiscoveryDelay is the longest time that Prometheus takes to notice a change of which Services to scrape. It collects changes of
// service discovery for five seconds, takes five to apply them, and ends the scrape that is under way. A scrape that finds its
// Service gone fails, and ends the series that other shards have too.
const DiscoveryDelay = 15 * time.Second

// Decide decides from a plan and a snapshot alone. Earlier decisions do not matter: whoever made them, however often they were
// interrupted, and however often the user changed the number of shards.
func Decide(planned plans.Planned, observed observation.Snapshot, now time.Time) Decision {
	return takeOver(planned, observed, now).retire(observed, now)
}

// takeOver decides which partitions Prometheus scrapes.
func takeOver(planned plans.Planned, observed observation.Snapshot, now time.Time) Decision {
	decision := Decision{Apply: planned.Shards, Keep: sets.New(planned.Total)}
	others := observation.Partitions(observed.Deployments).Delete(planned.Total)
	if others.Len() == 0 {
		return decision
	}
	decision.Apply = nil
	for _, shard := range planned.Shards {
		decision.Apply = append(decision.Apply, shard)
		if decision.Awaited = nextStep(shard, observed, 1); decision.Awaited != nil {
			break
		}
	}
	for _, shard := range planned.Shards {
		if decision.Awaited == nil {
			decision.Awaited = nextStep(shard, observed, needed(shard, &observed))
		}
	}
	if decision.Awaited == nil {
		enough := 2 * planned.KSMScale.Spec.ScrapeInterval()
		left := enough - scrapedFor(planned.Shards, observed, now)
		if left <= 0 {
			return decision
		}
		decision.RecheckAfter = left
		decision.Awaited = &Awaited{Step: AwaitScrapes, Shard: v1alpha1.Shard{KSMScale: planned.KSMScale.Name, Total: planned.Total}, ScrapedFor: enough}
	}
	decision.Keep = decision.Keep.Union(worthKeeping(others, observed.Deployments))
	return decision
}

// nextStep returns the step that a shard lacks before it has a number of ready pods with its current template, or nil. Pods with a
// previous template count too while the scheduler finds no node for their successors.
func nextStep(shard scaling.Shard, observed observation.Snapshot, replicas int32) *Awaited {
	awaited := &Awaited{Shard: shard.Shard}
	deployment, service := observed.Deployment(shard.Shard), observed.Service(shard.Shard)
	ready := observation.ShardReplicas(shard.Shard, &observed).Ready
	switch {
	case deployment == nil:
		awaited.Step = AwaitDeployment
	case service == nil:
		awaited.Step = AwaitService
	case observation.IsRetired(service):
		awaited.Step = AwaitUnretiredService
	case ready < replicas:
		awaited.Step, awaited.ReadyReplicas, awaited.NeededReplicas = AwaitReadyPods, ready, replicas
	case (observation.IsUnobserved(*deployment) || observation.IsRollingOut(*deployment)) && withoutNode(shard.Shard, &observed) == 0:
		awaited.Step = AwaitRollout
	default:
		return nil
	}
	return awaited
}

// needed are the ready pods that a shard takes over with: one even if it is set to none. It does not wait for pods that
// fit nowhere: the partition that it replaces may take their room, and leaves only then.
func needed(shard scaling.Shard, observed *observation.Snapshot) int32 {
	return max(shard.Replicas-withoutNode(shard.Shard, observed), 1)
}

// withoutNode counts the pods of a shard that the scheduler finds no node for, and no more than its Deployment lacks.
func withoutNode(shard v1alpha1.Shard, observed *observation.Snapshot) int32 {
	var count int32
	for _, pod := range observed.UnschedulablePods() {
		if observation.IsPodOf(pod, shard) {
			count++
		}
	}
	if deployment := observed.Deployment(shard); deployment != nil {
		return min(count, deployment.Status.UnavailableReplicas)
	}
	return 0
}

// scrapedFor is for how long Prometheus has scraped as many ready pods of every shard as it takes over with, as far as pods and
// Services tell; less than nothing for as long as it may not have noticed a Service. All shards have one.
func scrapedFor(shards []scaling.Shard, observed observation.Snapshot, now time.Time) time.Duration {
	shortest := readyFor(shards, &observed, now)
	for _, shard := range shards {
		shortest = min(shortest, now.Sub(observation.AppliedAt(observed.Service(shard.Shard)))-DiscoveryDelay)
	}
	return shortest
}

// readyFor is for how long every shard has had as many ready pods as it takes over with, as far as they tell. If more are ready than
// the Deployment counts, the oldest may be a stranger's and do not count.
func readyFor(shards []scaling.Shard, observed *observation.Snapshot, now time.Time) time.Duration {
	shortest := time.Duration(math.MaxInt64)
	for _, shard := range shards {
		var ages []time.Duration
		for i := range observed.Pods {
			ready := observation.PodCondition(&observed.Pods[i], corev1.PodReady)
			if observation.IsPodOf(&observed.Pods[i], shard.Shard) && observation.IsActive(&observed.Pods[i]) && ready.Status == corev1.ConditionTrue {
				ages = append(ages, now.Sub(ready.LastTransitionTime.Time))
			}
		}
		counted, enough := int(observation.ShardReplicas(shard.Shard, observed).Ready), int(needed(shard, observed))
		if counted < enough {
			return 0
		}
		slices.SortFunc(ages, func(a, b time.Duration) int { return cmp.Compare(b, a) })
		shortest = min(shortest, ages[len(ages)-counted+enough-1])
	}
	return shortest
}

// worthKeeping leaves out partitions that the user changed their mind about before all of their shards were made,
// if there is one with all shards.
func worthKeeping(others sets.Set[int32], deployments []appsv1.Deployment) sets.Set[int32] {
	whole := sets.New[int32]()
	for total := range others {
		shards := 0
		for i := range deployments {
			if of, ok := observation.PartitionOf(deployments[i].Labels); ok && of == total {
				shards++
			}
		}
		if shards >= int(total) {
			whole.Insert(total)
		}
	}
	if whole.Len() == 0 {
		return others
	}
	return whole
}

// retire keeps the partitions that Prometheus may still scrape, until it has had the time to notice that it should not.
func (d Decision) retire(observed observation.Snapshot, now time.Time) Decision {
	d.Retired = sets.New[int32]()
	for i := range observed.Services {
		total, ok := observation.PartitionOf(observed.Services[i].Labels)
		if !ok || d.Keep.Has(total) {
			continue
		}
		left := DiscoveryDelay
		if since, retired := observed.RetiredSince[observed.Services[i].Name]; retired {
			left -= now.Sub(since)
		}
		if left > 0 {
			d.Retired.Insert(total)
			d.RecheckAfter = scaling.Sooner(d.RecheckAfter, left)
		}
	}
	d.Keep = d.Keep.Union(d.Retired)
	return d
}

// CoveredByOthers tells whether a partition other than the wanted one has a ready pod of each of its shards.
func CoveredByOthers(planned plans.Planned, observed observation.Snapshot) bool {
	for total := range observation.Partitions(observed.Deployments).Delete(planned.Total) {
		covered := true
		for id := range total {
			shard := v1alpha1.Shard{KSMScale: planned.KSMScale.Name, ID: id, Total: total}
			covered = covered && observation.ShardReplicas(shard, &observed).Ready > 0
		}
		if covered {
			return true
		}
	}
	return false
}
