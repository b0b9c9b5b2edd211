package sizing

import "time"

// Settings are for how long figures have to ask for a change before it is recommended.
type Settings struct {
	// RiseAfter is for how long a shard is over a target before the number of shards rises.
	RiseAfter time.Duration
	// FallAfter is for how long a lower number of shards fits before the number falls.
	FallAfter time.Duration
	// ReshardHold is for how long after a change of the number of shards it is harder to make smaller: a lower number must have
	// room for a tenth more, and requests must be three steps too large instead of two.
	ReshardHold time.Duration
	// CPURiseAfter is for how long a CPU request is too small before it rises. It is longer than a start of
	// kube-state-metrics takes, so a rollout does not cause the next one.
	CPURiseAfter time.Duration
	// ShrinkAfter is for how long a memory or CPU request is two steps too large before it falls.
	ShrinkAfter time.Duration
	// KilledHold is for how long after a container was killed for its memory the memory request does not fall.
	KilledHold time.Duration
}

// DefaultSettings are the times for clusters that work.
func DefaultSettings() Settings {
	return Settings{
		RiseAfter:    10 * time.Minute,
		FallAfter:    24 * time.Hour,
		ReshardHold:  7 * 24 * time.Hour,
		CPURiseAfter: time.Hour,
		ShrinkAfter:  24 * time.Hour,
		KilledHold:   7 * 24 * time.Hour,
	}
}
