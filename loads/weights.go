package loads

import (
	"cmp"
	"math"
	"slices"
)

const (
	// alike is the largest ratio of two loads that count as the same.
	alike = 1.25
	// meanWeight is the weight of a shard with the mean load. Weights are whole numbers. So they are multiples of a tenth
	// of the mean load, and at least one tenth.
	meanWeight = 10
)

// relative are the loads as fractions of the mean load, at least a tenth. Without any load, all are the same.
func relative(loads []float64) []float64 {
	var sum float64
	for _, load := range loads {
		sum += load
	}
	mean, parts := sum/float64(len(loads)), make([]float64, len(loads))
	for i, load := range loads {
		parts[i] = 1
		if mean > 0 {
			parts[i] = max(load/mean, 1.0/meanWeight)
		}
	}
	return parts
}

// misfit is the largest difference between the weight and the load of any shard, as a fraction of the larger one. Missing
// weights count as equal weights.
func misfit(loads []float64, weights []int32) float64 {
	parts, recorded := relative(loads), make([]float64, len(loads))
	for i := range recorded {
		recorded[i] = 1
		if len(weights) == len(loads) {
			recorded[i] = float64(weights[i])
		}
	}
	recorded = relative(recorded)
	var greatest float64
	for i := range parts {
		greatest = max(greatest, math.Abs(parts[i]-recorded[i])/max(parts[i], recorded[i]))
	}
	return greatest
}

// coarse computes weights from loads. Loads that are alike get the weight of their mean.
func coarse(loads []float64) []int32 {
	parts, order := relative(loads), make([]int, len(loads))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(parts[b], parts[a]) })
	weights := make([]int32, len(loads))
	for len(order) > 0 {
		end, sum := 0, 0.0
		for end < len(order) && parts[order[0]] <= parts[order[end]]*alike {
			sum += parts[order[end]]
			end++
		}
		weight := max(int32(math.Round(meanWeight*sum/float64(end))), 1)
		for _, shard := range order[:end] {
			weights[shard] = weight
		}
		order = order[end:]
	}
	return weights
}
