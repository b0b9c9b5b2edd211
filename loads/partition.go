package loads

import (
	"math"
	"slices"
	"time"
)

const (
	// smoothing is the number of measurements after which a change of the load counts for two thirds.
	smoothing = 10
	// settling is for how many measurements the weights must not fit the load until they change.
	settling = 20
	// tolerance is the largest accepted difference between weights and the load.
	tolerance = 0.25
	// negligible is the lowest load in cores. Shards with less count as having this load.
	negligible = 0.01
)

// assumptions are the assumed costs of a replica without requests, as fractions of the possible range.
var assumptions = [...]float64{0, 0.25, 0.5, 0.75, 1}

// use is the CPU that a pod used, and the time for which it answered scrapes. Both are in cores.
type use struct{ cpu, scraped float64 }

// partition has the loads of the shards of one partition.
//
// A replica without requests also costs CPU, because it watches the whole API. This cost is no load that another replica
// could take over. If it counted, shards with more replicas would get even more. The cost is not known. The lowest use of
// any pod is an upper bound. The use beyond the time that scrapes can have taken is a lower bound. So the load is computed
// for several assumptions between these bounds, and weights that fit one of them stay.
type partition struct {
	// interval is the time between two measurements.
	interval time.Duration
	// loads are the smoothed loads of each shard under each assumption.
	loads [len(assumptions)][]float64
	// measured is when loads were last computed; zero if never. since is since when the current weights do not fit; zero
	// if they fit.
	measured, since time.Time
	// decided are the new weights to record; nil if the weights stay. They are never changed in place.
	decided []int32
}

// add adds the use of the pods of each shard until now. Each shard has at least one pod.
func (p *partition) add(shards [][]use, now time.Time) {
	weight := 1.0
	if !p.measured.IsZero() {
		weight = 1 - math.Exp(-float64(now.Sub(p.measured))/float64(smoothing*p.interval))
	}
	lowest, highest := costOfReplica(shards)
	for a, assumed := range assumptions {
		cost := lowest + assumed*(highest-lowest)
		if p.loads[a] == nil {
			p.loads[a] = make([]float64, len(shards))
		}
		for shard, pods := range shards {
			load := -cost * float64(len(pods)-1)
			for _, pod := range pods {
				load += pod.cpu
			}
			p.loads[a][shard] += weight * (max(load, negligible) - p.loads[a][shard])
		}
	}
	p.measured = now
}

// costOfReplica are the bounds of the use of a replica without requests. An answer uses at most one core, and about the
// same again for garbage collection.
func costOfReplica(shards [][]use) (lowest, highest float64) {
	highest = math.Inf(1)
	for _, pods := range shards {
		for _, pod := range pods {
			highest = min(highest, pod.cpu)
			lowest = max(lowest, pod.cpu-2*pod.scraped)
		}
	}
	return min(lowest, highest), highest
}

// decide compares the loads with the recorded weights. These are nil before the first ones.
func (p *partition) decide(recorded []int32, now time.Time) {
	if len(recorded) > 0 && slices.Equal(recorded, p.decided) {
		p.decided = nil
	}
	best, least := 0, math.Inf(1)
	for a := range assumptions {
		if difference := misfit(p.loads[a], recorded); difference < least {
			best, least = a, difference
		}
	}
	weights := coarse(p.loads[best])
	if len(recorded) > 0 && (least <= tolerance || slices.Equal(weights, recorded)) {
		p.since = time.Time{}
		return
	}
	if p.since.IsZero() {
		p.since = now
	}
	if now.Sub(p.since) >= settling*p.interval {
		p.decided, p.since = weights, time.Time{}
	}
}
