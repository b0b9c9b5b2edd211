package e2e

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/test/prometheus/server"
)

const (
	prometheusObjects = 600
	// monitorCPU prevents starting pods from using all CPU time of a small machine. The test is about how pods replace
	// each other, not about the machine.
	monitorCPU = "250m"
)

// Real Prometheus servers scrape real shards in each shipped way. They have each object exactly once at any time, during
// all events. Faults come last.
func TestPrometheus(t *testing.T) {
	install(t)
	startOperator(t)
	objects := makeObjects(t, prometheusObjects)
	wanted := len(pods(t, objects, ""))
	services, everyPod := newMonitored(v1alpha1.MonitoringScrapeConfig), newMonitored(v1alpha1.MonitoringServiceMonitor)
	create(t, services, everyPod)
	all := shardSets{services, everyPod}
	all.awaitReady(t)
	servers, connections := startServers(t, fmt.Sprintf("{namespace=%q}", objects), services, everyPod)
	for _, prometheus := range servers {
		prometheus.Await(t, "test:pods", wanted)
		prometheus.Await(t, `count(up{job="kube-state-metrics"} == 1)`, 2)
		prometheus.complete = time.Now()
	}
	began := time.Now()
	for _, one := range []monitoredEvent{
		{"scale 1 to 3 replicas", all.changeInTurn(replicas(3)), 6, 2, 0},
		{"death of each replica of a shard", all.replicasDie, 6, 2, 3},
		{"rollout, and scale to 2 replicas", all.change(both(args("--metric-labels-allowlist=pods=[app]"), replicas(2))), 4, 2, 0},
		{"reshard 2 to 3, with 1 replica each, and back", all.reshardAndBack(both(shards(3), replicas(1)), shards(2)), 2, 2, 0},
	} {
		one.pass(t, servers, connections)
	}
	t.Logf("all events took %s", time.Since(began).Round(time.Second))
	ended := time.Now()
	for _, prometheus := range servers {
		prometheus.AwaitEvaluation(t, ended)
	}
	// The first server has all jobs that the dashboard reads.
	servers[0].assertDashboard(t, services, began)
	for _, prometheus := range servers {
		t.Run(prometheus.Name, func(t *testing.T) {
			prometheus.assertConstant(t, wanted)
			prometheus.assertSameSeries(t, wanted)
			prometheus.assertRules(t)
		})
	}
	if shared.cluster != nil {
		seeAlerts(t, servers[0], services)
	}
}

// startServers starts all Prometheus servers, for a KSMScale whose Services they scrape and for one of which they scrape every pod.
// It connects to these Services as well, where they can be reached from here.
func startServers(t *testing.T, selector string, services, everyPod *v1alpha1.KSMScale) (servers []*prometheusServer, connections *connectionWatch) {
	t.Helper()
	servers = startOperated(t, selector, services, everyPod)
	for _, prometheus := range servers {
		prometheus.Await(t, fmt.Sprintf("count(up{job=%q} == 1)", controllerJob), 1)
		prometheus.Await(t, fmt.Sprintf("count(up{job=%q} == 1)", adapterJob), 2)
	}
	if shared.cluster != nil {
		// Debian's Prometheus cannot discover Services, so this process does, and must reach them.
		targets := watchTargets(t)
		servers = append(servers, startShipped(t, targets, selector, services)...)
		connections = watchConnections(t, targets, services)
	}
	machine := server.WatchMachine(t.Context())
	for _, prometheus := range servers {
		prometheus.Machine = machine
	}
	return servers, connections
}

// monitoredEvent happens to shards that Prometheus servers scrape.
type monitoredEvent struct {
	name   string
	happen func(*testing.T)
	// pods is how many there are after it, of one KSMScale, and shards how many shards.
	pods, shards int
	// deaths is how many replicas of the Services' shards die.
	deaths int
}

// pass runs the event, and waits until all servers scrape the targets after it.
func (e monitoredEvent) pass(t *testing.T, servers []*prometheusServer, connections *connectionWatch) {
	t.Helper()
	since := time.Now()
	e.happen(t)
	for _, prometheus := range servers {
		targets := e.shards
		if prometheus.EveryPod {
			targets = e.pods
		}
		prometheus.Await(t, `count(up{job="kube-state-metrics"} == 1)`, targets)
	}
	t.Logf("%s took %s", e.name, time.Since(since).Round(time.Second))
	failed := connections.take()
	if e.deaths == 0 {
		assert.Empty(t, failed, "%s: Services refused or cut connections, and had not before", e.name)
		return
	}
	t.Logf("%d connections failed while pods died", len(failed))
	over := time.Now()
	for _, prometheus := range servers {
		prometheus.AwaitEvaluation(t, over)
		prometheus.forgive(t, since, e.deaths)
	}
}

