package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/test/e2e/audit"
	"github.com/example/ksmscale/test/prometheus/server"
)

// eventTimeout is how long any event may take, interruptions included.
const eventTimeout = 10 * time.Minute

// event is something that happens to shards, and is audited.
type event struct {
	name string
	// spec changes what the KSMScale is before the event.
	spec func(*v1alpha1.KSMScaleSpec)
	// prepare, if set, prepares the cluster before there is a KSMScale.
	prepare func(t *testing.T)
	// happen returns once it is over.
	happen func(t *testing.T, ksmScale *v1alpha1.KSMScale)
	// meanwhile, if set, is called again and again until it is over, after pauses; at most that many times, if that
	// is not 0.
	meanwhile func(context.Context) error
	times     int
	// full is for events that only the full run has.
	full bool
	// planned is for those that the full run has once more while controllers are killed, and while adapters are.
	planned bool
	// allowed is what may be missing, as the README promises; nothing if it is not set.
	allowed func(t *testing.T, report audit.Report)
}

// events are what KSMScale has no gap in.
var events = []event{
	{name: "rollout of v2.18.0 to v2.20.0", spec: version("v2.18.0"), happen: untilSound(change(version("v2.20.0"))), planned: true},
	{name: "reshard 3 to 5, controller killed", happen: change(shards(5)), meanwhile: killController, times: 1},
	{name: "drain of a node, 2 replicas", spec: both(shards(2), replicas(2)), happen: drainNode, planned: true},
	{name: "gate killed in place, 1 replica", happen: killGate, allowed: atMost(10 * time.Second)},
	{name: "authFilter off", spec: filtered, happen: stopFiltering},
	{name: "KSMScale deleted with --cascade=orphan, and created again", happen: orphanAndAdopt},
	{name: "upgrade of KSMScale, 5 shards", spec: shards(5), happen: upgrade},
	{name: "sizes follow the cluster: three times the objects, and back", spec: followsTheCluster, prepare: decideQuickly, happen: growAndShrink, full: true},
	{name: "scale 1 to 3 replicas, and down again", happen: scaleUpAndDown, full: true, planned: true},
	{name: "rollout of v2.10.1 to v2.20.0", spec: version("v2.10.1"), happen: change(version("v2.20.0")), full: true},
	{name: "change of args", happen: change(args("--metric-labels-allowlist=pods=[app]")), full: true, planned: true},
	{name: "reshard 3 to 5", happen: change(shards(5)), full: true, planned: true},
	{name: "reshard 5 to 2", spec: shards(5), happen: change(shards(2)), full: true, planned: true},
	{name: "sharding on, 3 shards", spec: shards(1), happen: change(shards(3)), full: true, planned: true},
	{name: "sharding off", happen: change(shards(1)), full: true, planned: true},
	{name: "change of mind, 3 to 5 to 3 to 4", happen: changeOfMind, full: true, planned: true},
	{name: "rollout of v2.20.0, API server restarted", happen: rolloutAndRestart, full: true, allowed: untilRelisted},
	{name: "rollout of v2.20.0, one of two API servers restarted", prepare: addAPIServer, happen: rolloutAndRestartOne, full: true},
	{name: "pod deleted without warning, 2 replicas", spec: replicas(2), happen: deletePod, full: true, allowed: atMost(2 * time.Second)},
	{name: "container killed in place, 2 replicas", spec: replicas(2), happen: killContainer, full: true, allowed: atMost(2 * time.Second)},
	{name: "pod deleted without warning, 1 replica", happen: deletePod, full: true, allowed: atMost(time.Minute)},
	{name: "container killed in place, 1 replica", happen: killContainer, full: true, allowed: atMost(time.Minute)},
}

// allEvents are the events, and the planned ones with controllers and with adapters killed meanwhile.
func allEvents() []event {
	all := slices.Clone(events)
	for _, planned := range events {
		if !planned.planned {
			continue
		}
		killed := event{spec: planned.spec, full: true}
		killed.name, killed.happen, killed.meanwhile = planned.name+", controller killed every 30 s", withStandby(planned.happen), killController
		all = append(all, killed)
		killed.name, killed.happen, killed.meanwhile = planned.name+", adapter killed every 30 s", planned.happen, killAdapter
		all = append(all, killed)
	}
	return all
}

// speeds are the CPU limits of kube-state-metrics; slow ones show faults that fast ones hide.
var speeds = []string{"100m", ""}

