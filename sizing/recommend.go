package sizing

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
)

// ReplicasForAvailability is how many replicas of a shard suffice to drain a node without a gap, and to keep one when a node is lost.
const ReplicasForAvailability = 2

const (
	// DefaultHeadroomPercent is how much a memory request exceeds the highest memory.
	DefaultHeadroomPercent = 25
	// DefaultMinMilliCPU is the lowest CPU request, in thousandths of a core.
	DefaultMinMilliCPU = 100
	// loadWithin is in how many seconds a process loads that gets no more CPU than it requests.
	loadWithin = 30
)

// SizeBounds limit the requests of a kube-state-metrics container.
type SizeBounds struct {
	// HeadroomPercent is how much a memory request exceeds the highest measured memory, or the formula's until there is
	// one, in percent. Less than 12 counts as 12, because a request is too small when memory comes within a tenth of it.
	HeadroomPercent int32
	// MinMemoryBytes and MaxMemoryBytes bound the memory request, in bytes. 0 is no bound. The limit may be twice the maximum.
	MinMemoryBytes, MaxMemoryBytes int64
	// MinMilliCPU is the lowest CPU request, in thousandths of a core.
	MinMilliCPU int64
	// Limits is whether there is a memory limit of twice the request.
	Limits bool
}

// DefaultSizeBounds are the bounds that count where nothing is set.
func DefaultSizeBounds() SizeBounds {
	return SizeBounds{HeadroomPercent: DefaultHeadroomPercent, MinMilliCPU: DefaultMinMilliCPU, Limits: true}
}

// Recommendation is how many shards a KSMScale should have, and what the kube-state-metrics container of each pod should
// request. A number is 0 while there is no base for it.
type Recommendation struct {
	// Shards is the number of shards.
	Shards int32
	// ReplicasPerShard is how many replicas of a shard suffice for availability.
	ReplicasPerShard int32
	// MemoryRequestBytes and MemoryLimitBytes are in bytes, always whole MiB except at a bound that is not. The limit is 0
	// if there is none.
	MemoryRequestBytes, MemoryLimitBytes int64
	// MilliCPURequest is in thousandths of a core. A CPU limit is never recommended.
	MilliCPURequest int64
	// Basis is from which figures the numbers come, as a short text. It keeps the figures of the last step.
	Basis string
	// ReplicaAdvice is a short text where the node count asks for more replicas than availability does; else empty. It
	// keeps the figures of the last step.
	ReplicaAdvice string
}

// MemoryRequest is the memory request as a quantity.
func (r Recommendation) MemoryRequest() resource.Quantity {
	return *resource.NewQuantity(r.MemoryRequestBytes, resource.BinarySI)
}

// MemoryLimit is the memory limit as a quantity; zero if there is none.
func (r Recommendation) MemoryLimit() resource.Quantity {
	return *resource.NewQuantity(r.MemoryLimitBytes, resource.BinarySI)
}

// CPURequest is the CPU request as a quantity.
func (r Recommendation) CPURequest() resource.Quantity {
	return *resource.NewMilliQuantity(r.MilliCPURequest, resource.DecimalSI)
}

// numbers is the recommendation without its texts.
func (r Recommendation) numbers() Recommendation {
	r.Basis, r.ReplicaAdvice = "", ""
	return r
}

// Input is what a recommendation depends on, besides time.
type Input struct {
	// Previous is the last recommendation; the zero value if there is none. Where the number of shards is applied, its
	// Shards is the number in effect, or 0 while the first number is still to be chosen.
	Previous Recommendation
	// Figures are of the partition that serves.
	Figures Figures
	// Bounds limit the number of shards, and Size the requests.
	Bounds Bounds
	Size   SizeBounds
	// ApplyShards is whether the recommended number of shards is applied. Pods are sized for that number then, and
	// otherwise for ShardCount, which is the number of shards that the spec asks for.
	ApplyShards bool
	ShardCount  int32
	// Busy is whether a reshard, a rollout or a change of leader is under way. Then nothing changes, except after a kill for
	// memory, to respect the bounds, and for larger shards that do not run yet. All times restart.
	Busy bool
	// Unobserved is whether some change of a Deployment has not been reported yet, such as another number of replicas. It is
	// as Busy, but times go on.
	Unobserved bool
	// Nodes is the number of nodes that count, and CalculatedReplicas how many pods they ask for: nodes divided by
	// nodesPerMonitor. MaxReplicasPerShard bounds the pods of a shard; 0 is no bound.
	Nodes, CalculatedReplicas, MaxReplicasPerShard int32
}

