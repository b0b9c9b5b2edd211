package status

import (
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/controller/objects"
	"github.com/example/ksmscale/controller/observation"
)

// The parts of a limit above which a scrape is near it, in percent. A time varies more than a size, because it depends on the load of the
// machine. A scrape that was near a limit is no longer near it once it is nearGap percent below that part, so the condition is stable.
const (
	nearBodySizeLimit = 75
	nearScrapeTimeout = 50
	nearGap           = 5
)

// measuredWithin is the longest time from readiness to the first measurement of a pod.
const measuredWithin = 10 * time.Minute

// scrapableConditions has a condition that is False while the scrape of some shard is near a limit in spec.monitoring. It is empty without
// such a limit. This condition is a warning and does not affect Ready. Its messages have no figures that change with each measurement,
// because each change is a write.
func scrapableConditions(in conditionInput) []metav1.Condition {
	monitoring := in.KSMScale.Spec.Monitoring
	if monitoring.BodySizeLimit == nil && monitoring.ScrapeTimeout == nil {
		return nil
	}
	before := meta.FindStatusCondition(in.KSMScale.Status.Conditions, v1alpha1.ConditionScrapable)
	wasNear := ""
	if before != nil && before.Status == metav1.ConditionFalse {
		wasNear = before.Reason
	}
	condition, isMeasured := scrapeNearLimit(in, wasNear)
	shards := in.Snapshot.Shards()
	unmeasured := slices.IndexFunc(shards, func(shard v1alpha1.Shard) bool { return shouldBeMeasured(in, shard) })
	switch {
	case condition.Reason != "":
	case in.Snapshot.Measurements != nil && unmeasured >= 0: // A new leader has read no measurements yet.
		shard := shards[unmeasured]
		condition.Status, condition.Reason = metav1.ConditionUnknown, v1alpha1.ReasonNotMeasured
		condition.Message = fmt.Sprintf("There is no measurement of shard %d of %d, although a pod has been ready for %s: a scrape takes more than a minute, or the controller cannot read the gate. "+
			"The log of the gate has failed measurements: kubectl -n %s logs deployment/%s -c %s",
			shard.ID, shard.Total, measuredWithin, in.KSMScale.Spec.Namespace, shard.Name(), objects.GateContainerName)
	case isMeasured:
		condition.Status, condition.Reason, condition.Message = metav1.ConditionTrue, v1alpha1.ReasonWithinLimits, "The scrape of each shard is within the limits of spec.monitoring"
	case before != nil:
		condition = *before
	default:
		condition.Status, condition.Reason, condition.Message = metav1.ConditionUnknown, v1alpha1.ReasonNotMeasured, "No gate has measured a scrape yet"
	}
	return []metav1.Condition{condition}
}

// scrapeNearLimit returns the condition for the first shard whose scrape is near a limit, without a reason if there is none. It also
// reports whether any shard was measured. wasNear is the reason of the condition while it was False.
func scrapeNearLimit(in conditionInput, wasNear string) (condition metav1.Condition, isMeasured bool) {
	condition = metav1.Condition{Type: v1alpha1.ConditionScrapable, Status: metav1.ConditionFalse}
	for _, shard := range in.Snapshot.Shards() {
		measurement, ok := in.Snapshot.Measurements[shard]
		if !ok || in.Snapshot.Deployment(shard) == nil {
			continue
		}
		isMeasured = true
		if condition.Reason, condition.Message = nearLimit(in.KSMScale.Spec.Monitoring, measurement, wasNear); condition.Reason != "" {
			condition.Message = fmt.Sprintf("A scrape of shard %d of %d %s", shard.ID, shard.Total, condition.Message)
			break
		}
	}
	return condition, isMeasured
}

// shouldBeMeasured reports whether a shard has no measurement although a pod has been ready for so long that its gate should have one.
func shouldBeMeasured(in conditionInput, shard v1alpha1.Shard) bool {
	_, isMeasured := in.Snapshot.Measurements[shard]
	return !isMeasured && slices.ContainsFunc(in.Snapshot.PodsOf(shard), func(pod corev1.Pod) bool {
		ready := observation.PodCondition(&pod, corev1.PodReady)
		return observation.IsActive(&pod) && ready.Status == corev1.ConditionTrue && in.Now.Sub(ready.LastTransitionTime.Time) >= measuredWithin
	})
}

// nearLimit describes the limit that a scrape is near; empty if it is near none. Only the limit that it was near has a gap.
func nearLimit(monitoring v1alpha1.MonitoringConfig, measurement observation.Measurement, wasNear string) (reason, message string) {
	if limit := monitoring.BodySizeLimit; limit != nil && isNear(measurement.ExpositionBytes, limit.Value(), nearBodySizeLimit-gapOf(v1alpha1.ReasonNearBodySizeLimit, wasNear)) {
		return v1alpha1.ReasonNearBodySizeLimit, fmt.Sprintf("has more than %s of spec.monitoring.bodySizeLimit, which is %s. The scraper refuses a larger one, and the metrics of the shard are then missing: "+
			"raise the limit of the scraper and bodySizeLimit, raise the number of shards, or set spec.sharding.auto.targetScrapeBytes to %d or less",
			partOf(measurement.ExpositionBytes, limit.Value(), "three quarters"), limit, threeQuarters(limit))
	}
	if timeout := monitoring.ScrapeTimeout; timeout != nil && isNear(int64(measurement.ScrapeSeconds*float64(time.Second)), int64(timeout.Duration), nearScrapeTimeout-gapOf(v1alpha1.ReasonNearScrapeTimeout, wasNear)) {
		return v1alpha1.ReasonNearScrapeTimeout, fmt.Sprintf("takes more than %s of spec.monitoring.scrapeTimeout, which is %s. A slower scrape fails, and the metrics of the shard are then missing: "+
			"raise scrapeTimeout, raise the number of shards, or give kube-state-metrics more CPU",
			partOf(int64(measurement.ScrapeSeconds*float64(time.Second)), int64(timeout.Duration), "half"), timeout.Duration)
	}
	return "", ""
}

func gapOf(reason, wasNear string) int64 {
	if reason == wasNear {
		return nearGap
	}
	return 0
}

// isNear reports whether a value is above a part of a limit, in percent.
func isNear(value, limit, percent int64) bool {
	return float64(value) > float64(limit)*float64(percent)/100
}

// partOf names the part of the limit that a value is above.
func partOf(value, limit int64, part string) string {
	if value > limit {
		return "the whole"
	}
	return part
}

// threeQuarters returns three quarters of a limit in bytes.
func threeQuarters(limit *resource.Quantity) int64 { return limit.Value() / 4 * 3 }
