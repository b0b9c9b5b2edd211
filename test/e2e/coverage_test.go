package e2e

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/test/e2e/audit"
	"github.com/example/ksmscale/test/prometheus/server"
)

// alone is how long objects may be missing after the only ready pod of a shard has died, and handover how long after one of
// two. The kubelet notices that within a second, kube-proxy changes a Service once a second, and the gap seems to begin with
// the look before it. A fourth second is for all that happens in between.
const alone, handover = time.Minute, 4 * time.Second

// untilNextLook is for how long objects may still be missing after the last look that missed them, with which a gap ends.
const untilNextLook = time.Second

// eventTimeout is how long any event may take, interruptions included.
func eventTimeout() time.Duration {
	if withSizes() {
		return time.Hour
	}
	return 10 * time.Minute
}

// event is something that happens to shards, and is audited.
type event struct {
	name string
	// spec changes what the KSMScale is before the event.
	spec func(*v1alpha1.KSMScaleSpec)
	// prepare, if set, prepares the cluster before there is a KSMScale.
	prepare func(t *testing.T)
	// happen returns once it is over.
	happen func(t *testing.T, ksmScale *v1alpha1.KSMScale)
	// meanwhile, if set, is called repeatedly until the event is over, after pauses. times limits the number of calls, if
	// it is not 0.
	meanwhile func(context.Context) error
	times     int
	// full is for events that only the full run has.
	full bool
	// planned is for those that the full run has once more while controllers are killed, and while adapters are.
	planned bool
	// allowed checks the objects that may be missing according to the documentation. Unset, no object may be missing.
	allowed func(t *testing.T, report audit.Report, machine *server.Machine)
}

// events are what KSMScale has no gap in.
var events = []event{
	{name: "rollout of v2.18.0 to v2.20.0", spec: version("v2.18.0"), happen: untilSound(change(version("v2.20.0"))), planned: true},
	{name: "reshard 3 to 5, controller killed", happen: change(shards(5)), meanwhile: killController, times: 1},
	{name: "drain of a node, 2 replicas", spec: both(shards(2), replicas(2)), happen: drainNode, planned: true},
	{name: "gate killed in place, 1 replica", happen: killGate, allowed: atMost(10*time.Second - untilNextLook)},
	{name: "authFilter off", spec: filtered, happen: stopFiltering},
	{name: "KSMScale deleted with --cascade=orphan, and created again", happen: orphanAndAdopt},
	{name: "upgrade of KSMScale, 3 shards", happen: upgrade},
	{name: "upgrade of KSMScale and back, both versions at the same time, 2 shards", spec: shards(2), happen: upgradeAndBack},
	{name: "container killed for its memory, 2 shards of 2 replicas that size themselves", spec: both(both(shards(2), replicas(2)), sizesItself), prepare: decideQuickly, happen: runOutOfMemory, allowed: atMost(handover)},
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
	{name: "pod deleted without warning, 2 replicas", spec: replicas(2), happen: deletePod, full: true, allowed: atMost(handover)},
	{name: "container killed in place, 2 replicas", spec: replicas(2), happen: killContainer, full: true, allowed: atMost(handover)},
	{name: "pod deleted without warning, 1 replica", happen: deletePod, full: true, allowed: atMost(alone - untilNextLook)},
	{name: "container killed in place, 1 replica", happen: killContainer, full: true, allowed: atMost(alone - untilNextLook)},
}

// allEvents are the events, and the planned events with killed controllers and with killed adapters.
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
		for _, one := range allEvents() {
			if (one.full || speed == "") && !full() {
				continue
			}
			t.Run(strings.TrimSuffix(one.name+", "+speed, ", "), func(t *testing.T) { audited(t, one, speed) })
		}
		for _, one := range migrations {
			if one.runs(speed) {
				t.Run(strings.TrimSuffix(one.name()+", "+speed, ", "), func(t *testing.T) { one.audited(t, speed) })
			}
		}
		for _, one := range baselines {
			if full() {
				t.Run(strings.TrimSuffix(one.name+", "+speed, ", "), func(t *testing.T) { one.audited(t, speed) })
			}
		}
	}
}

// scraped selects the Services that Prometheus scrapes.
func scraped(ksmScale *v1alpha1.KSMScale) string {
	return v1alpha1.LabelKSMScale + "=" + ksmScale.Name + ",!" + v1alpha1.LabelRetired
}