// BasisKept is the basis of a recommendation whose figures were lost.
const BasisKept = "kept from the Deployments, because the status had no recommendation"

// shards is how many shards pods are sized for, given the recommended number.
func (in Input) shards(recommended int32) int32 {
	if in.ApplyShards && recommended != 0 || in.ShardCount == 0 {
		return recommended
	}
	return in.ShardCount
}

// State remembers for how long changes have been due. The zero value is the state after a restart of the controller, which
// delays changes, and ends ReshardHold and KilledHold early.
type State struct {
	Shards ShardCount
	Memory Trend
	CPU    Trend
	// KilledAt is when a container that was killed for its memory was last seen.
	KilledAt time.Time
}

// Recommend is the recommendation to have now, and the state to pass to the next call. It equals the previous one, texts
// included, unless a number changes by a step, or ReplicaAdvice comes or goes. Where the number of shards is applied, no
// request falls together with a change of it, and memory may rise with it: fewer shards are larger.
func (s Settings) Recommend(in Input, state State, now time.Time) (Recommendation, State) {
	if in.Unobserved {
		return s.whileUnobserved(in, state, now)
	}
	previous, figures := in.Previous, in.Figures
	if in.Busy {
		// What is measured now does not count, and a first recommendation can wait.
		figures = Figures{Version: figures.Version, Total: figures.Total, KilledRequestBytes: figures.KilledRequestBytes}
	}
	next := previous
	next.Shards, state.Shards = s.Next(state.Shards, previous.Shards, figures, in.Bounds, now)
	if next.Shards == 0 && previous.MemoryRequestBytes == 0 {
		return previous, state
	}
	next.ReplicasPerShard = ReplicasForAvailability
	sized := in.shards(next.Shards)
	reshards := in.reshards(next.Shards)
	if reshards {
		state.Shards.ChangedAt = now
	}
	memoryFigures := figures
	if sized < figures.Total {
		memoryFigures = in.Figures // Fewer shards are larger, and their first pods cannot wait until a rollout is over.
	}
	next.MemoryRequestBytes, state = s.memory(in, memoryFigures, sized, reshards, state, now)
	next.MemoryLimitBytes = 0
	if in.Size.Limits {
		next.MemoryLimitBytes = 2 * next.MemoryRequestBytes
	}
	if reshards && previous.MilliCPURequest > 0 {
		state.CPU = Trend{}
	} else {
		next.MilliCPURequest, state.CPU = s.cpu(in, figures, sized, state, now)
	}
	return in.describe(next, figures), state
}

// whileUnobserved is Recommend for Busy, but times go on.
func (s Settings) whileUnobserved(in Input, state State, now time.Time) (Recommendation, State) {
	in.Busy, in.Unobserved = true, false
	next, changed := s.Recommend(in, state, now)
	state.KilledAt, state.Shards.ChangedAt = changed.KilledAt, changed.Shards.ChangedAt
	return next, state
}

// reshards is whether the next number of shards changes the number that runs. A first number can change it too.
func (in Input) reshards(next int32) bool {
	current := cmp.Or(in.Previous.Shards, in.Figures.Total)
	return in.ApplyShards && current != 0 && next != 0 && next != current
}

// hasResharded is whether the number of shards has changed within ReshardHold. Without ApplyShards only the recommendation has.
func (s Settings) hasResharded(in Input, state State, now time.Time) bool {
	return in.ApplyShards && s.justChanged(state.Shards, now)
}

// describe adds the texts to the next recommendation. It returns the previous one if nothing changes by a step.
func (in Input) describe(next Recommendation, figures Figures) Recommendation {
	advice := in.replicaAdvice(in.shards(next.Shards))
	isKept := in.Previous.Basis == BasisKept && figures.Measured()
	if next.numbers() == in.Previous.numbers() && (advice == "") == (in.Previous.ReplicaAdvice == "") && !isKept {
		return in.Previous
	}
	next.ReplicaAdvice = advice
	if figures.known(in.Previous.Shards == 0) {
		next.Basis = basis(figures)
	}
	return next
}

