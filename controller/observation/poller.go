package observation

import (
	"context"
	"fmt"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/example/ksmscale/api/v1alpha1"
)

// foreignInterval is the time between two lists of objects of others. A watch would notice a change sooner. But it would receive all
// changes of a kind in the whole cluster, because a watch cannot be limited to some namespaces or targets.
const foreignInterval = 10 * time.Second

// poller lists objects that the controller does not watch, at an interval. A manager starts it.
type poller[T any] struct {
	// objects names the listed objects in logs.
	objects  string
	interval time.Duration
	// isMidInterval delays the second poll to the middle between two multiples of the interval. Gates count objects at these multiples, so
	// each poll then finds the same round in all of them.
	isMidInterval bool
	clock         clock.WithTicker
	list          func(context.Context) (T, error)
	equal         func(a, b T) bool
	// notify is called after the result has changed.
	notify func()

	mu   sync.Mutex
	last result[T]
}

// result is the result of all polls so far.
type result[T any] struct {
	// Objects is the list of the last poll that succeeded.
	Objects T
	// known reports whether a poll has succeeded.
	known bool
	// err is the error of the last poll; nil if that poll succeeded or there was none.
	err error
}

// Start polls until the context is done. It is part of manager.Runnable.
func (p *poller[T]) Start(ctx context.Context) error {
	if p.isMidInterval {
		p.poll(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-p.clock.After(untilMidInterval(p.clock.Now(), p.interval)):
		}
	}
	ticker := p.clock.NewTicker(p.interval)
	defer ticker.Stop()
	for {
		p.poll(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C():
		}
	}
}

// poll is Poll, and logs its error.
func (p *poller[T]) poll(ctx context.Context) {
	if err := p.Poll(ctx); err != nil && ctx.Err() == nil {
		log.FromContext(ctx).Error(err, "Cannot list objects", "objects", p.objects)
	}
}

// untilMidInterval is the time until the next middle between two multiples of an interval.
func untilMidInterval(now time.Time, interval time.Duration) time.Duration {
	middle := now.Truncate(interval).Add(interval / 2)
	if middle.Before(now) {
		middle = middle.Add(interval)
	}
	return middle.Sub(now)
}

// Poll lists the objects once, and notifies if the result has changed.
func (p *poller[T]) Poll(ctx context.Context) error {
	objects, err := p.list(ctx)
	p.mu.Lock()
	defer p.mu.Unlock()
	before := p.last
	p.last.err = err
	if err == nil {
		p.last.Objects, p.last.known = objects, true
	}
	if before.known != p.last.known || errorText(before.err) != errorText(err) || !p.equal(before.Objects, p.last.Objects) {
		p.notify()
	}
	return err
}

// Latest returns the result of the polls so far. A nil poller has never polled.
func (p *poller[T]) Latest() result[T] {
	if p == nil {
		return result[T]{}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.last
}

// errorText is the text of an error; empty if it is nil.
func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// listInNamespaces lists objects in the namespaces of all KSMScales, and passes on each list with all KSMScales.
func listInNamespaces[List client.ObjectList](ctx context.Context, ksmScales, objects client.Reader, newList func() List, pass func(namespace string, list List, all []v1alpha1.KSMScale)) error {
	var all v1alpha1.KSMScaleList
	if err := ksmScales.List(ctx, &all, client.UnsafeDisableDeepCopy); err != nil {
		return fmt.Errorf("list KSMScales: %w", err)
	}
	namespaces := sets.New[string]()
	for _, ksmScale := range all.Items {
		namespaces.Insert(ksmScale.Spec.Namespace)
	}
	for namespace := range namespaces {
		list := newList()
		// Version 0 reads from the memory of the API server, which is recent enough and cheap.
		fromMemory := &client.ListOptions{Raw: &metav1.ListOptions{ResourceVersion: "0"}}
		if err := objects.List(ctx, list, client.InNamespace(namespace), fromMemory); err != nil {
			return fmt.Errorf("list in namespace %s: %w", namespace, err)
		}
		pass(namespace, list, all.Items)
	}
	return nil
}
