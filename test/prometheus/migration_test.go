package prometheus

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/example/ksmscale/test/prometheus/server"
)

// No series is stored twice, and none is missing at any time, when a KSMScale replaces another kube-state-metrics.
func TestMigration(t *testing.T) {
	t.Parallel()
	const job = "before-ksmscale"
	before, after := newCluster(t, 1), newCluster(t, 1)
	jobs := server.ScrapeConfigs(t, "prometheus.yaml")
	jobs[job] = before.lead(t, server.ScrapeConfigs(t, "migration.yaml")[job])
	prometheus := start(t, after, jobs, "rules.yaml")
	before.has(2)
	prometheus.Await(t, "test:pods", objects)
	complete := time.Now()
	prometheus.Await(t, `count(up{job="kube-state-metrics"})`, 2)

	after.has(3)
	prometheus.Await(t, `count(sum by (instance) (count_over_time(up{job="kube-state-metrics", instance=~"ksm-main-shard-.-of-3"}[1h])) >= 2)`, 3)
	before.has()
	prometheus.AwaitNone(t, `up{job="kube-state-metrics", instance!~"ksm-main-shard-.-of-3"}`)
	prometheus.AwaitEvaluation(t, time.Now())

	prometheus.AssertConstant(t, complete, objects, nil)
	assert.Len(t, prometheus.Vector(t, "last_over_time(kube_pod_info[1h])"), objects, "a series has changed its labels")
}
