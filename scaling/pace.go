package scaling

import (
	"math"
	"slices"
	"time"

	"github.com/example/ksmscale/api/v1alpha1"
)

// Pace limits how fast replicas follow a plan without a HorizontalPodAutoscaler. It has the behavior of a
// HorizontalPodAutoscaler with its defaults. Create it with NewPace.
type Pace struct {
	up, down rules
	// lower and upper are the bounds of a shard's replicas.
	lower, upper int32
}

// rules are the rules of one direction.
type rules struct {
	// window is how long past recommendations count.
	window time.Duration
	// disabled prevents changes in this direction.
	disabled bool
	// least selects the policy with the smallest change, instead of the largest.
	least     bool
	policies  []v1alpha1.ScalingPolicy
	tolerance float64
}

// The defaults of a HorizontalPodAutoscaler (k8s.io/kubernetes/pkg/apis/autoscaling/v2/defaults.go), except the tolerance,
// which is 0 here.
var (
	defaultUp = rules{policies: []v1alpha1.ScalingPolicy{
		{Type: policyPods, Value: 4, PeriodSeconds: 15}, {Type: policyPercent, Value: 100, PeriodSeconds: 15},
	}}
	defaultDown = rules{window: 300 * time.Second, policies: []v1alpha1.ScalingPolicy{
		{Type: policyPercent, Value: 100, PeriodSeconds: 15},
	}}
)

const (
	policyPods     = "Pods"
	policyPercent  = "Percent"
	selectMin      = "Min"
	selectDisabled = "Disabled"
)

// AutoscalerSyncPeriod is the default time between two decisions of a HorizontalPodAutoscaler
// (--horizontal-pod-autoscaler-sync-period of kube-controller-manager).
const AutoscalerSyncPeriod = 15 * time.Second

// NewPace returns the pace that a spec sets.
func NewPace(spec *v1alpha1.KSMScaleSpec) Pace {
	pace := Pace{up: defaultUp, down: defaultDown}
	pace.lower, pace.upper = ReplicaBounds(spec.Sharding)
	if spec.Autoscaling != nil && spec.Autoscaling.Behavior != nil {
		pace.up = defaultUp.with(spec.Autoscaling.Behavior.ScaleUp)
		pace.down = defaultDown.with(spec.Autoscaling.Behavior.ScaleDown)
	}
	return pace
}

func (r rules) with(set *v1alpha1.ScalingRules) rules {
	if set == nil {
		return r
	}
	if set.StabilizationWindowSeconds != nil {
		r.window = time.Duration(*set.StabilizationWindowSeconds) * time.Second
	}
	if set.SelectPolicy != "" {
		r.disabled, r.least = set.SelectPolicy == selectDisabled, set.SelectPolicy == selectMin
	}
	if len(set.Policies) > 0 {
		r.policies = set.Policies
	}
	if set.Tolerance != nil {
		r.tolerance = set.Tolerance.AsApproximateFloat64()
	}
	return r
}

// ScaleDownWindow returns how long a shard keeps replicas that are no longer desired. It is false if the spec forbids
// scaling down.
func (p Pace) ScaleDownWindow() (window time.Duration, allowed bool) {
	return p.down.window, !p.down.disabled
}

// History is the past recommendations and changes of a shard, as far back as its Pace needs them. It is empty for an
// unknown shard, such as after a restart.
type History struct {
	recommendations []recommendation
	changes         []change
}

// recommendation is a number of desired replicas. The last recommendation is still valid.
type recommendation struct {
	replicas int32
	until    time.Time
}

// change is the difference by which a shard was scaled.
type change struct {
	by int32
	at time.Time
}

// Recommend records the desired replicas of a shard with the current replicas. The first call also records the current
// replicas as desired until now. So without knowledge of the past, no replica is removed within the window.
func (h *History) Recommend(pace Pace, current, desired int32, now time.Time) {
	if pace.Tolerates(current, desired) {
		desired = current
	}
	if len(h.recommendations) == 0 {
		h.recommendations = []recommendation{{replicas: current}}
	}
	last := &h.recommendations[len(h.recommendations)-1]
	if last.replicas != desired {
		last.until = now
		h.recommendations = append(h.recommendations, recommendation{replicas: desired})
	}
	h.forget(pace, now)
}

// Scaled records that a shard was scaled.
func (h *History) Scaled(from, to int32, now time.Time) {
	h.changes = append(h.changes, change{by: to - from, at: now})
}

// forget removes entries that no decision at this pace needs.
func (h *History) forget(pace Pace, now time.Time) {
	window := max(pace.up.window, pace.down.window)
	h.recommendations = slices.DeleteFunc(h.recommendations, func(r recommendation) bool {
		return !r.until.IsZero() && now.Sub(r.until) >= window
	})
	longest := max(pace.up.longestPeriod(), pace.down.longestPeriod())
	h.changes = slices.DeleteFunc(h.changes, func(c change) bool { return now.Sub(c.at) >= longest })
}

func (r rules) longestPeriod() time.Duration {
	var longest time.Duration
	for _, policy := range r.policies {
		longest = max(longest, period(policy))
	}
	return longest
}

