package walk

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestRecording(t *testing.T) {
	var recording Recording
	recording.Add(500*time.Millisecond, Replicas{Nodes: 60, Metrics: []int32{2, 1, 1}, Ready: []int32{1, 1, 1}})
	recording.Add(time.Second, Replicas{Nodes: 60, Metrics: []int32{2, 1, 1}, Ready: []int32{2, 1, 1}})
	assert.Equal(t, []Moment{{0.5, 60, 4, 3}, {1, 60, 4, 4}}, recording.Moments)
}
