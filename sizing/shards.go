package sizing

import "time"

// Bounds limit the number of shards.
type Bounds struct {
	// MinShards and MaxShards are the lowest and the highest number of shards.
	MinShards, MaxShards int32
	// TargetSeries is how many time series a shard may have.
	TargetSeries int64
	// TargetBytes is how large an uncompressed scrape of a shard may be, in bytes. 0 is no limit.
	TargetBytes int64
}

// DefaultBounds are the bounds that count where nothing is set: 2 to 10 shards of 250,000 series.
func DefaultBounds() Bounds { return Bounds{MinShards: 2, MaxShards: 10, TargetSeries: 250_000} }

func (b Bounds) clamp(shards int64) int32 {
	return int32(max(int64(b.MinShards), min(shards, int64(b.MaxShards)), 1))
}

// Shards is the lowest number of shards at which the largest shard has a quarter to spare below each target, within the
// bounds.
func Shards(figures Figures, bounds Bounds) int32 { return bounds.shardsFor(figures, 100) }

// shardsFor is Shards for a percentage of the figures.
func (b Bounds) shardsFor(figures Figures, percent int64) int32 {
	series := figures.whole(func(m Measurement) int64 { return m.Series }, figures.estimate().Series)
	size := figures.whole(func(m Measurement) int64 { return m.ExpositionBytes }, figures.estimate().ExpositionBytes)
	return b.clamp(max(withSpare(series*percent/100, b.TargetSeries), withSpare(size*percent/100, b.TargetBytes)))
}

// withSpare is the lowest number of parts of the whole that are three quarters of the target or less.
func withSpare(whole, target int64) int64 {
	if target <= 0 {
		return 1
	}
	return divideUp(4*whole, 3*target)
}

// over is whether the largest of this many shards exceeds a target.
func (b Bounds) over(figures Figures, shards int32) bool {
	return b.TargetSeries > 0 && figures.LargestSeries(shards) > b.TargetSeries ||
		b.TargetBytes > 0 && figures.LargestExposition(shards) > b.TargetBytes
}

// ShardCount remembers for how long another number of shards has been due. The zero value is the state after a restart.
type ShardCount struct {
	// OverSince is since when some shard has been over a target without a break. Zero while none is.
	OverSince time.Time
	// FitsSince is since when a lower number of shards has fitted without a break. Zero while none does.
	FitsSince time.Time
	// Needed is the highest number of shards that was needed since FitsSince.
	Needed int32
	// ChangedAt is when the number last rose or fell. Zero if it has not.
	ChangedAt time.Time
}

// fallPercent is how much of the figures a lower number of shards must have room for within ReshardHold after a change. No two days have the
// same peak, so a number that one peak has raised could otherwise fall by one after the next.
const fallPercent = 110

// Next is the number of shards to have now, given the current number, and the state to pass to the next call.
//
//   - Without a current number (0) it is Shards, also from an estimate; 0 if there are no figures.
//   - A number beyond the bounds is brought within them at once.
//   - It rises after RiseAfter with some shard over a target, to Shards.
//   - It falls after FallAfter with a lower number that fits with a quarter to spare, to the highest number that was
//     needed in that time. Within ReshardHold after a change, a lower number must fit with a tenth more as well.
//   - Without measurements of all shards it keeps the current number, and both times restart.
func (s Settings) Next(state ShardCount, current int32, figures Figures, bounds Bounds, now time.Time) (int32, ShardCount) {
	idle, changed := ShardCount{ChangedAt: state.ChangedAt}, ShardCount{ChangedAt: now}
	known := figures.known(current == 0)
	if current == 0 && known {
		return Shards(figures, bounds), idle
	}
	if current == 0 {
		return 0, idle
	}
	if within := bounds.clamp(int64(current)); within != current {
		return within, changed
	}
	if !known {
		return current, idle
	}
	needed := Shards(figures, bounds)
	lower := needed
	if s.justChanged(state, now) {
		lower = bounds.shardsFor(figures, fallPercent)
	}
	switch {
	case needed > current && bounds.over(figures, current):
		due := ShardCount{OverSince: since(state.OverSince, now), ChangedAt: state.ChangedAt}
		if now.Sub(due.OverSince) >= s.RiseAfter {
			return needed, changed
		}
		return current, due
	case lower < current:
		due := ShardCount{FitsSince: since(state.FitsSince, now), Needed: max(state.Needed, lower), ChangedAt: state.ChangedAt}
		if now.Sub(due.FitsSince) >= s.FallAfter {
			return due.Needed, changed
		}
		return current, due
	}
	return current, idle
}

func (s Settings) justChanged(state ShardCount, now time.Time) bool {
	return !state.ChangedAt.IsZero() && now.Sub(state.ChangedAt) < s.ReshardHold
}

// since is when something began that is still so.
func since(began, now time.Time) time.Time {
	if began.IsZero() || began.After(now) {
		return now
	}
	return began
}
