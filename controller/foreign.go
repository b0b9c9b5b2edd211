package controller

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/example/ksmscale/api/v1alpha1"
)

// foreignInterval is the time between looks for others' HorizontalPodAutoscalers. A watch would tell sooner, but of all
// those in the cluster, each of which changes all the time: one cannot watch those of some namespaces, or targets.
const foreignInterval = 10 * time.Second

// ForeignAutoscalers looks for HorizontalPodAutoscalers that others have made for shards' Deployments. Such of KEDA's
// ScaledObjects are among them. Create it with NewForeignAutoscalers, and have a manager start it.
type ForeignAutoscalers struct {
	// ksmScales reads from a cache, and autoscalers from the API server.
	ksmScales, autoscalers client.Reader
	clock                  clock.WithTicker
	changes                changes

	mu sync.Mutex
	// found has the names of those there are, by the Deployment that they scale.
	found map[client.ObjectKey][]string
}

// NewForeignAutoscalers returns one that has not looked yet.
func NewForeignAutoscalers(ksmScales, autoscalers client.Reader, clock clock.WithTicker) *ForeignAutoscalers {
	return &ForeignAutoscalers{ksmScales: ksmScales, autoscalers: autoscalers, clock: clock, changes: newChanges()}
}

// Of are those that scale a Deployment, as people know them, in order.
func (f *ForeignAutoscalers) Of(deployment client.ObjectKey) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.found[deployment]
}

// Looked tells whether it has looked successfully. Before that, it has found none.
func (f *ForeignAutoscalers) Looked() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.found != nil
}

// Start looks again and again, until the context is done. It is part of manager.Runnable.
func (f *ForeignAutoscalers) Start(ctx context.Context) error {
	ticker := f.clock.NewTicker(foreignInterval)
	defer ticker.Stop()
	for {
		if err := f.look(ctx); err != nil && ctx.Err() == nil {
			log.FromContext(ctx).Error(err, "Cannot look for HorizontalPodAutoscalers of others")
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C():
		}
	}
}

// look finds those that there are, and tells if they are others than before.
func (f *ForeignAutoscalers) look(ctx context.Context) error {
	var ksmScales v1alpha1.KSMScaleList
	if err := f.ksmScales.List(ctx, &ksmScales, client.UnsafeDisableDeepCopy); err != nil {
		return fmt.Errorf("list KSMScales: %w", err)
	}
	namespaces := sets.New[string]()
	for _, ksmScale := range ksmScales.Items {
		namespaces.Insert(ksmScale.Spec.Namespace)
	}
	found := map[client.ObjectKey][]string{}
	for namespace := range namespaces {
		var list autoscalingv2.HorizontalPodAutoscalerList
		// What the API server has in memory is new enough, and costs it next to nothing.
		fromMemory := &client.ListOptions{Raw: &metav1.ListOptions{ResourceVersion: "0"}}
		if err := f.autoscalers.List(ctx, &list, client.InNamespace(namespace), fromMemory); err != nil {
			return fmt.Errorf("list HorizontalPodAutoscalers in namespace %s: %w", namespace, err)
		}
		for _, autoscaler := range byName(list.Items) {
			if deployment, foreign := foreignTarget(autoscaler, ksmScales.Items); foreign {
				found[deployment] = append(found[deployment], knownAs(autoscaler))
			}
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if !maps.EqualFunc(f.found, found, slices.Equal[[]string]) {
		f.changes.tell()
	}
	f.found = found
	return nil
}

// foreignTarget is the Deployment of some KSMScale's shard that an autoscaler scales which was not made for it.
func foreignTarget(autoscaler *autoscalingv2.HorizontalPodAutoscaler, ksmScales []v1alpha1.KSMScale) (client.ObjectKey, bool) {
	target := autoscaler.Spec.ScaleTargetRef
	key := client.ObjectKey{Namespace: autoscaler.Namespace, Name: target.Name}
	if target.Kind != "Deployment" || autoscaler.DeletionTimestamp != nil {
		return key, false
	}
	foreign := false
	for i := range ksmScales {
		// The names of two KSMScales can be such that those of both ones' shards begin alike.
		ksmScale := &ksmScales[i]
		if isOurs(autoscaler, ksmScale) {
			return key, false
		}
		foreign = foreign || ksmScale.Spec.Namespace == autoscaler.Namespace && strings.HasPrefix(target.Name, v1alpha1.ShardNamePrefix(ksmScale.Name))
	}
	return key, foreign
}

// knownAs names an autoscaler by what it was made for, if anything: people know KEDA's ScaledObject, and have to change
// that.
func knownAs(autoscaler *autoscalingv2.HorizontalPodAutoscaler) string {
	name := "HorizontalPodAutoscaler " + autoscaler.Name
	if owner := metav1.GetControllerOf(autoscaler); owner != nil {
		return fmt.Sprintf("%s %s (%s)", owner.Kind, owner.Name, name)
	}
	return name
}
