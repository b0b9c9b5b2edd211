package scaling_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"k8s.io/apimachinery/pkg/api/resource"
	"pgregory.net/rapid"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/scaling"
)

// scaled is a shard that is scaled at a pace, at times in seconds.
type scaled struct {
	pace    scaling.Pace
	history scaling.History
	current int32
}

// at scales a shard to its desired replicas at that second. It returns its replicas, and the time after which they may
// change.
func (s *scaled) at(second int, desired int32) (int32, time.Duration) {
	now := time.Unix(int64(second), 0)
	s.history.Recommend(s.pace, s.current, desired, now)
	next, requeueAfter := s.pace.Next(&s.history, s.current, now)
	if next != s.current {
		s.history.Scaled(s.current, next, now)
		s.current = next
	}
	return next, requeueAfter
}

func newScaled(current int32, up, down *v1alpha1.ScalingRules, overrides ...func(*v1alpha1.KSMScaleSpec)) *scaled {
	overrides = append(overrides, func(s *v1alpha1.KSMScaleSpec) {
		s.Autoscaling = &v1alpha1.AutoscalingConfig{Behavior: &v1alpha1.ScalingBehavior{ScaleUp: up, ScaleDown: down}}
	})
	return &scaled{pace: scaling.NewPace(&ksmScale(overrides...).Spec), current: current}
}

func window(seconds int32) *v1alpha1.ScalingRules {
	return &v1alpha1.ScalingRules{StabilizationWindowSeconds: &seconds}
}

func policies(selected string, set ...v1alpha1.ScalingPolicy) *v1alpha1.ScalingRules {
	return &v1alpha1.ScalingRules{StabilizationWindowSeconds: new(int32(0)), SelectPolicy: selected, Policies: set}
}

// step is the desired number at a second, the expected replicas, and the seconds after which they may change.
type step struct {
	second       int
	desired      int32
	replicas     int32
	requeueAfter int
}

func TestPace(t *testing.T) {
	onePod := v1alpha1.ScalingPolicy{Type: "Pods", Value: 1, PeriodSeconds: 60}
	tenth := v1alpha1.ScalingPolicy{Type: "Percent", Value: 10, PeriodSeconds: 60}
	for _, test := range []struct {
		name     string
		current  int32
		up, down *v1alpha1.ScalingRules
		override func(*v1alpha1.KSMScaleSpec)
		steps    []step
	}{
		{name: "up at once, by four pods or to the double, each 15 s", current: 1, steps: []step{
			{0, 30, 5, 15}, {1, 30, 5, 14}, {15, 30, 10, 15}, {30, 30, 20, 15}, {45, 30, 30, 0}, {46, 31, 31, 0},
		}},
		{name: "what was added within the period counts", current: 3, steps: []step{
			{0, 5, 5, 0}, {5, 20, 7, 10}, {15, 20, 10, 5}, {20, 20, 14, 10},
		}},
		{name: "down after the window", current: 5, steps: []step{
			{0, 5, 5, 0}, {100, 3, 3 + 2, 300}, {399, 3, 5, 1}, {400, 3, 3, 0},
		}},
		{name: "down no farther than any recommendation within the window", current: 5, steps: []step{
			{0, 5, 5, 0}, {100, 2, 5, 300}, {200, 4, 5, 200}, {300, 1, 5, 100}, {400, 1, 4, 200}, {600, 1, 1, 0},
		}},
		{name: "down only once the lower number has been desired for the whole window, however long the higher was", current: 5, steps: []step{
			{0, 5, 5, 0}, {5000, 4, 5, 300}, {5100, 5, 5, 0}, {5200, 4, 5, 300}, {5300, 4, 5, 200}, {5500, 4, 4, 0},
		}},
		{name: "not down after a restart until a whole window has passed", current: 5, steps: []step{
			{0, 2, 5, 300}, {299, 2, 5, 1}, {300, 2, 2, 0},
		}},
		{name: "up after a restart at once", current: 2, steps: []step{{0, 3, 3, 0}}},
		{name: "up after a window, if there is one", current: 2, up: window(60), steps: []step{
			{0, 4, 2, 60}, {30, 3, 2, 30}, {60, 3, 3, 0}, {61, 5, 3, 60}, {121, 5, 5, 0},
		}},
		{name: "the policy that allows more decides", current: 30, down: policies("Max", onePod, tenth), steps: []step{
			{0, 30, 30, 0}, {1, 10, 27, 60}, {61, 10, 24, 60},
		}},
		{name: "or the one that allows less", current: 30, down: policies("Min", onePod, tenth), steps: []step{
			{0, 30, 30, 0}, {1, 10, 29, 60}, {60, 10, 29, 1}, {61, 10, 28, 60},
		}},
		{name: "disabled", current: 5, up: policies("Disabled"), steps: []step{{0, 9, 5, 0}, {400, 2, 5, 300}, {700, 2, 2, 0}}},
		{name: "percents of few replicas are one at least", current: 2, up: policies("Max", tenth), down: policies("Max", tenth), steps: []step{
			{0, 2, 2, 0}, {1, 4, 3, 60}, {61, 1, 2, 60},
		}},
		{name: "a tolerance", current: 10, up: &v1alpha1.ScalingRules{Tolerance: new(resource.MustParse("0.1"))}, down: window(0), steps: []step{
			{0, 11, 10, 0}, {1, 12, 12, 0}, {2, 11, 11, 0},
		}},
		{name: "beyond a bound, within it at once", current: 9,
			override: func(s *v1alpha1.KSMScaleSpec) { s.Sharding.MinReplicasPerShard, s.Sharding.MaxReplicasPerShard = 3, 5 },
			steps:    []step{{0, 5, 5, 0}}},
		{name: "scaled to none by hand", current: 0, steps: []step{{0, 1, 1, 0}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			override := func(*v1alpha1.KSMScaleSpec) {}
			if test.override != nil {
				override = test.override
			}
			shard := newScaled(test.current, test.up, test.down, override)
			for _, current := range test.steps {
				next, requeueAfter := shard.at(current.second, current.desired)
				assert.Equal(t, current.replicas, next, "at %d s", current.second)
				assert.Equal(t, time.Duration(current.requeueAfter)*time.Second, requeueAfter, "at %d s", current.second)
			}
		})
	}
}

