package scaling

import (
	"math"
	"slices"
	"time"

	"github.com/example/ksmscale/api/v1alpha1"
)

// Pace is how fast replicas may follow a plan: the behavior of a HorizontalPodAutoscaler, with its defaults filled in,
// for who scales without one. Create it with NewPace.
type Pace struct {
	up, down rules
	// lower and upper are the bounds of a shard's replicas.
	lower, upper int32
}

// rules are those of one direction.
type rules struct {
	// window is for how long past recommendations count.
	window time.Duration
	// disabled keeps replicas from changing in this direction.
	disabled bool
	// least has the policy that allows the least change decide, rather than the one that allows the most.
	least     bool
	policies  []v1alpha1.ScalingPolicy
	tolerance float64
}

// The defaults of a HorizontalPodAutoscaler (k8s.io/kubernetes/pkg/apis/autoscaling/v2/defaults.go), but for the
// tolerance, which is 0 here.
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

// History is what was recommended for a shard, and how it was scaled, as far back as its Pace looks. An empty one is
// that of a shard that nothing is known of, such as after a restart.
type History struct {
	recommendations []recommendation
	changes         []change
}

// recommendation is a number of replicas that was wanted; the last one still is.
type recommendation struct {
	replicas int32
	until    time.Time
}

// change is by how many replicas a shard was scaled.
type change struct {
	by int32
	at time.Time
}

// Recommend notes how many replicas are wanted of a shard that has the current ones. The first time it notes the
// current ones as well, as wanted until now: who knows nothing of the past removes no replica within the window.
func (h *History) Recommend(pace Pace, current, wanted int32, now time.Time) {
	if pace.Tolerates(current, wanted) {
		wanted = current
	}
	if len(h.recommendations) == 0 {
		h.recommendations = []recommendation{{replicas: current}}
	}
	last := &h.recommendations[len(h.recommendations)-1]
	if last.replicas != wanted {
		last.until = now
		h.recommendations = append(h.recommendations, recommendation{replicas: wanted})
	}
	h.forget(pace, now)
}

// Scaled notes that a shard was scaled.
func (h *History) Scaled(from, to int32, now time.Time) {
	h.changes = append(h.changes, change{by: to - from, at: now})
}

// forget drops what no decision at this pace looks at any more.
func (h *History) forget(pace Pace, now time.Time) {
	window := max(pace.up.window, pace.down.window)
	h.recommendations = slices.DeleteFunc(h.recommendations, func(r recommendation) bool {
		return !r.until.IsZero() && now.Sub(r.until) >= window
	})
	period := max(pace.up.longestPeriod(), pace.down.longestPeriod())
	h.changes = slices.DeleteFunc(h.changes, func(c change) bool { return now.Sub(c.at) >= period })
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

// defaultTolerance is that of HorizontalPodAutoscalers whose own is not kept by the API server.
const defaultTolerance = 0.1

// WithDefaultTolerance is the pace where the API server drops tolerances: then HorizontalPodAutoscalers have their
// default, whatever is set.
func (p Pace) WithDefaultTolerance() Pace {
	p.up.tolerance, p.down.tolerance = defaultTolerance, defaultTolerance
	return p
}

// Tolerates tells whether a shard with the current replicas keeps them, though others are wanted: the difference is
// within a tolerance. Bounds are not tolerant.
func (p Pace) Tolerates(current, wanted int32) bool {
	if current < max(p.lower, 1) || current > p.upper {
		return false
	}
	ratio := float64(wanted) / float64(current)
	return 1-p.down.tolerance <= ratio && ratio <= 1+p.up.tolerance
}

// Next is the number of replicas that a shard with the current ones should have now, given what is noted in its
// history, and after how long there is more to do; 0 if time alone changes nothing.
//
// As with a HorizontalPodAutoscaler, replicas beyond a bound are brought within it at once.
func (p Pace) Next(history *History, current int32, now time.Time) (replicas int32, again time.Duration) {
	wanted := current
	if len(history.recommendations) > 0 {
		wanted = history.recommendations[len(history.recommendations)-1].replicas
	}
	stabilized := p.stabilized(history, current, wanted, now)
	switch {
	case current > p.upper:
		replicas = p.upper
	case current < p.lower:
		replicas = p.lower
	default:
		replicas = p.limited(history, current, stabilized, now)
	}
	direction, sign := p.up, int32(1)
	if wanted < replicas {
		direction, sign = p.down, -1
	}
	switch {
	case replicas == wanted || direction.disabled:
		return replicas, 0
	case replicas == stabilized:
		return replicas, direction.nextForgotten(history, replicas, sign, now)
	default:
		return replicas, direction.nextAllowed(history, replicas-current, now)
	}
}

// stabilized is no more than anything recommended within the window of scaling down, and no less than anything
// recommended within that of scaling up.
func (p Pace) stabilized(history *History, current, wanted int32, now time.Time) int32 {
	lowest, highest := wanted, wanted
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

// limited is wanted as far as the policies allow.
func (p Pace) limited(history *History, current, wanted int32, now time.Time) int32 {
	switch {
	case wanted > current:
		return int32(min(int64(wanted), max(p.up.limit(history, current, 1, now), int64(current))))
	case wanted < current:
		return int32(max(int64(wanted), min(p.down.limit(history, current, -1, now), int64(current))))
	default:
		return current
	}
}

// limit is how far the policies allow to go, given how many replicas there were at the start of each policy's period.
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
			// Rounded as HorizontalPodAutoscalers do, so that there is always some change.
			share := float64(start) * (1 + float64(sign)*float64(policy.Value)/100)
			proposed = int64(math.Floor(share))
			if sign > 0 {
				proposed = int64(math.Ceil(share))
			}
		}
		farther := sign*proposed > sign*limit
		if i == 0 || farther != r.least {
			limit = proposed
		}
	}
	return limit
}

// nextForgotten is after how long the last recommendation ceases to count that keeps a shard at these replicas, with
// the sign of the direction.
func (r rules) nextForgotten(history *History, replicas, sign int32, now time.Time) time.Duration {
	var next time.Duration
	for _, past := range history.recommendations {
		if !past.until.IsZero() && sign*past.replicas <= sign*replicas {
			next = max(next, r.window-now.Sub(past.until))
		}
	}
	return next
}

// nextAllowed is after how long a change ceases to count, when a shard has been scaled by that much at this moment.
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

// Sooner is the sooner of two times that are to come; 0 or less is none.
func Sooner(a, b time.Duration) time.Duration {
	if a <= 0 || b > 0 && b < a {
		return b
	}
	return a
}
