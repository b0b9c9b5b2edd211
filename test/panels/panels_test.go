package panels

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestRead(t *testing.T) {
	rows, err := Read([]byte(`{"panels": [
		{"id": 1, "type": "row", "title": "Cost"},
		{"id": 2, "type": "timeseries", "title": "CPU", "fieldConfig": {"defaults": {"unit": "s"}},
			"targets": [{"expr": "a{x=~\"$ksmscale\"}", "legendFormat": "{{x}}"}, {"expr": "b", "instant": true}]}
	]}`))
	require.NoError(t, err)
	assert.Equal(t, []Row{{Title: "Cost", Panels: []Panel{{
		ID: 2, Kind: "timeseries", Title: "CPU", Unit: "s",
		Queries: []Query{{Expression: `a{x=~"$ksmscale"}`, Legend: "{{x}}"}, {Expression: "b", Instant: true}},
	}}}}, rows)
}

func TestReadRefuses(t *testing.T) {
	for dashboard, message := range map[string]string{
		`{`:                                 "read the dashboard",
		`{"panels": []}`:                    "no rows",
		`{"panels": [{"title": "Orphan"}]}`: `panel "Orphan" is in no row`,
		`{"panels": [{"type": "row"}, {"title": "Empty"}]}`: `panel "Empty" has no query`,
	} {
		_, err := Read([]byte(dashboard))
		require.ErrorContains(t, err, message, dashboard)
	}
}

func TestFill(t *testing.T) {
	values := Variables{Namespace: "monitoring", KSMScale: "a|b", RateInterval: "5m"}
	assert.Equal(t, `rate(x{namespace=~"monitoring", instance=~"ksm-(a|b)-shard-.+"}[5m])`,
		values.Fill(`rate(x{namespace=~"$namespace", instance=~"ksm-($ksmscale)-shard-.+"}[$__rate_interval])`))
}

func TestName(t *testing.T) {
	query := Query{Legend: "shard {{shard}} of {{total_shards}}"}
	assert.Equal(t, "shard 1 of 3", query.Name(map[string]string{"shard": "1", "total_shards": "3", "pod": "x"}))
}
