package loads

import (
	"math"
	"slices"
	"time"
)

const (
	// smoothing is the number of measurements in which a change of the load comes to count for two thirds.
	smoothing = 10
	// settling is for how many measurements' time weights must not fit until they change.
	settling = 20
	// tolerance is how far weights may be from the load and stay.
	tolerance = 0.25
	// negligible is the load, in cores, that shards with less count as having.
	negligible = 0.01
)

// assumptions are what a replica is assumed to cost whatever it serves, as parts of the range that this must be in.
var assumptions = [...]float64{0, 0.25, 0.5, 0.75, 1}

// use is the CPU that a pod used, and for how much of the time it answered scrapes, both from 0 to the number of cores.
type use struct{ cpu, scraped float64 }

// partition has the loads of the shards of one partition.
//
// A replica costs CPU whatever it serves, because it watches the whole API; that is no load that another replica would
// take over, and if it counted, shards with more replicas would get still more. What it costs is not known, but the
// least that any pod uses is a bound from above, and what the pods use beyond what scrapes can have taken is one from
// below. So the load is computed for several assumptions within these bounds, and weights that fit one of them stay.
type partition struct {
	// interval is the time between two measurements.
	interval time.Duration
	// loads are the loads of each shard under each of the assumptions, smoothed.
	loads [len(assumptions)][]float64
	// measured is when loads were last computed, and since when the weights there are do not fit; zero if never, or if
	// they do.
	measured, since time.Time
	// decided are the weights to record, if they have to change; they are not changed in place.
	decided []int32
}

// add takes in what the pods of each shard used until now; there is at least one of each.
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

// costOfReplica are bounds of what a replica uses that serves nothing. Answering takes one core at a time, and about as
// much again to collect garbage, if at all.
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

// decide compares the loads with the weights that are recorded, nil if there are none yet.
func (p *partition) decide(recorded []int32, now time.Time) {
	if len(recorded) > 0 && slices.Equal(recorded, p.decided) {
		p.decided = nil
	}
	best, least := 0, math.Inf(1)
	for a := range assumptions {
		if misfit := misfit(p.loads[a], recorded); misfit < least {
			best, least = a, misfit
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
