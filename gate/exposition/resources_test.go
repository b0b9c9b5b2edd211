package exposition

import (
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/example/ksmscale/ksmflags"
)

// The controller warns of the resources that are not in this list, and the gate can count those that are.
func TestTheGateKnowsTheResourcesOfKubeStateMetrics(t *testing.T) {
	assert.Equal(t, slices.Sorted(maps.Keys(Resources)), ksmflags.Resources)
}
