package completeness

import (
	"slices"
	"time"

	"github.com/example/ksmscale/measurements"
)

const (
	// Rounds is in how many rounds, one after the other, an object must be missing.
	Rounds = 3
	// comparedRounds is how many complete rounds are compared. The round before the first one bounds it too, and gates may be
	// read in the middle of a round.
	comparedRounds = 2 * (Rounds + 1)
	// staleAfter is the number of intervals after which the last complete round no longer describes the present.
	staleAfter = 10
	// keptRounds is how many rounds a partition remembers, and for how many intervals. While a gate is silent, each interval
	// adds an incomplete round. The rounds before the last complete one are still compared then.
	keptRounds = staleAfter + Rounds + 1
	// maxWait is the time for the first rounds.
	maxWait = 10 * time.Minute
)

// Reading is what the gate of one pod has counted last.
type Reading struct {
	// Pod identifies the pod, and Shard is the number of its shard from 0.
	Pod    string
	Shard  int32
	Counts measurements.Counts
}

// Partition remembers the last rounds of the gates of one partition. Its zero value remembers none.
type Partition struct {
	total  int32
	rounds []round
	// since is when readings were first added to the partition.
	since time.Time
}

// round has the counts of one round, by pod.
type round struct {
	at       time.Time
	interval time.Duration
	readings map[string]Reading
}

// Add adds what the gates of a partition of total shards have counted last. A gate that has counted in an older round than
// another is added to that round. Rounds that are too old are forgotten, and so are rounds of the future: the clock of some node is wrong.
func (p *Partition) Add(total int32, readings []Reading, now time.Time) {
	if total != p.total {
		p.total, p.rounds, p.since = total, nil, now
	}
	for _, reading := range readings {
		if reading.Counts.RoundAt.IsZero() {
			continue
		}
		at, exists := slices.BinarySearchFunc(p.rounds, reading.Counts.RoundAt, func(r round, at time.Time) int { return r.at.Compare(at) })
		if !exists {
			p.rounds = slices.Insert(p.rounds, at, round{at: reading.Counts.RoundAt, interval: reading.Counts.Interval, readings: map[string]Reading{}})
		}
		p.rounds[at].readings[reading.Pod] = reading
	}
	p.rounds = slices.DeleteFunc(p.rounds, func(r round) bool {
		return r.isOlder(keptRounds, now) || r.at.After(now.Add(r.interval))
	})
	p.rounds = p.rounds[max(0, len(p.rounds)-keptRounds):]
}

// Result is what the last rounds show.
type Result struct {
	// Known reports that there were enough rounds to compare. Without it, all other fields except Waiting are empty.
	Known bool
	// Waiting reports that there cannot have been enough rounds yet.
	Waiting bool
	// Resources has the missing objects of each compared resource; the number is 0 if there are none.
	Resources map[string]Missing
	// NotCompared has the reason for each resource that some gate does not count.
	NotCompared map[string]string
}

// Missing are the objects of one resource that no shard exports.
type Missing struct {
	// Objects is at least how many objects are missing.
	Objects int64
	// Shards are the shards that lost them, in order, where they are known.
	Shards []int32
	// Foreign are the exposed objects that belong to another shard than the shard that exposes them, and ForeignShards
	// the shards that expose them.
	Foreign       int64
	ForeignShards []int32
}

// Total is the number of missing objects of all resources.
func (r Result) Total() int64 {
	total := int64(0)
	for _, missing := range r.Resources {
		total += missing.Objects
	}
	return total
}

// Result compares the last complete rounds. A resource that some gate could not count in a round is compared in the other
// rounds.
func (p *Partition) Result(now time.Time) Result {
	result := Result{Resources: map[string]Missing{}}
	var complete []round
	for _, r := range p.rounds {
		if r.isComplete(p.total) {
			complete = append(complete, r)
		}
	}
	complete = complete[max(0, len(complete)-comparedRounds):]
	if len(complete) < Rounds || complete[len(complete)-1].isOlder(staleAfter, now) {
		return Result{Waiting: now.Sub(p.since) < maxWait}
	}
	last := complete[len(complete)-1]
	result.NotCompared = notCompared(complete)
	for name := range last.resources() {
		if _, isSkipped := result.NotCompared[name]; isSkipped {
			continue
		}
		var sums []sum
		for _, r := range complete {
			if counted, isCounted := r.sum(name, p.total); isCounted {
				sums = append(sums, counted)
			}
		}
		if len(sums) >= Rounds {
			result.Known = true
			result.Resources[name] = compare(sums)
		}
	}
	result.Known = result.Known || len(result.NotCompared) > 0
	return result
}

// notCompared returns the reason for each resource that cannot be compared, from the last of some rounds. A shard may have no
// object of a resource. Its gate cannot tell that from a version without a metric for each object, but the gate of a shard
// that has some can, in any of the rounds.
func notCompared(rounds []round) map[string]string {
	exposed := exposedResources(rounds)
	reasons := map[string]string{}
	for _, reading := range rounds[len(rounds)-1].readings {
		for name, reason := range reading.Counts.Uncounted {
			if reason == measurements.UncountedUnexposed && exposed[name] {
				continue
			}
			// Gates may have several reasons. Readings have no order, and the result must be the same each time.
			before := reasons[name]
			if before == "" || before == measurements.UncountedUnexposed || reason != measurements.UncountedUnexposed && reason < before {
				reasons[name] = reason
			}
		}
	}
	return reasons
}

// exposedResources are the resources that kube-state-metrics of some shard has exposed with a metric for each object.
func exposedResources(rounds []round) map[string]bool {
	exposed := map[string]bool{}
	for _, r := range rounds {
		for _, reading := range r.readings {
			for name, count := range reading.Counts.Resources {
				if reading.Counts.Uncounted[name] == "" && max(count.Before, count.After) > 0 {
					exposed[name] = true
				}
			}
		}
	}
	return exposed
}

// isOlder reports whether more than a number of intervals have passed since a round.
func (r round) isOlder(intervals int, now time.Time) bool {
	return now.Sub(r.at) > time.Duration(intervals)*r.interval
}

// isComplete reports whether there is a reading of each shard.
func (r round) isComplete(total int32) bool {
	shards := map[int32]bool{}
	for _, reading := range r.readings {
		shards[reading.Shard] = true
	}
	return total > 0 && len(shards) == int(total)
}

func (r round) resources() map[string]bool {
	names := map[string]bool{}
	for _, reading := range r.readings {
		for name := range reading.Counts.Resources {
			names[name] = true
		}
	}
	return names
}

// sum adds up the counts of one resource. With several replicas of a shard, the replica that exposes the fewest objects
// counts, because Prometheus may scrape it.
func (r round) sum(name string, total int32) (sum, bool) {
	s := sum{exposed: make([]int64, total), foreign: make([]int64, total)}
	counted := make([]bool, total)
	isFirst := true
	for _, reading := range r.readings {
		count, isCounted := reading.Counts.Resources[name]
		if !isCounted || reading.Shard < 0 || reading.Shard >= total {
			continue
		}
		smallest, largest := min(count.Before, count.After), max(count.Before, count.After)
		if !isFirst {
			smallest, largest = min(s.smallest, smallest), max(s.largest, largest)
		}
		isFirst, s.smallest, s.largest = false, smallest, largest
		if i := reading.Shard; !counted[i] || count.Exposed < s.exposed[i] {
			counted[i], s.exposed[i] = true, count.Exposed
		}
		s.foreign[reading.Shard] = max(s.foreign[reading.Shard], count.Foreign)
	}
	return s, !slices.Contains(counted, false)
}