func audited(t *testing.T, one event, speed string) {
	if one.prepare != nil {
		one.prepare(t)
	}
	ksmScale := newKSMScale(func(spec *v1alpha1.KSMScaleSpec) {
		if speed != "" {
			spec.Resources.Limits = map[resourceName]resource.Quantity{"cpu": resource.MustParse(speed)}
		}
		if one.spec != nil {
			one.spec(spec)
		}
	})
	create(t, ksmScale)
	awaitReady(t, ksmScale)
	machine := server.WatchMachine(t.Context())
	report := auditWhile(t, one.name, speed, audit.Options{
		Namespace: monitoringNamespace, Selector: scraped(ksmScale), PartitionLabel: v1alpha1.LabelTotalShards,
	}, func() {
		interrupted := interrupt(t, one.meanwhile, one.times)
		one.happen(t, ksmScale)
		interrupted()
	})
	if one.allowed != nil {
		one.allowed(t, report, machine)
	} else {
		assert.Zero(t, report.MissingObjectSeconds, "object-seconds missing: %v", report.Problems)
		neverUncovered(t, ksmScale, machine)
	}
	assert.Zero(t, report.Twice, "objects exported twice")
	noGateOpenedByDeadline(t, ksmScale)
	nothingReportedMissing(t, ksmScale)
}

// nothingReportedMissing checks that the counts of objects gave no false alarm. Ready takes the reason of an alarm, and
// each change of Ready is an event, so an alarm that has ended shows too.
func nothingReportedMissing(t *testing.T, ksmScale *v1alpha1.KSMScale) {
	t.Helper()
	require.NoError(t, shared.client.Get(t.Context(), client.ObjectKeyFromObject(ksmScale), ksmScale))
	if condition := meta.FindStatusCondition(ksmScale.Status.Conditions, v1alpha1.ConditionObjectsExported); condition != nil {
		assert.NotEqual(t, metav1.ConditionFalse, condition.Status, condition.Message)
	}
	events, err := shared.clientset.EventsV1().Events(metav1.NamespaceAll).List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	for _, event := range events.Items {
		if event.Regarding.Name == ksmScale.Name {
			assert.NotContains(t, []string{v1alpha1.ReasonObjectsMissing, v1alpha1.ReasonForeignObjects}, event.Reason, event.Note)
		}
	}
}

// auditWhile audits until something has happened, and a little longer, and adds a row to the table.
func auditWhile(t *testing.T, name, speed string, options audit.Options, happen func()) audit.Report {
	t.Helper()
	running := startAuditor(t, options)
	running.awaitComplete(t)
	running.reset(t)
	began := time.Now()
	happen()
	took := time.Since(began)
	assert.Less(t, took, eventTimeout())
	report := running.reportAfter(t, tail)
	addRow(t, name, speed, took, report)
	assert.Greater(t, report.Ticks, int(report.Seconds/4), "looks in %.0f s", report.Seconds)
	return report
}

// probesFail is how long the probes of a pod fail until it is unready.
const probesFail = 15 * time.Second

// neverUncovered checks that there was no false alarm. The probes of all pods fail if the machine gives them no CPU time.
// An alarm is correct after a stall of half that time.
func neverUncovered(t *testing.T, ksmScale *v1alpha1.KSMScale, machine *server.Machine) {
	t.Helper()
	list, err := shared.clientset.CoreV1().Events("").List(t.Context(), metav1.ListOptions{
		FieldSelector: fields.Set{"involvedObject.name": ksmScale.Name, "type": corev1.EventTypeWarning}.String(),
	})
	require.NoError(t, err)
	for _, kubernetesEvent := range list.Items {
		if kubernetesEvent.Reason != v1alpha1.ReasonShardsNotReady {
			continue
		}
		at := kubernetesEvent.EventTime.Time
		stalled := machine.Stalled(at.Add(-probesFail), at)
		t.Logf("%s: %s; the machine had stalled for %s of the %s before", at.Format(time.TimeOnly), kubernetesEvent.Message, stalled, probesFail)
		assert.GreaterOrEqual(t, stalled, probesFail/2, kubernetesEvent.Message)
	}
}

// untilRelisted is for an API server that was away. Afterwards each kube-state-metrics lists everything again. It empties
// its stores before it fills them (pkg/metrics_store, Replace), which takes no longer than loading. After that, no object
// may be missing.
func untilRelisted(t *testing.T, report audit.Report, machine *server.Machine) {
	t.Helper()
	atMost(alone-untilNextLook)(t, report, machine)
	assert.GreaterOrEqual(t, report.CompleteSeconds, tail.Seconds(), "everything is there again: %v", report.Problems)
}

// atMost checks the length of each gap. Stalls of the machine do not count.
func atMost(length time.Duration) func(*testing.T, audit.Report, *server.Machine) {
	return func(t *testing.T, report audit.Report, machine *server.Machine) {
		t.Helper()
		for _, gap := range report.Gaps {
			stalled := machine.Stalled(gap.From, gap.To)
			assert.LessOrEqual(t, gap.To.Sub(gap.From)-stalled, length, "the machine had stalled for %s; %v", stalled, report.Problems)
		}
	}
}
