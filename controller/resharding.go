package controller

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/plans"
	"github.com/example/ksmscale/scaling"
)

// resharding is what is to be done about the partitions of the objects: normally there is one, and when the number
// of shards changes, the new one is made beside the old, which stays until the new one has taken over.
type resharding struct {
	// apply are the shards to make, of the wanted partition. While another one runs, the next shard is made once
	// those before it are ready: each kube-state-metrics that starts lists the whole cluster.
	apply []scaling.Shard
	// keep are the partitions to keep, by their numbers of shards.
	keep sets.Set[int32]
	// retired are those of them that have been taken over from, whose Services are not to be scraped any more.
	retired sets.Set[int32]
	// waits is what the wanted partition still lacks to take over; empty if there is no other, or nothing.
	waits string
	// settled is how long it takes until it has been scraped for long enough, if that is all it lacks, or until Prometheus has
	// noticed whom it has taken over from.
	settled time.Duration
}

// discoveryDelay is how long Prometheus may take to notice which Services are to be scraped, five seconds to collect changes of
// service discovery and five to act on them, and to end the scrape that is under way. A scrape that found its Service gone would
// fail, and end the series that other shards have as well.
const discoveryDelay = 15 * time.Second

// reshard decides from what there is alone, so that it does not matter who decided before, nor how often they were
// interrupted, nor how often the user has changed their mind.
func reshard(planned plans.Planned, observed observed, now time.Time) resharding {
	return takeOver(planned, observed, now).retire(observed, now)
}

// takeOver decides which partitions are to be scraped.
func takeOver(planned plans.Planned, observed observed, now time.Time) resharding {
	is := resharding{apply: planned.Shards, keep: sets.New(planned.Total)}
	others := partitions(observed.deployments).Delete(planned.Total)
	if others.Len() == 0 {
		return is
	}
	is.apply = nil
	for _, shard := range planned.Shards {
		is.apply = append(is.apply, shard)
		if is.waits = shardWaits(shard, observed, 1); is.waits != "" {
			break
		}
	}
	for _, shard := range planned.Shards {
		if is.waits == "" {
			is.waits = shardWaits(shard, observed, needed(shard, &observed))
		}
	}
	enough := 2 * planned.KSMScale.Spec.ScrapeInterval()
	if is.waits == "" {
		is.settled = enough - scrapedFor(planned.Shards, observed, now)
	}
	switch {
	case is.waits == "" && is.settled <= 0:
		is.settled = 0
		return is
	case is.waits == "":
		is.waits = fmt.Sprintf("every shard of %d to have been ready and scraped for two scrape intervals, %s", planned.Total, enough)
	}
	is.keep = is.keep.Union(worthKeeping(others, observed.deployments))
	return is
}

// retire keeps the partitions that are not to be scraped until Prometheus has had the time to notice.
func (r resharding) retire(observed observed, now time.Time) resharding {
	r.retired = sets.New[int32]()
	for i := range observed.services {
		total, ok := partitionOf(observed.services[i].Labels)
		if !ok || r.keep.Has(total) {
			continue
		}
		left := discoveryDelay
		if since, retired := observed.retired[observed.services[i].Name]; retired {
			left -= now.Sub(since)
		}
		if left > 0 {
			r.retired.Insert(total)
			r.settled = scaling.Sooner(r.settled, left)
		}
	}
	r.keep = r.keep.Union(r.retired)
	return r
}

// needed are the ready pods that a shard takes over with: one even if it is set to none. It does not wait for pods that
// fit nowhere: the partition that it replaces may take their room, and leaves only then.
func needed(shard scaling.Shard, observed *observed) int32 {
	return max(shard.Replicas-withoutNode(shard.Shard, observed), 1)
}

// withoutNode counts the pods of a shard that the scheduler finds no node for, and no more than its Deployment lacks.
func withoutNode(shard v1alpha1.Shard, observed *observed) int32 {
	var count int32
	for _, pod := range observed.waiting() {
		if belongsTo(pod, shard) {
			count++
		}
	}
	if deployment := observed.deployment(shard); deployment != nil {
		return min(count, deployment.Status.UnavailableReplicas)
	}
	return 0
}

// partitions are the numbers of shards of which there is any Deployment.
func partitions(deployments []appsv1.Deployment) sets.Set[int32] {
	totals := sets.New[int32]()
	for i := range deployments {
		if total, ok := partitionOf(deployments[i].Labels); ok && deployments[i].DeletionTimestamp == nil {
			totals.Insert(total)
		}
	}
	return totals
}

