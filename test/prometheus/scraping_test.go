package prometheus

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/test/prometheus/server"
)

// reshard changes the number of shards like the controller. The new shards run with the old ones until they have been
// scraped twice. The old shards answer until Prometheus no longer discovers them.
func reshard(t *testing.T, shards *cluster, prometheus server.Server, from, to int32) {
	t.Helper()
	scraped := func(total int32) string {
		return fmt.Sprintf(`up{job="kube-state-metrics", instance=~"ksm-main-shard-.*-of-%d"}`, total)
	}
	shards.has(from, to)
	prometheus.Await(t, fmt.Sprintf("count(sum by (instance) (count_over_time(%s[1h])) >= 2)", scraped(to)), int(to))
	shards.has(to)
	// Prometheus ends the series of a target that is gone when it would have scraped it twice more.
	prometheus.AwaitNone(t, scraped(from))
	prometheus.AwaitEvaluation(t, time.Now())
}

// No series is stored twice, and none is missing at any time, during a reshard.
func TestServices(t *testing.T) {
	t.Parallel()
	shards := newCluster(t, 1)
	prometheus := start(t, shards, server.ScrapeConfigs(t, "prometheus.yaml"), "rules.yaml")
	shards.has(3)
	prometheus.Await(t, "test:pods", objects)
	complete := time.Now()

	reshard(t, shards, prometheus, 3, 5)
	prometheus.AssertConstant(t, complete, objects, nil)
	assert.Len(t, prometheus.Vector(t, "last_over_time(kube_pod_info[1h])"), objects, "a series has changed its labels")

	pod := prometheus.Vector(t, `kube_pod_info{pod="web-0"}`)
	require.Len(t, pod, 1)
	assert.Equal(t, model.Metric{
		"__name__": "kube_pod_info", "job": "kube-state-metrics",
		"namespace": "shop", "pod": "web-0", "node": "node-1", "uid": "6f1f4b6e-0000-4000-8000-000000000000",
	}, pod[0].Metric)
	assert.Len(t, prometheus.Vector(t, `kube_customresource_phase{instance="own-0"}`), 1, "a label of an object's own is gone")

	up := prometheus.Vector(t, `ksmscale:shard_up:max{shard="4"}`)
	require.Len(t, up, 1)
	assert.Equal(t, model.Metric{"__name__": "ksmscale:shard_up:max", "ksmscale": "main", "shard": "4", "total_shards": "5"}, up[0].Metric)
	prometheus.Await(t, `count(ksmscale:shard_pods:count{ksmscale="main", total_shards="5"} == 1)`, 5)
	prometheus.Await(t, `count(up{job="kube-state-metrics-pods", container="gate", namespace="monitoring", pod=~"ksm-main-.+", shard!="", total_shards="5"} == 1)`, 5)
	assert.Empty(t, prometheus.Vector(t, `ALERTS{alertname="KSMTotalShardsDiffer"}`))
}

// A scrape that fails ends the series of its target until they are scraped again, be it from another partition.
func TestFailedScrapes(t *testing.T) {
	t.Parallel()
	shards := newCluster(t, 1)
	prometheus := start(t, shards, server.ScrapeConfigs(t, "prometheus.yaml"))
	shards.has(2)
	prometheus.Await(t, "test:pods", objects)
	failing := v1alpha1.Shard{KSMScale: "main", ID: 0, Total: 2}
	complete := time.Now()

	shards.fail(serviceHost(failing), true)
	prometheus.Await(t, fmt.Sprintf("test:pods < bool %d", objects), 1)
	// If one delayed scrape fails and the next follows at once, the gap is too short for a graph.
	prometheus.Await(t, fmt.Sprintf(`count_over_time(up{instance="%[1]s"}[1h]) - sum_over_time(up{instance="%[1]s"}[1h]) > bool 1`, failing.Name()), 1)
	shards.fail(serviceHost(failing), false)
	prometheus.Await(t, "count(kube_pod_info)", objects)
	prometheus.AwaitEvaluation(t, time.Now())
	gaps := prometheus.Gaps(t, complete)
	require.Len(t, gaps, 1)
	assert.InDelta(t, objects/2, gaps[0].Pods, objects/10, "the pods of one of two shards")
	assert.GreaterOrEqual(t, gaps[0].To.Sub(gaps[0].From), interval-time.Second)
	assert.True(t, slices.ContainsFunc(prometheus.Evaluations(t, complete, objects), func(look server.Look) bool {
		return look.What == "test:pods" && look.Value == objects-gaps[0].Pods && gaps[0].Spans(look.At, 2*interval)
	}), "an evaluation in %v", gaps[0])

	shards.has(2, 1)
	prometheus.Await(t, `sum(count_over_time(up{job="kube-state-metrics", instance="ksm-main-shard-0-of-1"}[1h])) > bool 1`, 1)
	shards.fail(serviceHost(failing), true)
	prometheus.Await(t, fmt.Sprintf(`up{job="kube-state-metrics", instance="%s"}`, failing.Name()), 0)
	prometheus.Await(t, "count(kube_pod_info)", objects)
}

// The series that are recorded from every pod's metrics exist exactly once at every moment, when pods die and during a
// reshard.
func TestEveryPod(t *testing.T) {
	t.Parallel()
	shards := newCluster(t, 3)
	jobs := server.ScrapeConfigs(t, "prometheus.yaml")
	jobs["kube-state-metrics"] = server.ScrapeConfigs(t, "every-pod.yaml")["kube-state-metrics"]
	prometheus := start(t, shards, jobs, "rules.yaml", "deduplicate.yaml")
	prometheus.EveryPod = true
	shards.has(2)
	prometheus.Await(t, "count(replica:kube_pod_info)", 3*objects)
	prometheus.Await(t, "test:pods", objects)
	complete := time.Now()

	dies := v1alpha1.Shard{KSMScale: "main", ID: 1, Total: 2}
	shards.fail(podHost(dies, 2), true)
	prometheus.Await(t, "count(replica:kube_pod_info) < bool count(kube_pod_info) * 3", 1)
	reshard(t, shards, prometheus, 2, 3)
	prometheus.AssertConstant(t, complete, objects, nil)

	pod := prometheus.Vector(t, `kube_pod_info{pod="web-0"}`)
	require.Len(t, pod, 1)
	assert.Equal(t, model.Metric{
		"__name__": "kube_pod_info", "job": "kube-state-metrics",
		"namespace": "shop", "pod": "web-0", "node": "node-1", "uid": "6f1f4b6e-0000-4000-8000-000000000000",
	}, pod[0].Metric)
	prometheus.Await(t, `count(ksmscale:shard_up:max{ksmscale="main", total_shards="3"} == 1)`, 3)
}
