package completeness

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/example/ksmscale/measurements"
)

// start is when each simulation starts; rounds are at full minutes.
var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// event is the creation or the deletion of an object.
type event struct {
	at     float64 // seconds since the start
	shard  int
	change int64
}

// world is a cluster whose objects come and go, with a gate in each pod. kube-state-metrics of each shard is late by a
// time that differs from round to round.
type world struct {
	random *rand.Rand
	shards int
	pods   int
	base   []int64
	events []event
	// sums has the objects of each shard, and of all, before each event and after the last one.
	sums    [][]int64
	maxLate float64
	// lost are the objects that pods of a shard do not expose since a time.
	lost     []int64
	lostPods int
	lostAt   float64
}

func newWorld(seed uint64, shards, pods int, objects int64) *world {
	w := &world{random: rand.New(rand.NewPCG(seed, 1)), shards: shards, pods: pods, base: make([]int64, shards), lost: make([]int64, shards), maxLate: 2, lostPods: pods}
	for range objects {
		w.base[w.random.IntN(shards)]++
	}
	return w
}

// comeAndGo creates objects at a rate in one second, and deletes each after about its lifetime, for a duration. Without a
// lifetime they stay. burst objects come together.
func (w *world) comeAndGo(rate float64, burst int, lifetime, seconds float64) {
	for at := 0.0; at < seconds; at += w.random.ExpFloat64() * float64(burst) / rate {
		for range burst {
			shard := w.random.IntN(w.shards)
			w.events = append(w.events, event{at, shard, 1})
			if lifetime > 0 {
				w.events = append(w.events, event{at + lifetime*(0.5+w.random.Float64()), shard, -1})
			}
		}
	}
	w.sort()
}

// shrinks deletes objects that exist at the start, at a rate.
func (w *world) shrinks(rate, seconds float64) {
	left := slices.Clone(w.base)
	for at := 0.0; at < seconds; at += w.random.ExpFloat64() / rate {
		if shard := w.random.IntN(w.shards); left[shard] > 0 {
			left[shard]--
			w.events = append(w.events, event{at, shard, -1})
		}
	}
	w.sort()
}

// sort sorts the events, and adds them up.
func (w *world) sort() {
	slices.SortFunc(w.events, func(a, b event) int { return cmp.Compare(a.at, b.at) })
	w.sums = make([][]int64, len(w.events)+1)
	counts := append(slices.Clone(w.base), 0)
	for _, base := range w.base {
		counts[w.shards] += base
	}
	for i := range w.sums {
		w.sums[i] = slices.Clone(counts)
		if i < len(w.events) {
			counts[w.events[i].shard] += w.events[i].change
			counts[w.shards] += w.events[i].change
		}
	}
}

// at is how many objects a shard has at a time, or with the number of shards, all of them.
func (w *world) at(shard int, seconds float64) int64 {
	if w.sums == nil {
		w.sort()
	}
	done, _ := slices.BinarySearchFunc(w.events, seconds, func(one event, seconds float64) int {
		if one.at <= seconds {
			return -1
		}
		return 1
	})
	return w.sums[done][shard]
}

// round is what all gates count in one round.
func (w *world) round(number int) []Reading {
	var readings []Reading
	due := 60 * float64(number)
	for shard := range w.shards {
		for pod := range w.pods {
			began := due + 0.3*w.random.Float64()
			read := began + 1 + 0.3*w.random.Float64()
			ended := read + 1 + 0.3*w.random.Float64()
			exposed := w.at(shard, read-w.maxLate*w.random.Float64())
			if pod < w.lostPods && due >= w.lostAt {
				exposed = max(exposed-w.lost[shard], 0)
			}
			readings = append(readings, Reading{
				Pod: fmt.Sprintf("%d-%d", shard, pod), Shard: int32(shard),
				Counts: measurements.Counts{
					RoundAt: start.Add(time.Duration(due) * time.Second), Interval: time.Minute,
					Resources: map[string]measurements.Count{"pods": {Before: w.at(w.shards, began), After: w.at(w.shards, ended), Exposed: exposed}},
				},
			})
		}
	}
	return readings
}

// run adds a number of rounds, and calls each with the result after each of them.
func (w *world) run(rounds int, each func(number int, result Result)) {
	var partition Partition
	for number := range rounds {
		now := start.Add(time.Duration(number)*time.Minute + 30*time.Second)
		partition.Add(int32(w.shards), w.round(number), now)
		each(number, partition.Result(now))
	}
}