// partitionOf is the number of shards that an object's labels say it is part of.
func partitionOf(labels map[string]string) (int32, bool) {
	total, err := strconv.ParseInt(labels[v1alpha1.LabelTotalShards], 10, 32)
	return int32(total), err == nil
}

// shardOf is the shard that an object's labels say it is part of.
func shardOf(labels map[string]string) (v1alpha1.Shard, bool) {
	id, err := strconv.ParseInt(labels[v1alpha1.LabelShardID], 10, 32)
	total, ok := partitionOf(labels)
	return v1alpha1.Shard{KSMScale: labels[v1alpha1.LabelKSMScale], ID: int32(id), Total: total}, err == nil && ok
}

// worthKeeping leaves out partitions that the user changed their mind about before all of their shards were made,
// if there is one with all shards.
func worthKeeping(others sets.Set[int32], deployments []appsv1.Deployment) sets.Set[int32] {
	whole := sets.New[int32]()
	for total := range others {
		shards := 0
		for i := range deployments {
			if of, ok := partitionOf(deployments[i].Labels); ok && of == total {
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

// shardWaits says what a shard lacks of having that many ready pods of its present template; empty if nothing. Pods of a former
// template do as well while their successors find no node.
func shardWaits(shard scaling.Shard, observed observed, replicas int32) string {
	deployment := observed.deployment(shard.Shard)
	if deployment == nil {
		return fmt.Sprintf("shard %d of %d to be created", shard.ID, shard.Total)
	}
	ready := shardReplicas(shard.Shard, &observed).Ready
	switch {
	case observed.service(shard.Shard) == nil:
		return fmt.Sprintf("shard %d of %d to have a Service", shard.ID, shard.Total)
	case isRetired(observed.service(shard.Shard)):
		return fmt.Sprintf("the Service of shard %d of %d to lose the label %s", shard.ID, shard.Total, v1alpha1.LabelRetired)
	case ready < replicas:
		return fmt.Sprintf("shard %d of %d to have %s, and it has %d", shard.ID, shard.Total, plural(int(replicas), "ready pod", "ready pods"), ready)
	case (isUnobserved(*deployment) || isRollingOut(*deployment)) && withoutNode(shard.Shard, &observed) == 0:
		return fmt.Sprintf("shard %d of %d to replace its pods", shard.ID, shard.Total)
	default:
		return ""
	}
}

// scrapedFor is for how long Prometheus has scraped as many ready pods of every shard as it takes over with, as far as pods and
// Services tell; less than nothing for as long as it may not have noticed a Service. All shards have one.
func scrapedFor(shards []scaling.Shard, observed observed, now time.Time) time.Duration {
	shortest := readyFor(shards, &observed, now)
	for _, shard := range shards {
		shortest = min(shortest, now.Sub(appliedAt(observed.service(shard.Shard)))-discoveryDelay)
	}
	return shortest
}

// readyFor is for how long every shard has had as many ready pods as it takes over with, as far as they tell. If more are ready than
// the Deployment counts, the oldest may be a stranger's and do not count.
func readyFor(shards []scaling.Shard, observed *observed, now time.Time) time.Duration {
	shortest := time.Duration(math.MaxInt64)
	for _, shard := range shards {
		var ages []time.Duration
		for i := range observed.pods {
			ready := podCondition(&observed.pods[i], corev1.PodReady)
			if belongsTo(&observed.pods[i], shard.Shard) && isActive(&observed.pods[i]) && ready.Status == corev1.ConditionTrue {
				ages = append(ages, now.Sub(ready.LastTransitionTime.Time))
			}
		}
		counted, enough := int(shardReplicas(shard.Shard, observed).Ready), int(needed(shard, observed))
		if counted < enough {
			return 0
		}
		slices.SortFunc(ages, func(a, b time.Duration) int { return cmp.Compare(b, a) })
		shortest = min(shortest, ages[len(ages)-counted+enough-1])
	}
	return shortest
}

// coveredByOthers tells whether a partition other than the wanted one has a ready pod of each of its shards.
func coveredByOthers(planned plans.Planned, observed observed) bool {
	for total := range partitions(observed.deployments).Delete(planned.Total) {
		covered := true
		for id := range total {
			shard := v1alpha1.Shard{KSMScale: planned.KSMScale.Name, ID: id, Total: total}
			covered = covered && shardReplicas(shard, &observed).Ready > 0
		}
		if covered {
			return true
		}
	}
	return false
}
