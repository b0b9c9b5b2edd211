package observation

import (
	"context"
	"fmt"
	"reflect"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/completeness"
	"github.com/example/ksmscale/measurements"
	"github.com/example/ksmscale/shardpods"
	"github.com/example/ksmscale/telemetry"
)

// Measurement is what the gates of a shard have measured. With several replicas, each field has the highest value.
type Measurement struct {
	// Series is the number of series, and ExpositionBytes the size of an uncompressed scrape in bytes.
	Series, ExpositionBytes int64
	// PeakMemoryBytes is the highest resident memory of a process since it started, in bytes; 0 if it is not known.
	PeakMemoryBytes int64
	// CPUCores is the average CPU use since the previous reading, in cores; 0 if it is not known.
	CPUCores float64
	// ScrapeSeconds is how long a gate took to read the exposition, in seconds.
	ScrapeSeconds float64
}

// Measurements reads what the gates of all ready pods have measured. Create it with NewMeasurements, and start it with a manager.
type Measurements struct {
	*poller[gateReadings]
	objects client.Reader
	read    func(context.Context, *corev1.Pod) (measurements.Measurement, error)
	// gateInterval is the time between two measurements of a gate.
	gateInterval time.Duration
	// seen are the last measurements of shards. Only the goroutine of Start uses it.
	seen map[v1alpha1.Shard]seenMeasurement
	// processes is what each pod's process had used at the last reading. Only the goroutine of Start uses it.
	processes map[types.UID]measurements.Process
	// counts are the counts of objects of the last rounds. Only the goroutine of Start uses it.
	counts partitionCounts
}

// keptFor is how long a measurement of a shard counts when no gate of the shard can be read, such as while its only pod is replaced.
const keptFor = 15 * time.Minute

// seenMeasurement is a measurement of a shard of a KSMScale, and when its gates were read.
type seenMeasurement struct {
	Measurement
	ksmScale types.UID
	at       time.Time
}

// gateReadings is what the gates of all KSMScales have measured and counted.
type gateReadings struct {
	shards       map[v1alpha1.Shard]Measurement
	completeness map[partitionKey]completeness.Result
}

func (r gateReadings) equal(other gateReadings) bool { return reflect.DeepEqual(r, other) }

// NewMeasurements returns Measurements that reads KSMScales, Deployments and pods from a cache, and a gate of each pod at an interval. Each gate
// measures at gateInterval.
func NewMeasurements(objects client.Reader, clock clock.WithTicker, interval, gateInterval time.Duration, notify func()) *Measurements {
	m := &Measurements{objects: objects, counts: partitionCounts{}, gateInterval: gateInterval, read: func(ctx context.Context, pod *corev1.Pod) (measurements.Measurement, error) {
		return measurements.Read(ctx, telemetry.Client{}, telemetry.URL(pod.Status.PodIP, v1alpha1.PortGate))
	}}
	m.poller = &poller[gateReadings]{
		objects: "the measurements of gates", interval: interval, isMidInterval: true, clock: clock, notify: notify,
		list: m.list, equal: gateReadings.equal,
	}
	return m
}

// Of returns the measurements of a KSMScale's shards. It returns nil until gates have been read for the first time.
func (m *Measurements) Of(ksmScale string) map[v1alpha1.Shard]Measurement {
	if !m.Latest().known {
		return nil
	}
	shards := map[v1alpha1.Shard]Measurement{}
	for shard, measurement := range m.Latest().Objects.shards {
		if shard.KSMScale == ksmScale {
			shards[shard] = measurement
		}
	}
	return shards
}

func (m *Measurements) list(ctx context.Context) (gateReadings, error) {
	var all v1alpha1.KSMScaleList
	if err := m.objects.List(ctx, &all, client.UnsafeDisableDeepCopy); err != nil {
		return gateReadings{}, fmt.Errorf("list KSMScales: %w", err)
	}
	var pods []corev1.Pod
	for i := range all.Items {
		serving, err := shardpods.Serving(ctx, m.objects, &all.Items[i], m.clock.Now())
		if err != nil {
			return gateReadings{}, err
		}
		pods = append(pods, serving...)
	}
	readings := shardpods.ReadEach(ctx, pods, m.read, func(pod *corev1.Pod, err error) {
		log.FromContext(ctx).V(1).Info("Cannot read the gate of a pod", "pod", client.ObjectKeyFromObject(pod), "reason", err.Error())
	})
	processes := map[types.UID]measurements.Process{}
	shards := map[v1alpha1.Shard]Measurement{}
	for i := range pods {
		reading, isRead := readings[pods[i].UID]
		shard, isShard := v1alpha1.ShardOf(pods[i].Labels)
		if !isRead || !isShard {
			// The next reading tells what it has used in the meantime.
			processes[pods[i].UID] = m.processes[pods[i].UID]
			continue
		}
		processes[pods[i].UID] = reading.Process
		if m.isOld(reading.MeasuredAt) {
			continue
		}
		highest := shards[shard]
		shards[shard] = Measurement{
			Series: max(highest.Series, reading.Series), ExpositionBytes: max(highest.ExpositionBytes, reading.ExpositionBytes),
			PeakMemoryBytes: max(highest.PeakMemoryBytes, reading.PeakMemoryBytes),
			CPUCores:        max(highest.CPUCores, coresBetween(m.processes[pods[i].UID], reading.Process)),
			ScrapeSeconds:   max(highest.ScrapeSeconds, reading.ScrapeSeconds),
		}
	}
	m.processes = processes
	m.keep(shards, all.Items)
	return gateReadings{shards, m.counts.add(all.Items, pods, readings, m.clock.Now())}, nil
}

// isOld reports whether a gate has measured nothing for longer than a measurement counts. A gate keeps the last figures if a scrape fails.
func (m *Measurements) isOld(measuredAt time.Time) bool {
	return m.clock.Now().Sub(measuredAt) >= keptFor+2*m.gateInterval
}

// keep adds the recent measurements of shards that have none now, and remembers all.
func (m *Measurements) keep(shards map[v1alpha1.Shard]Measurement, ksmScales []v1alpha1.KSMScale) {
	uids := map[string]types.UID{}
	for i := range ksmScales {
		uids[ksmScales[i].Name] = ksmScales[i].UID
	}
	now, seen := m.clock.Now(), map[v1alpha1.Shard]seenMeasurement{}
	for shard, measurement := range shards {
		seen[shard] = seenMeasurement{measurement, uids[shard.KSMScale], now}
	}
	for shard, before := range m.seen {
		_, isMeasured := shards[shard]
		if uid, exists := uids[shard.KSMScale]; isMeasured || !exists || uid != before.ksmScale || now.Sub(before.at) >= keptFor {
			continue
		}
		seen[shard], shards[shard] = before, before.Measurement
	}
	m.seen = seen
}

// coresBetween returns the average CPU use of a process between two readings, in cores; 0 if the readings are of two processes.
func coresBetween(before, after measurements.Process) float64 {
	elapsed := after.ReadAt.Sub(before.ReadAt).Seconds()
	if before.StartTimeSeconds == 0 || before.StartTimeSeconds != after.StartTimeSeconds || elapsed <= 0 {
		return 0
	}
	return max(after.CPUSeconds-before.CPUSeconds, 0) / elapsed
}