// drawRules draws any rules that the API server accepts. Times are short, so they matter.
func drawRules(t *rapid.T, name string) *v1alpha1.ScalingRules {
	rules := &v1alpha1.ScalingRules{
		StabilizationWindowSeconds: new(rapid.Int32Range(0, 100).Draw(t, name+" window")),
		SelectPolicy:               rapid.SampledFrom([]string{"Max", "Min"}).Draw(t, name+" selected"),
	}
	for range rapid.IntRange(0, 3).Draw(t, name+" policies") {
		rules.Policies = append(rules.Policies, v1alpha1.ScalingPolicy{
			Type:          rapid.SampledFrom([]string{"Pods", "Percent"}).Draw(t, "type"),
			Value:         rapid.Int32Range(1, 200).Draw(t, "value"),
			PeriodSeconds: rapid.Int32Range(1, 100).Draw(t, "period"),
		})
	}
	return rules
}

func TestPaceLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		shard := newScaled(rapid.Int32Range(1, 50).Draw(t, "current"), drawRules(t, "up"), drawRules(t, "down"))
		second, desired := 0, shard.current
		for range rapid.IntRange(1, 20).Draw(t, "steps") {
			second += rapid.IntRange(0, 60).Draw(t, "pause")
			desired = rapid.Int32Range(1, 50).Draw(t, "desired")
			before := shard.current
			after, _ := shard.at(second, desired)
			assert.LessOrEqual(t, after, max(before, desired), "not above the current and the desired number")
			assert.GreaterOrEqual(t, after, min(before, desired), "not below the current and the desired number")
		}
		// After any history, a caller that looks again at each requested time reaches the desired number.
		for looks := 0; shard.current != desired; looks++ {
			_, requeueAfter := shard.at(second, desired)
			if shard.current != desired && !assert.Positive(t, requeueAfter, "the replicas still change") {
				return
			}
			second += int(requeueAfter / time.Second)
			if !assert.Less(t, looks, 1000) {
				return
			}
		}
	})
}

// Within the window of scaling down, a shard never falls below an earlier desired number that it had reached.
func TestNoReplicaIsRemovedWithinTheWindow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		shard := newScaled(10, nil, window(100))
		var desired [400]int32
		number := int32(10)
		for second := range desired {
			if rapid.IntRange(0, 20).Draw(t, "change") == 0 {
				number = rapid.Int32Range(1, 10).Draw(t, "desired")
			}
			desired[second] = number
			before := shard.current
			after, _ := shard.at(second, number)
			if after >= before {
				continue
			}
			for past := max(0, second-99); past < second; past++ {
				assert.GreaterOrEqual(t, after, desired[past], "at %d s, as was desired at %d s", second, past)
			}
			assert.GreaterOrEqual(t, second, 100, "the first window after a restart")
		}
	})
}
