package audit

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	listers "k8s.io/client-go/listers/core/v1"
)

// services lists Services, as Prometheus discovers them with the role "service".
type services struct {
	lister listers.ServiceLister
	label  string
}

// WatchServices returns Services as targets; the value of the label is their partition.
func WatchServices(ctx context.Context, client kubernetes.Interface, namespace, label string) (Targets, error) {
	factory := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithNamespace(namespace))
	lister := factory.Core().V1().Services().Lister()
	return services{lister, label}, startAll(ctx, factory)
}

func (s services) List(namespace string, selector labels.Selector) (map[string]string, error) {
	list, err := s.lister.Services(namespace).List(selector)
	targets := map[string]string{}
	for _, service := range list {
		if ip := service.Spec.ClusterIP; ip != "" && ip != corev1.ClusterIPNone {
			targets[address(ip)] = service.Labels[s.label]
		}
	}
	return targets, err
}

// readyPods lists ready pods, as Prometheus discovers them behind a headless Service.
type readyPods struct {
	lister listers.PodLister
	label  string
}

// WatchPods returns ready pods as targets; the value of the label is their partition.
func WatchPods(ctx context.Context, client kubernetes.Interface, namespace, label string) (Targets, error) {
	factory := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithNamespace(namespace))
	lister := factory.Core().V1().Pods().Lister()
	return readyPods{lister, label}, startAll(ctx, factory)
}

func (p readyPods) List(namespace string, selector labels.Selector) (map[string]string, error) {
	list, err := p.lister.Pods(namespace).List(selector)
	targets := map[string]string{}
	for _, pod := range list {
		if isReady(pod) {
			targets[address(pod.Status.PodIP)] = pod.Labels[p.label]
		}
	}
	return targets, err
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