// newMonitored has two shards, and objects of a kind for the Prometheus Operator.
func newMonitored(kind v1alpha1.MonitoringType) *v1alpha1.KSMScale {
	return newKSMScale(shards(2), func(spec *v1alpha1.KSMScaleSpec) {
		spec.Resources.Limits = map[resourceName]resource.Quantity{corev1.ResourceCPU: resource.MustParse(monitorCPU)}
		spec.Monitoring = v1alpha1.MonitoringConfig{
			Type: kind, Interval: metav1.Duration{Duration: prometheusInterval}, Labels: map[string]v1alpha1.LabelValue{selectedLabel: selected}, Rules: true,
		}
	})
}

// shardSets are KSMScales that the same happens to.
type shardSets []*v1alpha1.KSMScale

func (s shardSets) awaitReady(t *testing.T) {
	t.Helper()
	for _, ksmScale := range s {
		awaitReady(t, ksmScale)
	}
}

// change changes all specs and waits until all are Ready again.
func (s shardSets) change(spec func(*v1alpha1.KSMScaleSpec)) func(*testing.T) {
	return func(t *testing.T) {
		t.Helper()
		for _, ksmScale := range s {
			update(t, ksmScale, spec)
		}
		s.awaitReady(t)
	}
}

// changeInTurn changes one spec after the other, so half as many pods start together.
func (s shardSets) changeInTurn(spec func(*v1alpha1.KSMScaleSpec)) func(*testing.T) {
	return func(t *testing.T) {
		t.Helper()
		for _, ksmScale := range s {
			shardSets{ksmScale}.change(spec)(t)
		}
	}
}

// reshardAndBack changes all specs. It changes them back when Prometheus has just stopped scraping the old shards. Then it
// waits until all are Ready again, with the old Services.
func (s shardSets) reshardAndBack(there, back func(*v1alpha1.KSMScaleSpec)) func(*testing.T) {
	return func(t *testing.T) {
		t.Helper()
		remaining, services := sets.New(s...), sets.New[types.UID]()
		for _, ksmScale := range s {
			update(t, ksmScale, there)
		}
		await(t, "shards that are not to be scraped any more", func(ctx context.Context) error {
			for ksmScale := range remaining {
				retired, err := shared.clientset.CoreV1().Services(monitoringNamespace).List(ctx, metav1.ListOptions{
					LabelSelector: v1alpha1.LabelKSMScale + "=" + ksmScale.Name + "," + v1alpha1.LabelRetired,
				})
				if err != nil {
					return err
				}
				if len(retired.Items) > 0 {
					update(t, ksmScale, back)
					remaining.Delete(ksmScale)
				}
				for i := range retired.Items {
					services.Insert(retired.Items[i].UID)
				}
			}
			if remaining.Len() > 0 {
				return fmt.Errorf("%d KSMScales have none", remaining.Len())
			}
			return nil
		})
		s.awaitReady(t)
		list, err := shared.clientset.CoreV1().Services(monitoringNamespace).List(t.Context(), metav1.ListOptions{LabelSelector: "!" + v1alpha1.LabelRetired})
		require.NoError(t, err)
		for i := range list.Items {
			services.Delete(list.Items[i].UID)
		}
		assert.Empty(t, services, "they were created again")
	}
}

// replicasDie ends the replicas of each KSMScale's first shard without warning, one after the other. So a Prometheus loses
// the replica of its connection.
func (s shardSets) replicasDie(t *testing.T) {
	t.Helper()
	var doomed [][]corev1.Pod
	all := len(shardPods(t, s[0]))
	for _, ksmScale := range s {
		selector := fmt.Sprintf("%s=%s,%s=0", v1alpha1.LabelKSMScale, ksmScale.Name, v1alpha1.LabelShardID)
		doomed = append(doomed, pods(t, monitoringNamespace, selector))
		require.Len(t, doomed[0], len(doomed[len(doomed)-1]))
	}
	for replica := range doomed[0] {
		for index := range s {
			require.NoError(t, shared.client.Delete(t.Context(), &doomed[index][replica], client.GracePeriodSeconds(0)))
		}
		for index, ksmScale := range s {
			awaitInstead(t, ksmScale, doomed[index][replica], all)
		}
	}
}

// assertSameSeries asserts that no series of an object has ever had other labels than now, and that these are only the
// object's labels and the job.
func (s *prometheusServer) assertSameSeries(t *testing.T, wanted int) {
	t.Helper()
	series := s.Vector(t, fmt.Sprintf("last_over_time(kube_pod_info%s%s)", s.Selector, server.History))
	assert.Len(t, series, wanted)
	for _, sample := range series {
		assert.Equal(t, v1alpha1.JobMetrics, string(sample.Metric["job"]))
		for label := range sample.Metric {
			require.Contains(t, ownLabels, string(label))
		}
	}
	assert.Empty(t, s.Vector(t, `last_over_time({__name__=~"kube_.+", instance=~"ksm-.+"}`+server.History+`)`), "series name their shards")
}

// ownLabels are those that a kube_pod_info of a pod that runs nowhere has, and the job.
var ownLabels = []string{
	"__name__", "job", "namespace", "pod", "uid", "host_network", "created_by_kind", "created_by_name",
}