func period(policy v1alpha1.ScalingPolicy) time.Duration {
	return time.Duration(policy.PeriodSeconds) * time.Second
}

// defaultTolerance is the tolerance of HorizontalPodAutoscalers if the API server drops the field.
const defaultTolerance = 0.1

// WithDefaultTolerance is the pace for an API server that drops tolerances. HorizontalPodAutoscalers then have their
// default tolerance.
func (p Pace) WithDefaultTolerance() Pace {
	p.up.tolerance, p.down.tolerance = defaultTolerance, defaultTolerance
	return p
}

// Tolerates reports whether a shard keeps its current replicas because the desired replicas are within a tolerance. Bounds
// have no tolerance.
func (p Pace) Tolerates(current, desired int32) bool {
	if current < max(p.lower, 1) || current > p.upper {
		return false
	}
	ratio := float64(desired) / float64(current)
	return 1-p.down.tolerance <= ratio && ratio <= 1+p.up.tolerance
}

// Next is the number of replicas that a shard with the current replicas should have now. It also returns the time after
// which the result may change; 0 if time alone does not change it.
//
// Replicas beyond a bound return within it immediately, like with a HorizontalPodAutoscaler.
func (p Pace) Next(history *History, current int32, now time.Time) (replicas int32, requeueAfter time.Duration) {
	desired := current
	if len(history.recommendations) > 0 {
		desired = history.recommendations[len(history.recommendations)-1].replicas
	}
	stabilized := p.stabilized(history, current, desired, now)
	switch {
	case current > p.upper:
		replicas = p.upper
	case current < p.lower:
		replicas = p.lower
	default:
		replicas = p.limited(history, current, stabilized, now)
	}
	direction, sign := p.up, int32(1)
	if desired < replicas {
		direction, sign = p.down, -1
	}
	switch {
	case replicas == desired || direction.disabled:
		return replicas, 0
	case replicas == stabilized:
		return replicas, direction.nextForgotten(history, replicas, sign, now)
	default:
		return replicas, direction.nextAllowed(history, replicas-current, now)
	}
}

// stabilized is at most the highest recommendation within the window of scaling down, and at least the lowest within the
// window of scaling up.
func (p Pace) stabilized(history *History, current, desired int32, now time.Time) int32 {
	lowest, highest := desired, desired
	for _, past := range history.recommendations {
		ago := now.Sub(past.until)
		if ago < p.up.window {
			lowest = min(lowest, past.replicas)
		}
		if ago < p.down.window {
			highest = max(highest, past.replicas)
		}
	}
	return min(max(current, lowest), highest)
}

// limited is the desired number, limited by the policies.
func (p Pace) limited(history *History, current, desired int32, now time.Time) int32 {
	switch {
	case desired > current:
		return int32(min(int64(desired), max(p.up.limit(history, current, 1, now), int64(current))))
	case desired < current:
		return int32(max(int64(desired), min(p.down.limit(history, current, -1, now), int64(current))))
	default:
		return current
	}
}

// limit is the farthest number that the policies allow. Each policy counts from the replicas at the start of its period.
// The sign is 1 for up and -1 for down.
func (r rules) limit(history *History, current int32, sign int64, now time.Time) int64 {
	if r.disabled {
		return int64(current)
	}
	var limit int64
	for i, policy := range r.policies {
		start := int64(current)
		for _, past := range history.changes {
			if now.Sub(past.at) < period(policy) {
				start -= int64(past.by)
			}
		}
		proposed := start + sign*int64(policy.Value)
		if policy.Type == policyPercent {
			// Rounded like HorizontalPodAutoscalers do, so there is always some change.
			relative := float64(start) * (1 + float64(sign)*float64(policy.Value)/100)
			proposed = int64(math.Floor(relative))
			if sign > 0 {
				proposed = int64(math.Ceil(relative))
			}
		}
		farther := sign*proposed > sign*limit
		if i == 0 || farther != r.least {
			limit = proposed
		}
	}
	return limit
}

// nextForgotten is the time after which the last recommendation expires that keeps a shard at these replicas. The sign is
// the direction.
func (r rules) nextForgotten(history *History, replicas, sign int32, now time.Time) time.Duration {
	var next time.Duration
	for _, past := range history.recommendations {
		if !past.until.IsZero() && sign*past.replicas <= sign*replicas {
			next = max(next, r.window-now.Sub(past.until))
		}
	}
	return next
}

// nextAllowed is the time after which a change no longer counts. by is the change of this moment.
func (r rules) nextAllowed(history *History, by int32, now time.Time) time.Duration {
	var next time.Duration
	for _, policy := range r.policies {
		if by != 0 {
			next = Sooner(next, period(policy))
		}
		for _, past := range history.changes {
			next = Sooner(next, period(policy)-now.Sub(past.at))
		}
	}
	return next
}

// Sooner is the earlier of two times; 0 or less stands for no time.
func Sooner(a, b time.Duration) time.Duration {
	if a <= 0 || b > 0 && b < a {
		return b
	}
	return a
}