// memory is the next memory request in bytes, for pods of this many shards.
func (s Settings) memory(in Input, figures Figures, shards int32, reshards bool, state State, now time.Time) (int64, State) {
	current := in.Previous.MemoryRequestBytes
	size := sizer{
		grid: memoryGrid, headroom: 1 + float64(in.Size.HeadroomPercent)/100,
		lower: in.Size.MinMemoryBytes, upper: in.Size.MaxMemoryBytes,
		shrinkAfter: s.ShrinkAfter, patient: s.hasResharded(in, state, now),
	}
	if figures.KilledRequestBytes > 0 {
		state.KilledAt = now
		if current > 0 && current <= figures.KilledRequestBytes {
			state.Memory = Trend{}
			return size.clamp(size.above(figures.KilledRequestBytes)), state
		}
	}
	used := int64(0)
	if figures.known(current == 0) {
		used = figures.memoryAt(shards)
	}
	var next int64
	next, state.Memory = size.next(state.Memory, current, used, now)
	held := reshards || !state.KilledAt.IsZero() && now.Sub(state.KilledAt) < s.KilledHold
	if next < current && held && size.clamp(current) == current {
		state.Memory = Trend{}
		return current, state
	}
	return next, state
}

// cpu is the next CPU request in thousandths of a core, for pods of this many shards: for the measured use, and enough to
// load in reasonable time.
func (s Settings) cpu(in Input, figures Figures, shards int32, state State, now time.Time) (int64, Trend) {
	current := in.Previous.MilliCPURequest
	size := sizer{
		grid: cpuGrid, headroom: 1 + DefaultHeadroomPercent/100.0, lower: in.Size.MinMilliCPU,
		growAfter: s.CPURiseAfter, shrinkAfter: s.ShrinkAfter, patient: s.hasResharded(in, state, now),
	}
	if !figures.known(current == 0) {
		return size.next(state.CPU, current, 0, now)
	}
	used := max(figures.milliCPU(), 1)
	if formula, ok := FormulaFor(figures.Version); ok {
		load := formula.LoadSeconds(figures.LargestSeries(shards), figures.Series())
		used = max(used, int64(load*1000/loadWithin))
	}
	return size.next(state.CPU, current, used, now)
}

// replicaAdvice is a short text if nodes ask for more replicas of this many shards than availability needs, and no maximum
// prevents them; else empty. A few nodes less do not end it, so nodes that come and go do not change it each time.
func (in Input) replicaAdvice(shards int32) string {
	enough := ReplicasForAvailability * shards
	if in.Previous.ReplicaAdvice != "" {
		enough -= enough / 4
	}
	if in.CalculatedReplicas <= enough || in.MaxReplicasPerShard > 0 && in.MaxReplicasPerShard <= ReplicasForAvailability {
		return ""
	}
	return fmt.Sprintf("%d calculated from %d nodes; %d per shard are enough for availability (maxReplicasPerShard)", in.CalculatedReplicas, in.Nodes, ReplicasForAvailability)
}

// namedUncounted is how many resources a text names. A controller without further rights counts less than half of all.
const namedUncounted = 3

// firstOf names some resources, and counts the others.
func firstOf(resources []string) string {
	if len(resources) <= namedUncounted+1 {
		return strings.Join(resources, ", ")
	}
	return fmt.Sprintf("%s and %d other resources", strings.Join(resources[:namedUncounted], ", "), len(resources)-namedUncounted)
}

// basis names the figures that a recommendation comes from.
func basis(figures Figures) string {
	var text strings.Builder
	if !figures.Measured() {
		fmt.Fprintf(&text, "estimated from counts of objects: %d series", figures.Series())
		if uncounted := figures.estimate().Uncounted; len(uncounted) > 0 {
			fmt.Fprintf(&text, ", without %s", firstOf(uncounted))
		}
		return text.String()
	}
	fmt.Fprintf(&text, "measured: %d series in %d shards, the largest %d series and a scrape of %.1f MB", figures.Series(), figures.Total,
		figures.LargestSeries(figures.Total), float64(figures.LargestExposition(figures.Total))/1e6)
	if peak := figures.PeakMemory(); peak > 0 {
		fmt.Fprintf(&text, ", at most %d MiB of memory", divideUp(peak, mebibyte))
	} else if _, ok := FormulaFor(figures.Version); ok {
		text.WriteString(", memory by the formula")
	}
	return text.String()
}