// TestCoverage audits what Prometheus would scrape while things happen to the shards.
func TestCoverage(t *testing.T) {
	install(t)
	makeObjects(t, objectCount())
	for _, speed := range speeds {
		for _, event := range allEvents() {
			if (event.full || speed == "") && !full() {
				continue
			}
			t.Run(strings.TrimSuffix(event.name+", "+speed, ", "), func(t *testing.T) { audited(t, event, speed) })
		}
		for _, migration := range migrations {
			if migration.runs(speed) {
				t.Run(strings.TrimSuffix(migration.name()+", "+speed, ", "), func(t *testing.T) { migration.audited(t, speed) })
			}
		}
		for _, baseline := range baselines {
			if full() {
				t.Run(strings.TrimSuffix(baseline.name+", "+speed, ", "), func(t *testing.T) { baseline.audited(t, speed) })
			}
		}
	}
}

// scraped selects the Services that Prometheus scrapes.
func scraped(ksmScale *v1alpha1.KSMScale) string {
	return v1alpha1.LabelKSMScale + "=" + ksmScale.Name + ",!" + v1alpha1.LabelRetired
}

func audited(t *testing.T, event event, speed string) {
	if event.prepare != nil {
		event.prepare(t)
	}
	ksmScale := newKSMScale(func(spec *v1alpha1.KSMScaleSpec) {
		if speed != "" {
			spec.Resources.Limits = map[resourceName]resource.Quantity{"cpu": resource.MustParse(speed)}
		}
		if event.spec != nil {
			event.spec(spec)
		}
	})
	create(t, ksmScale)
	awaitReady(t, ksmScale)
	machine := server.WatchMachine(t.Context())
	report := auditWhile(t, event.name, speed, audit.Options{
		Namespace: monitoringNamespace, Selector: scraped(ksmScale), PartitionLabel: v1alpha1.LabelTotalShards,
	}, func() {
		interrupted := interrupt(t, event.meanwhile, event.times)
		event.happen(t, ksmScale)
		interrupted()
	})
	if event.allowed != nil {
		event.allowed(t, report)
	} else {
		assert.Zero(t, report.MissingObjectSeconds, "object-seconds missing: %v", report.Problems)
		neverUncovered(t, ksmScale, machine)
	}
	assert.Zero(t, report.Twice, "objects exported twice")
	noGateOpenedByDeadline(t, ksmScale)
}

// auditWhile audits until something has happened, and a little longer, and adds a row to the table.
func auditWhile(t *testing.T, name, speed string, options audit.Options, happen func()) audit.Report {
	t.Helper()
	auditor := startAuditor(t, options)
	auditor.awaitComplete(t)
	auditor.reset(t)
	began := time.Now()
	happen()
	took := time.Since(began)
	assert.Less(t, took, eventTimeout)
	report := auditor.reportAfter(t, tail)
	addRow(t, name, speed, took, report)
	assert.Greater(t, report.Ticks, int(report.Seconds/4), "looks in %.0f s", report.Seconds)
	return report
}

// probesFail is how long the probes of a pod fail until it is unready.
const probesFail = 15 * time.Second

// neverUncovered checks that there was no false alarm. The probes of all pods fail where the machine gives the pods no CPU time:
// an alarm is true after a stall of half that time.
func neverUncovered(t *testing.T, ksmScale *v1alpha1.KSMScale, machine *server.Machine) {
	t.Helper()
	list, err := shared.clientset.CoreV1().Events("").List(t.Context(), metav1.ListOptions{
		FieldSelector: fields.Set{"involvedObject.name": ksmScale.Name, "type": corev1.EventTypeWarning}.String(),
	})
	require.NoError(t, err)
	for _, event := range list.Items {
		if event.Reason != v1alpha1.ReasonShardsNotReady {
			continue
		}
		at := event.EventTime.Time
		stalled := machine.Stalled(at.Add(-probesFail), at)
		t.Logf("%s: %s; the machine had stalled for %s of the %s before", at.Format(time.TimeOnly), event.Message, stalled, probesFail)
		assert.GreaterOrEqual(t, stalled, probesFail/2, event.Message)
	}
}

// untilRelisted is for an API server that was away. Each kube-state-metrics lists everything again once it is back, and
// empties its stores before it fills them (pkg/metrics_store, Replace), which takes no longer than to load; after that
// nothing may be missing.
func untilRelisted(t *testing.T, report audit.Report) {
	t.Helper()
	atMost(time.Minute)(t, report)
	assert.GreaterOrEqual(t, report.CompleteSeconds, tail.Seconds(), "everything is there again: %v", report.Problems)
}

func atMost(gap time.Duration) func(*testing.T, audit.Report) {
	return func(t *testing.T, report audit.Report) {
		t.Helper()
		assert.LessOrEqual(t, report.LongestGapSeconds, gap.Seconds(), fmt.Sprint(report.Problems))
	}
}
