package loads

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"pgregory.net/rapid"

	"github.com/example/ksmscale/api/v1alpha1"
)

func TestCoarse(t *testing.T) {
	for _, test := range []struct {
		name  string
		loads []float64
		want  []int32
	}{
		{"no load at all", []float64{0, 0, 0}, []int32{10, 10, 10}},
		{"the same", []float64{0.2, 0.2, 0.2}, []int32{10, 10, 10}},
		{"nearly the same", []float64{0.21, 0.19, 0.2}, []int32{10, 10, 10}},
		{"one with more", []float64{0.1, 0.8, 0.11}, []int32{3, 24, 3}},
		{"two with more", []float64{0.8, 0.1, 0.75}, []int32{14, 2, 14}},
		{"one with nearly all", []float64{5, 0, 0}, []int32{30, 1, 1}},
		{"one shard", []float64{5}, []int32{10}},
	} {
		assert.Equal(t, test.want, coarse(test.loads), test.name)
	}
}

func TestWeightsAreAccepted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		loads := rapid.SliceOfN(rapid.Float64Range(0, 100), 1, 10).Draw(t, "loads")
		weights := coarse(loads)
		for i, weight := range weights {
			assert.Positive(t, weight)
			assert.LessOrEqual(t, weight, int32(v1alpha1.MaxWeight))
			for j := range weights {
				assert.False(t, loads[i] > loads[j] && weight < weights[j], "more load has no less weight")
			}
		}
	})
}

func TestMisfit(t *testing.T) {
	assert.Zero(t, misfit([]float64{1, 1, 1}, nil), "none are the same")
	assert.InDelta(t, 0, misfit([]float64{4, 1, 1}, []int32{20, 5, 5}), 0.01)
	assert.InDelta(t, 0.5, misfit([]float64{4, 1, 1}, nil), 0.01)
	assert.InDelta(t, 0.5, misfit([]float64{1, 1, 1}, []int32{20, 5, 5}), 0.01, "both ways")
}
