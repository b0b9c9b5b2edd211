package gate

import (
	"time"

	"k8s.io/apimachinery/pkg/util/sets"

	"github.com/example/ksmscale/gate/apiserver"
	"github.com/example/ksmscale/gate/exposition"
)

const (
	// retryMin and retryMax limit the pause after a failed list. The pause doubles after each failure.
	retryMin, retryMax = time.Second, 30 * time.Second
	// relistMin and relistMax limit the pause between two lists of the same objects. The pause doubles while
	// kube-state-metrics exposes no new object of them.
	relistMin, relistMax = time.Second, time.Minute
	// unseenRelistMin is the least pause while kube-state-metrics exposes none of the objects. It has probably not listed
	// them yet, so another list would not help.
	unseenRelistMin = 5 * time.Second
	// relistFactor is the pause after a list, as a multiple of the list's duration. unseenRelistFactor applies while none
	// of the objects are exposed. Each gate that starts lists the cluster.
	relistFactor, unseenRelistFactor = 2, 10
	// nothingRelistPause is the pause while kube-state-metrics exposes no object at all.
	nothingRelistPause = 5 * time.Minute
)

// listing is one list of a resource, in one namespace or in all. It records which of its objects kube-state-metrics has
// not exposed yet.
type listing struct {
	exposition.Resource
	namespace string

	// listed is whether a list has ever succeeded, ended the end of the last attempt, and took the duration of the last
	// list.
	listed bool
	ended  time.Time
	took   time.Duration
	// err is the error of the last attempt, and failures the number of failures in a row.
	err      error
	failures int
	// relists is the number of repeated lists since kube-state-metrics last exposed a new object.
	relists int

	// missing are the objects of the own shard that the gate has not seen yet. others belong to other shards.
	missing, others sets.Set[exposition.Object]
	// seen is whether the gate has ever seen an object, and stalled whether the last look found no new object.
	seen, stalled bool
	// suspects are objects of other shards that the last look found. relisted are the suspects that still belonged to
	// other shards in a list after that look. foreign are the relisted objects that the next look found again.
	suspects, relisted, foreign sets.Set[exposition.Object]
}

// needsLook reports whether to look for its objects in the metrics. After a failed list, they show whether
// kube-state-metrics exposes any object.
func (l *listing) needsLook() bool {
	return l.missing.Len() > 0 || l.suspects.Len() > 0 || l.err != nil && !l.isUnlistable()
}

// isUnlistable reports whether the API server refuses the list to the service account, or does not have the resource.
// kube-state-metrics cannot list it either.
func (l *listing) isUnlistable() bool {
	return apiserver.IsRefused(l.err)
}

// isDue reports whether to list, or to list again. Missing objects may have been deleted before kube-state-metrics listed
// them. An object of another shard may have been created again with a UID of this shard. exposes is whether
// kube-state-metrics exposes any object.
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

// doubled is a pause that doubles a number of times, up to a bound. A pause above the bound stays the same.
func doubled(pause time.Duration, times int, bound time.Duration) time.Duration {
	for ; times > 0 && pause < bound; times-- {
		pause = min(2*pause, bound)
	}
	return pause
}

// fail records a failed attempt to list. Objects of an earlier list stay.
func (l *listing) fail(err error, ended time.Time) {
	l.err, l.ended = err, ended
	l.failures++
}

// succeed records the objects of a list. Objects that the gate has seen before stay seen.
func (l *listing) succeed(objects apiserver.Listed, began, ended time.Time) {
	if l.listed {
		objects.Own = l.missing.Intersection(objects.Own)
		l.relisted = l.suspects.Intersection(objects.Others)
		l.relists++
	}
	l.missing, l.others = objects.Own, objects.Others
	l.listed, l.ended, l.took = true, ended, ended.Sub(began)
	l.err, l.failures = nil, 0
}

// look begins a look at the metrics. The caller calls seen with each object, and then ended.
func (l *listing) look() (seen func(exposition.Object), ended func()) {
	before, exposedOthers := l.missing.Len(), sets.New[exposition.Object]()
	seen = func(one exposition.Object) {
		l.seen = true
		l.missing.Delete(one)
		if l.others.Has(one) {
			exposedOthers.Insert(one)
		}
	}
	return seen, func() {
		l.stalled = l.missing.Len() == before
		if !l.stalled {
			l.relists = 0
		}
		l.suspects, l.foreign = exposedOthers, exposedOthers.Intersection(l.relisted)
	}
}
