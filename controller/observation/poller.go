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

// ForeignInterval is the time between looks for objects of others. A watch would notice sooner, but covers all objects of a kind in
// the cluster, and each of them changes all the time: a watch cannot be limited to some namespaces, or targets.
const ForeignInterval = 10 * time.Second

// poller looks again and again for objects that the controller does not watch. A manager starts it.
type poller[T any] struct {
	// objects names what it looks for in logs.
	objects  string
	interval time.Duration
	clock    clock.WithTicker
	find     func(context.Context) (T, error)
	equal    func(a, b T) bool
	// notify is called after the outcome has changed.
	notify func()

	mu   sync.Mutex
	last result[T]
}

// result is the outcome of the looks so far.
type result[T any] struct {
	// Found is the result of the last look that succeeded.
	Found T
	// known tells whether a look has succeeded.
	known bool
	// err is the error of the last look, nil if that succeeded or nobody has looked.
	err error
}

// Start looks until the context is done. It is part of manager.Runnable.
func (p *poller[T]) Start(ctx context.Context) error {
	ticker := p.clock.NewTicker(p.interval)
	defer ticker.Stop()
	for {
		if err := p.Poll(ctx); err != nil && ctx.Err() == nil {
			log.FromContext(ctx).Error(err, "Cannot look for "+p.objects)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C():
		}
	}
}

// Poll looks once, and announces a change of the outcome.
func (p *poller[T]) Poll(ctx context.Context) error {
	found, err := p.find(ctx)
	p.mu.Lock()
	defer p.mu.Unlock()
	before := p.last
	p.last.err = err
	if err == nil {
		p.last.Found, p.last.known = found, true
	}
	if before.known != p.last.known || errorText(before.err) != errorText(err) || !p.equal(before.Found, p.last.Found) {
		p.notify()
	}
	return err
}

// Latest returns the outcome of the looks so far; a nil poller has not looked.
func (p *poller[T]) Latest() result[T] {
	if p == nil {
		return result[T]{}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.last
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// listInNamespaces lists objects in the namespaces of all KSMScales, and passes each list with the KSMScales on.
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
		// What the API server has in memory is new enough, and costs it next to nothing.
		fromMemory := &client.ListOptions{Raw: &metav1.ListOptions{ResourceVersion: "0"}}
		if err := objects.List(ctx, list, client.InNamespace(namespace), fromMemory); err != nil {
			return fmt.Errorf("list in namespace %s: %w", namespace, err)
		}
		pass(namespace, list, all.Items)
	}
	return nil
}
