package status

import (
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/controller/observation"
)

// The parts of a limit above which a scrape is near it, in percent. A time varies more than a size, because it depends on the load of the
// machine. A scrape that was near a limit is no longer near it once it is nearGap percent below that part, so the condition is stable.
const (
	nearBodySizeLimit = 75
	nearScrapeTimeout = 50
	nearGap           = 5
)

// scrapableConditions has a condition that is False while the scrape of some shard is near a limit in spec.monitoring. It is empty without
// such a limit. This condition is a warning and does not affect Ready. Its messages have no figures that change with each measurement,
// because each change is a write.
func scrapableConditions(in conditionInput) []metav1.Condition {
	monitoring := in.KSMScale.Spec.Monitoring
	if monitoring.BodySizeLimit == nil && monitoring.ScrapeTimeout == nil {
		return nil
	}
	condition := metav1.Condition{Type: v1alpha1.ConditionScrapable, Status: metav1.ConditionFalse}
	before := meta.FindStatusCondition(in.KSMScale.Status.Conditions, condition.Type)
	isMeasured, gap := false, int64(0)
	if before != nil && before.Status == metav1.ConditionFalse {
		gap = nearGap
	}
	for _, shard := range in.Snapshot.Shards() {
		measurement, ok := in.Snapshot.Measurements[shard]
		if !ok || in.Snapshot.Deployment(shard) == nil {
			continue
		}
		isMeasured = true
		if condition.Reason, condition.Message = nearLimit(monitoring, measurement, gap); condition.Reason != "" {
			condition.Message = fmt.Sprintf("A scrape of shard %d of %d %s", shard.ID, shard.Total, condition.Message)
			return []metav1.Condition{condition}
		}
	}
	switch {
	case isMeasured:
		condition.Status, condition.Reason, condition.Message = metav1.ConditionTrue, v1alpha1.ReasonWithinLimits, "The scrape of each shard is within the limits of spec.monitoring"
	case before != nil:
		return []metav1.Condition{*before} // A new leader has read no measurements yet.
	default:
		condition.Status, condition.Reason, condition.Message = metav1.ConditionUnknown, v1alpha1.ReasonNotMeasured, "No gate has measured a scrape yet"
	}
	return []metav1.Condition{condition}
}

// nearLimit describes the limit that a scrape is near; empty if it is near none.
func nearLimit(monitoring v1alpha1.MonitoringConfig, measurement observation.Measurement, gap int64) (reason, message string) {
	if limit := monitoring.BodySizeLimit; limit != nil && isNear(measurement.ExpositionBytes, limit.Value(), nearBodySizeLimit-gap) {
		return v1alpha1.ReasonNearBodySizeLimit, fmt.Sprintf("has more than %s of spec.monitoring.bodySizeLimit, which is %s. The scraper refuses a larger one, and the metrics of the shard are then missing: "+
			"raise the limit of the scraper and bodySizeLimit, raise the number of shards, or set spec.sharding.auto.targetScrapeBytes to %d or less",
			partOf(measurement.ExpositionBytes, limit.Value(), "three quarters"), limit, threeQuarters(limit))
	}
	if timeout := monitoring.ScrapeTimeout; timeout != nil && isNear(int64(measurement.ScrapeSeconds*float64(time.Second)), int64(timeout.Duration), nearScrapeTimeout-gap) {
		return v1alpha1.ReasonNearScrapeTimeout, fmt.Sprintf("takes more than %s of spec.monitoring.scrapeTimeout, which is %s. A slower scrape fails, and the metrics of the shard are then missing: "+
			"raise scrapeTimeout, raise the number of shards, or give kube-state-metrics more CPU",
			partOf(int64(measurement.ScrapeSeconds*float64(time.Second)), int64(timeout.Duration), "half"), timeout.Duration)
	}
	return "", ""
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
