package exposition

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestParseFamilies(t *testing.T) {
	families, newest := parseFamilies("# v2.9.0 v2.10.1\nkube_pod_info\nkube_pod_nodeselectors\nkube_pod_nodeselectors opt-in\n", "# Plain\nkube_pod_info\n")
	assert.Equal(t, "2.10.1", newest.String())
	assert.Equal(t, []Family{{"kube_pod_info", true, false}, {"kube_pod_nodeselectors", false, false}, {"kube_pod_nodeselectors", false, true}}, families)
}

func TestEveryResourceHasAFamily(t *testing.T) {
	for _, kind := range Resources {
		assert.True(t, lists{}.leave(kind, false), kind.Name)
	}
}
