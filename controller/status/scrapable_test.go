package status

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/controller/fixtures"
	"github.com/example/ksmscale/controller/observation"
)

func TestScrapable(t *testing.T) {
	limited := func(w *world) { w.ksmScale.Spec.Monitoring.BodySizeLimit = new(resource.MustParse("100M")) }
	timed := func(w *world) {
		w.ksmScale.Spec.Monitoring.ScrapeTimeout = &metav1.Duration{Duration: 10 * time.Second}
	}
	measured := func(id int32, bytes int64, seconds float64) func(*world) {
		return func(w *world) {
			if w.observed.Measurements == nil {
				w.observed.Measurements = map[v1alpha1.Shard]observation.Measurement{fixtures.Shard(0): {}, fixtures.Shard(1): {}, fixtures.Shard(2): {}}
			}
			w.observed.Measurements[fixtures.Shard(id)] = observation.Measurement{ExpositionBytes: bytes, ScrapeSeconds: seconds}
		}
	}
	unmeasured := func(id int32) func(*world) {
		return func(w *world) { delete(w.observed.Measurements, fixtures.Shard(id)) }
	}
	readyFor := func(duration time.Duration) func(*world) {
		return func(w *world) {
			for i := range w.observed.Pods {
				for j := range w.observed.Pods[i].Status.Conditions {
					w.observed.Pods[i].Status.Conditions[j].LastTransitionTime = metav1.NewTime(fixtures.Time.Add(-duration))
				}
			}
		}
	}
	before := func(status metav1.ConditionStatus, reason string) func(*world) {
		return func(w *world) {
			w.ksmScale.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionScrapable, Status: status, Reason: reason}}
		}
	}
	noMeasurement := func(w *world) { w.observed.Measurements = map[v1alpha1.Shard]observation.Measurement{} }
	for _, test := range []struct {
		name                    string
		overrides               []func(*world)
		status, reason, message string
	}{
		{"not measured", []func(*world){limited}, "Unknown", v1alpha1.ReasonNotMeasured, "No gate"},
		{"not measured by this leader", []func(*world){limited, before(metav1.ConditionTrue, "Before")}, "True", "Before", ""},
		{"no shard is measured any more", []func(*world){limited, before(metav1.ConditionTrue, "Before"), noMeasurement, readyFor(time.Hour)}, "Unknown", v1alpha1.ReasonNotMeasured, "There is no measurement of shard 0 of 3"},
		{"small and quick", []func(*world){limited, timed, measured(0, 75e6, 5)}, "True", v1alpha1.ReasonWithinLimits, ""},
		{"one shard is too large to be measured", []func(*world){limited, measured(0, 1, 1), unmeasured(1), readyFor(time.Hour)}, "Unknown", v1alpha1.ReasonNotMeasured, "There is no measurement of shard 1 of 3"},
		{"the pods of one shard are new", []func(*world){limited, measured(0, 1, 1), unmeasured(1), readyFor(time.Minute)}, "True", v1alpha1.ReasonWithinLimits, ""},
		{"near the size", []func(*world){limited, timed, measured(0, 1, 1), measured(1, 76e6, 5)}, "False", v1alpha1.ReasonNearBodySizeLimit, "shard 1 of 3 has more than three quarters of spec.monitoring.bodySizeLimit, which is 100M"},
		{"above the size", []func(*world){limited, measured(0, 101e6, 1)}, "False", v1alpha1.ReasonNearBodySizeLimit, "has more than the whole"},
		{"what to do", []func(*world){limited, measured(0, 101e6, 1)}, "False", v1alpha1.ReasonNearBodySizeLimit, "targetScrapeBytes to 75000000 or less"},
		{"near the timeout", []func(*world){limited, timed, measured(0, 1, 5.1)}, "False", v1alpha1.ReasonNearScrapeTimeout, "shard 0 of 3 takes more than half of spec.monitoring.scrapeTimeout, which is 10s"},
		{"slow without a timeout", []func(*world){limited, measured(0, 1, 60)}, "True", v1alpha1.ReasonWithinLimits, ""},
		{"still near", []func(*world){limited, measured(0, 71e6, 1), before(metav1.ConditionFalse, v1alpha1.ReasonNearBodySizeLimit)}, "False", v1alpha1.ReasonNearBodySizeLimit, ""},
		{"no longer near", []func(*world){limited, measured(0, 69e6, 1), before(metav1.ConditionFalse, v1alpha1.ReasonNearBodySizeLimit)}, "True", v1alpha1.ReasonWithinLimits, ""},
		{"was near another limit", []func(*world){limited, timed, measured(0, 1, 4.6), before(metav1.ConditionFalse, v1alpha1.ReasonNearBodySizeLimit)}, "True", v1alpha1.ReasonWithinLimits, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			computed := newWorld(test.overrides...).status()
			condition := meta.FindStatusCondition(computed.Conditions, v1alpha1.ConditionScrapable)
			require.NotNil(t, condition)
			assert.Equal(t, test.status+" "+test.reason, string(condition.Status)+" "+condition.Reason)
			assert.Contains(t, condition.Message, test.message)
			assert.Equal(t, metav1.ConditionTrue, meta.FindStatusCondition(computed.Conditions, v1alpha1.ConditionReady).Status, "it is a warning")
		})
	}
	withoutLimits := newWorld(measured(0, 1e12, 600)).status()
	assert.Nil(t, meta.FindStatusCondition(withoutLimits.Conditions, v1alpha1.ConditionScrapable))
}
