package sizing

import "math"

// Measurement is what the gates of one shard measured. With several replicas, each field has the highest value of them.
type Measurement struct {
	// Known is whether at least one replica of the shard was measured. The other fields count only then.
	Known bool
	// Series is the number of time series that the shard exposes.
	Series int64
	// ExpositionBytes is the size of one uncompressed scrape, in bytes.
	ExpositionBytes int64
	// PeakMemoryBytes is the highest resident memory of the kube-state-metrics process since it started, in bytes.
	// 0 is unknown.
	PeakMemoryBytes int64
	// CPUCores is the average CPU time that the process used per second since the previous reading, in cores. 0 is unknown.
	CPUCores float64
	// ScrapeSeconds is how long reading the exposition took, in seconds.
	ScrapeSeconds float64
}

// Figures are what a recommendation depends on.
type Figures struct {
	// Version is the version of kube-state-metrics, such as v2.20.0. It selects the formula for memory.
	Version string
	// Total is the number of shards of the partition that serves; 0 while nothing runs.
	Total int32
	// Shards has one measurement for each shard of that partition, by the shard's number.
	Shards []Measurement
	// Estimate is what the cluster's objects are expected to take, from their counts. It is used for a first recommendation
	// only, where there is no complete measurement. Nil if nothing was counted.
	Estimate *Estimate
	// KilledRequestBytes is the highest memory request of the kube-state-metrics containers that were killed for their
	// memory, in bytes. 0 if none was.
	KilledRequestBytes int64
}

// Measured is whether every shard of the partition that serves was measured.
func (f Figures) Measured() bool {
	if f.Total < 1 || len(f.Shards) != int(f.Total) {
		return false
	}
	for _, shard := range f.Shards {
		if !shard.Known {
			return false
		}
	}
	return true
}

// known is whether there is a base for a recommendation. Without a previous one, an estimate suffices.
func (f Figures) known(first bool) bool {
	return f.Measured() || first && f.Estimate != nil
}

// Series is the number of time series of all shards.
func (f Figures) Series() int64 {
	if !f.Measured() {
		return f.estimate().Series
	}
	var sum int64
	for _, shard := range f.Shards {
		sum += shard.Series
	}
	return sum
}

// LargestSeries is the number of time series that the largest of this many shards has or would have.
func (f Figures) LargestSeries(shards int32) int64 {
	return f.largest(shards, func(m Measurement) int64 { return m.Series }, f.estimate().Series)
}

// LargestExposition is the size in bytes of one uncompressed scrape of the largest of this many shards.
func (f Figures) LargestExposition(shards int32) int64 {
	return f.largest(shards, func(m Measurement) int64 { return m.ExpositionBytes }, f.estimate().ExpositionBytes)
}

// largest scales the largest shard to another number of shards. An uneven partition is expected to stay as uneven.
func (f Figures) largest(shards int32, of func(Measurement) int64, estimated int64) int64 {
	return divideUp(f.whole(of, estimated), int64(max(shards, 1)))
}

// whole is the size of all shards if each were as large as the largest.
func (f Figures) whole(of func(Measurement) int64, estimated int64) int64 {
	if !f.Measured() {
		return estimated
	}
	return f.highest(of) * int64(f.Total)
}

func (f Figures) highest(of func(Measurement) int64) int64 {
	var highest int64
	for _, shard := range f.Shards {
		highest = max(highest, of(shard))
	}
	return highest
}

// PeakMemory is the highest resident memory of all measured processes, in bytes; 0 while some shard's is unknown.
func (f Figures) PeakMemory() int64 {
	if !f.Measured() {
		return 0
	}
	for _, shard := range f.Shards {
		if shard.PeakMemoryBytes <= 0 {
			return 0
		}
	}
	return f.highest(func(m Measurement) int64 { return m.PeakMemoryBytes })
}

// milliCPU is the highest CPU use of all measured processes, in thousandths of a core.
func (f Figures) milliCPU() int64 {
	if !f.Measured() {
		return 0
	}
	return f.highest(func(m Measurement) int64 { return int64(math.Ceil(m.CPUCores * 1000)) })
}

func (f Figures) estimate() Estimate {
	if f.Estimate == nil {
		return Estimate{}
	}
	return *f.Estimate
}

// memoryAt is the resident memory in bytes of the largest of this many shards; 0 if there is no base for it. It is at
// least the measured memory, because the processes that took it still run. The measured memory of a shard that becomes
// larger grows as the formula does, and in proportion to its series for a version without one.
func (f Figures) memoryAt(shards int32) int64 {
	formula, hasFormula := FormulaFor(f.Version)
	series := f.LargestSeries(shards)
	peak := f.PeakMemory()
	if peak == 0 {
		if !hasFormula {
			return 0
		}
		return formula.Memory(series, f.Series())
	}
	now := f.LargestSeries(f.Total)
	switch {
	case series <= now:
		return peak
	case hasFormula:
		return peak + int64(formula.BytesPerSeries*float64(series-now))
	default:
		return int64(math.Ceil(float64(peak) * float64(series) / float64(max(now, 1))))
	}
}

func divideUp(a, b int64) int64 { return (a + b - 1) / b }
