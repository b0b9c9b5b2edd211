package gate

import (
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/sets"
)

const (
	// retryMin and retryMax bound the pause after a list that failed, which doubles from one to the next.
	retryMin, retryMax = time.Second, 30 * time.Second
	// relistMin and relistMax bound the pause between two lists of the same objects, which doubles while kube-state-metrics
	// exposes nothing new of them.
	relistMin, relistMax = time.Second, time.Minute
	// unseenRelistMin is the least pause where kube-state-metrics exposes none of the objects: most likely it has not listed
	// them yet, so that a new list brings nothing.
	unseenRelistMin = 5 * time.Second
	// relistFactor is how many times as long as a list the pause after it is, and unseenRelistFactor where none of the objects
	// are exposed. Each gate that starts lists the cluster.
	relistFactor, unseenRelistFactor = 2, 10
	// nothingRelistPause is the pause while kube-state-metrics exposes no object at all.
	nothingRelistPause = 5 * time.Minute
)

// listing is one list of a resource: in one namespace, or in all. It knows what of it kube-state-metrics has yet to expose.
type listing struct {
	resource
	namespace string

	// listed is whether the API server has ever listed it, ended when the last try ended, and took how long the last list took.
	listed bool
	ended  time.Time
	took   time.Duration
	// err is why the last try failed, if so, and failures how many did in a row.
	err      error
	failures int
	// relists is how often it was listed again since kube-state-metrics last exposed something new of it.
	relists int

	// missing are the objects of the own share that have not been seen exposed. others belong to other shards.
	missing, others sets.Set[object]
	// seen is whether any object was ever seen exposed, and stalled whether the last look brought nothing new.
	seen, stalled bool
	// suspects are the others that were exposed at the last look. relisted are those of them that still belong to other shards by
	// a list after that look, and foreign those of these that the next look has found exposed again.
	suspects, relisted, foreign sets.Set[object]
}

// isWanted tells whether to look for its objects in what is exposed. Those of a list that fails show whether kube-state-metrics
// exposes anything.
func (l *listing) isWanted() bool {
	return l.missing.Len() > 0 || l.suspects.Len() > 0 || l.err != nil && !l.isUnlistable()
}

// isUnlistable tells whether the API server does not let the service account list it, or does not have it. kube-state-metrics
// cannot list it either.
func (l *listing) isUnlistable() bool {
	return apierrors.IsForbidden(l.err) || apierrors.IsNotFound(l.err)
}

// isDue tells whether to list, or to list again: what is missing may have been deleted before kube-state-metrics could list it,
// and an object of another shard may have been created again, with a UID that belongs to this one. exposes is whether
// kube-state-metrics exposes anything.
func (l *listing) isDue(now time.Time, exposes bool) bool {
	switch {
	case l.err != nil:
		return now.Sub(l.ended) >= doubled(retryMin, l.failures-1, retryMax)
	case !l.listed:
		return true
	case l.suspects.Len() > 0 || l.missing.Len() > 0 && l.stalled:
		return now.Sub(l.ended) >= l.relistPause(exposes)
	default:
		return false
	}
}

func (l *listing) relistPause(exposes bool) time.Duration {
	switch {
	case !exposes:
		return nothingRelistPause
	case !l.seen:
		return doubled(max(unseenRelistMin, unseenRelistFactor*l.took), l.relists, relistMax)
	default:
		return doubled(max(relistMin, relistFactor*l.took), l.relists, relistMax)
	}
}

// doubled is a pause that doubles a number of times, up to a bound; or the pause itself if that is above the bound.
func doubled(pause time.Duration, times int, bound time.Duration) time.Duration {
	for ; times > 0 && pause < bound; times-- {
		pause = min(2*pause, bound)
	}
	return pause
}

// fail records that a try to list has failed. What an earlier one had stays.
func (l *listing) fail(err error, ended time.Time) {
	l.err, l.ended = err, ended
	l.failures++
}

// succeed records what a list has. What was seen exposed before stays so.
func (l *listing) succeed(objects listed, began, ended time.Time) {
	if l.listed {
		objects.own = l.missing.Intersection(objects.own)
		l.relisted = l.suspects.Intersection(objects.others)
		l.relists++
	}
	l.missing, l.others = objects.own, objects.others
	l.listed, l.ended, l.took = true, ended, ended.Sub(began)
	l.err, l.failures = nil, 0
}

// look begins a look at what is exposed, for which seen is to be called with each object, and ended once it is over.
func (l *listing) look() (seen func(object), ended func()) {
	before, exposed := l.missing.Len(), sets.New[object]()
	seen = func(one object) {
		l.seen = true
		l.missing.Delete(one)
		if l.others.Has(one) {
			exposed.Insert(one)
		}
	}
	return seen, func() {
		l.stalled = l.missing.Len() == before
		if !l.stalled {
			l.relists = 0
		}
		l.suspects, l.foreign = exposed, exposed.Intersection(l.relisted)
	}
}
