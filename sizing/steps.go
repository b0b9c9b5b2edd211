package sizing

import (
	"math"
	"time"
)

const (
	// step is the ratio of a step to the one below it.
	step = 1.25
	// tight is the fraction of a request from which on it is too small: the use comes within a tenth of the request.
	tight = 0.9
	// spacious is by how much a request exceeds what the headroom asks for when it counts as too large. With a headroom of
	// one step, a quarter, that is two steps above the request that would be too small.
	spacious = step / tight
)

// grid is a geometric series of sizes: the base, and each further one a quarter larger, rounded up to whole units.
type grid struct{ base, unit int64 }

var (
	// memoryGrid begins 32, 40, 50, 63, 79 and 98 MiB.
	memoryGrid = grid{base: 32 * mebibyte, unit: mebibyte}
	// cpuGrid begins 10, 13, 16, 20, 25 and 31 thousandths of a core.
	cpuGrid = grid{base: 10, unit: 1}
)

// from is the lowest size that is at least this much.
func (g grid) from(least int64) int64 {
	exact := float64(g.base)
	for {
		size := int64(math.Ceil(exact/float64(g.unit))) * g.unit
		if size >= least {
			return size
		}
		exact *= step
	}
}

// above is the lowest size above this one.
func (g grid) above(size int64) int64 { return g.from(size + 1) }

// Trend remembers for how long another request has been due. The zero value is the state after a restart.
type Trend struct {
	// SmallSince is since when the request has been too small without a break, and Least the lowest request that was
	// needed since.
	SmallSince time.Time
	Least      int64
	// LargeSince is since when the request has been too large without a break, and Most the highest request that was
	// needed since.
	LargeSince time.Time
	Most       int64
}

// small notes that the request is too small, and how much is needed.
func (t Trend) small(needed int64, now time.Time) Trend {
	if !t.SmallSince.IsZero() {
		needed = min(needed, t.Least)
	}
	return Trend{SmallSince: since(t.SmallSince, now), Least: needed}
}

// large notes that the request is too large, and how much is needed.
func (t Trend) large(needed int64, now time.Time) Trend {
	return Trend{LargeSince: since(t.LargeSince, now), Most: max(needed, t.Most)}
}

// sizer turns use into requests.
type sizer struct {
	grid
	// headroom is the ratio of a request to the use, at least.
	headroom float64
	// lower and upper bound requests; 0 is no bound.
	lower, upper int64
	// growAfter and shrinkAfter are for how long a request is too small or too large before it changes.
	growAfter, shrinkAfter time.Duration
	// patient is whether a request counts as too large one step later.
	patient bool
}

// needed is the request for a use.
func (s sizer) needed(used int64) int64 {
	return s.clamp(s.from(int64(math.Ceil(float64(used) * s.ratio()))))
}

// ratio is the headroom, or more if a request of just that would be too small at once.
func (s sizer) ratio() float64 { return max(s.headroom, 1/tight) }

// isTooLarge is whether a request exceeds what the headroom asks for by so much that it may fall.
func (s sizer) isTooLarge(request, used int64) bool {
	from := spacious
	if s.patient {
		from *= step
	}
	return float64(request) > from*s.ratio()*float64(used)
}

func (s sizer) clamp(request int64) int64 {
	request = max(request, s.lower)
	if s.upper > 0 {
		request = min(request, s.upper)
	}
	return request
}

// next is the request to have now, given the current one and the use, and the state to pass to the next call. Without a
// current request (0) it is the needed one; a use of 0 is unknown. A request beyond the bounds is brought within them at
// once.
func (s sizer) next(trend Trend, current, used int64, now time.Time) (int64, Trend) {
	switch {
	case current == 0 && used == 0:
		return 0, Trend{}
	case current == 0:
		return s.needed(used), Trend{}
	case used == 0:
		return s.clamp(current), Trend{}
	}
	if within := s.clamp(current); within != current {
		current, trend = within, Trend{}
	}
	needed := s.needed(used)
	switch {
	case needed > current && float64(used) > tight*float64(current):
		trend = trend.small(needed, now)
		if now.Sub(trend.SmallSince) >= s.growAfter {
			return trend.Least, Trend{}
		}
	case needed < current && s.isTooLarge(current, used):
		trend = trend.large(needed, now)
		if now.Sub(trend.LargeSince) >= s.shrinkAfter {
			return trend.Most, Trend{}
		}
	default:
		trend = Trend{}
	}
	return current, trend
}
