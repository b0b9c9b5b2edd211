package audit

import (
	"context"
	"fmt"
	"maps"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	listers "k8s.io/client-go/listers/core/v1"
)

// Watch returns the targets of the options, and the targets of Also.
func Watch(ctx context.Context, client kubernetes.Interface, options Options) (Targets, error) {
	selector, err := labels.Parse(options.Selector)
	if err != nil {
		return nil, fmt.Errorf("parse selector of targets: %w", err)
	}
	factory := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithNamespace(options.Namespace))
	var list Targets
	if options.Pods {
		list = readyPods{factory.Core().V1().Pods().Lister(), selector, options.PartitionLabel}
	} else {
		list = services{factory.Core().V1().Services().Lister(), selector, options.PartitionLabel}
	}
	if err := startAll(ctx, factory); err != nil || options.Also == nil {
		return list, err
	}
	others, err := Watch(ctx, client, *options.Also)
	return both{list, others}, err
}

// services lists Services, like Prometheus' discovery with the role "service". The value of the label is their partition.
type services struct {
	lister   listers.ServiceLister
	selector labels.Selector
	label    string
}

func (s services) List() (map[string]string, error) {
	list, err := s.lister.List(s.selector)
	targets := map[string]string{}
	for _, service := range list {
		if ip := service.Spec.ClusterIP; ip != "" && ip != corev1.ClusterIPNone {
			targets[address(ip)] = service.Labels[s.label]
		}
	}
	return targets, err
}

// readyPods lists ready pods, like Prometheus' discovery behind a headless Service. The value of the label is their
// partition.
type readyPods struct {
	lister   listers.PodLister
	selector labels.Selector
	label    string
}

func (p readyPods) List() (map[string]string, error) {
	list, err := p.lister.List(p.selector)
	targets := map[string]string{}
	for _, pod := range list {
		if isReady(pod) {
			targets[address(pod.Status.PodIP)] = pod.Labels[p.label]
		}
	}
	return targets, err
}

// both lists the targets of both, whose partitions are never the same ones.
type both [2]Targets

func (b both) List() (map[string]string, error) {
	first, err := b[0].List()
	if err != nil {
		return nil, err
	}
	second, err := b[1].List()
	all := make(map[string]string, len(first)+len(second))
	maps.Copy(all, first)
	for target, partition := range second {
		all[target] = "also " + partition
	}
	return all, err
}

func startAll(ctx context.Context, factory informers.SharedInformerFactory) error {
	factory.Start(ctx.Done())
	for kind, synced := range factory.WaitForCacheSync(ctx.Done()) {
		if !synced {
			return fmt.Errorf("watch %s: %w", kind, ctx.Err())
		}
	}
	return nil
}
