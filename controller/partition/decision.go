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
	// Retired are the kept partitions whose Services are retired, because the desired partition has taken over.
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
	// ScrapedFor is how long Prometheus must have scraped all ready shards, and Until when it has; set with AwaitScrapes.
	ScrapedFor time.Duration
	Until      time.Time
}

// AwaitedStep names a step of the desired partition. The steps happen in the order of the constants.
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

// DiscoveryDelay is the longest time until Prometheus applies a change of the Services to scrape. It collects changes of service discovery
// for five seconds, applies them within five more, and then finishes the scrape under way. If a Service is deleted earlier, its scrape
// fails. A failed scrape also ends the series that other shards export.
const DiscoveryDelay = 15 * time.Second

// Decide decides from a plan and a snapshot alone. It needs no memory of earlier decisions. So a restart, an error or another change of
// the number of shards cannot mislead it.
func Decide(planned plans.Planned, observed observation.Snapshot, now time.Time) Decision {
	return takeOver(planned, observed, now).retire(observed, now)
}

// takeOver decides which shards to apply, and whether the desired partition has taken over.
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
		decision.Awaited = &Awaited{Step: AwaitScrapes, Shard: v1alpha1.Shard{KSMScale: planned.KSMScale.Name, Total: planned.Total}, ScrapedFor: enough, Until: now.Add(left)}
	}
	decision.Keep = decision.Keep.Union(worthKeeping(others, observed.Deployments))
	return decision
}

// nextStep returns the next step until a shard has a number of ready pods with its current template, or nil. Pods with a previous template
// also count while the scheduler finds no node for new pods.
func nextStep(shard scaling.Shard, observed observation.Snapshot, replicas int32) *Awaited {
	awaited := &Awaited{Shard: shard.Shard}
	deployment, service := observed.Deployment(shard.Shard), observed.Service(shard.Shard)
	ready := observed.Replicas(shard.Shard).Ready
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

// needed is the number of ready pods that a shard takes over with, which is at least one. Pods without a node do not count: the replaced
// partition may occupy their nodes until the takeover.
func needed(shard scaling.Shard, observed *observation.Snapshot) int32 {
	return max(shard.Replicas-withoutNode(shard.Shard, observed), 1)
}

// withoutNode counts the pods of a shard that the scheduler finds no node for, up to the number that the Deployment lacks.
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

// scrapedFor is how long Prometheus has scraped enough ready pods of every shard. It is negative while Prometheus may not have discovered a
// Service yet. Every shard must have a Service.
func scrapedFor(shards []scaling.Shard, observed observation.Snapshot, now time.Time) time.Duration {
	shortest := readyFor(shards, &observed, now)
	for _, shard := range shards {
		shortest = min(shortest, now.Sub(observation.AppliedAt(observed.Service(shard.Shard)))-DiscoveryDelay)
	}
	return shortest
}

// readyFor is how long every shard has had enough ready pods, by the conditions of the pods. If more pods are ready than the Deployment
// counts, the oldest surplus pods do not count, because they may belong to a stranger.
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
		counted, enough := int(observed.Replicas(shard.Shard).Ready), int(needed(shard, observed))
		if counted < enough {
			return 0
		}
		slices.SortFunc(ages, func(a, b time.Duration) int { return cmp.Compare(b, a) })
		shortest = min(shortest, ages[len(ages)-counted+enough-1])
	}
	return shortest
}

// worthKeeping returns the partitions that have all of their shards, or all partitions if none is complete. An incomplete partition remains
// when the user changes the number of shards again before the controller has created all shards.
func worthKeeping(others sets.Set[int32], deployments []appsv1.Deployment) sets.Set[int32] {
	complete := sets.New[int32]()
	for total := range others {
		shards := 0
		for i := range deployments {
			if partition, ok := v1alpha1.PartitionOf(deployments[i].Labels); ok && partition == total {
				shards++
			}
		}
		if shards >= int(total) {
			complete.Insert(total)
		}
	}
	if complete.Len() == 0 {
		return others
	}
	return complete
}

// retire keeps each replaced partition until Prometheus has stopped scraping it.
func (d Decision) retire(observed observation.Snapshot, now time.Time) Decision {
	d.Retired = sets.New[int32]()
	for i := range observed.Services {
		total, ok := v1alpha1.PartitionOf(observed.Services[i].Labels)
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

// CoveredByOthers reports whether a partition other than the desired one has a ready pod of each shard.
func CoveredByOthers(planned plans.Planned, observed observation.Snapshot) bool {
	for total := range observation.Partitions(observed.Deployments).Delete(planned.Total) {
		covered := true
		for id := range total {
			shard := v1alpha1.Shard{KSMScale: planned.KSMScale.Name, ID: id, Total: total}
			covered = covered && observed.Replicas(shard).Ready > 0
		}
		if covered {
			return true
		}
	}
	return false
}
