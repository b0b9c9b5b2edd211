package exposition

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestCountCustom(t *testing.T) {
	for name, test := range map[string]struct {
		exposed string
		count   int
	}{
		"nothing":                       {"", 0},
		"headers":                       {"# HELP kube_customresource_a Help.\n# TYPE kube_customresource_a gauge\n", 0},
		"custom resources":              {"# TYPE kube_customresource_a gauge\nkube_customresource_a{name=\"b\"} 1\nkube_customresource_a{name=\"c\"} 1\n", 2},
		"other families too":            {"kube_pod_info{pod=\"a\"} 1\nkube_customresource_a{} 1\nkube_node_info{node=\"a\"} 1\nmine_a 1\nmine_b 1\n", 3},
		"one that begins like a family": {"kube_podmonitor_info{name=\"a\"} 1\n", 1},
		"a long line":                   {"a{b=\"" + strings.Repeat("c", 1<<20) + "\"} 1\n", 1},
	} {
		t.Run(name, func(t *testing.T) {
			count, err := CountCustom(strings.NewReader(test.exposed))
			require.NoError(t, err)
			assert.Equal(t, test.count, count)
		})
	}
	_, err := CountCustom(strings.NewReader(strings.Repeat("a", maxLine+1)))
	require.ErrorContains(t, err, "read metrics")
}
