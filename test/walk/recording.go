package walk

import "time"

// Recording is how nodes and replicas changed during a walk.
type Recording struct {
	Moments []Moment `json:"moments"`
}

// Moment is the sum of all shards at a time.
type Moment struct {
	// Seconds is the time since the beginning of the walk.
	Seconds float64 `json:"seconds"`
	Nodes   int     `json:"nodes"`
	// Desired are the replicas in the metrics, and Ready the ready pods.
	Desired int32 `json:"desired"`
	Ready   int32 `json:"ready"`
}

// Add adds the replicas at a time after the beginning.
func (r *Recording) Add(after time.Duration, replicas Replicas) {
	moment := Moment{Seconds: after.Seconds(), Nodes: replicas.Nodes}
	for _, desired := range replicas.Metrics {
		moment.Desired += desired
	}
	for _, ready := range replicas.Ready {
		moment.Ready += ready
	}
	r.Moments = append(r.Moments, moment)
}
