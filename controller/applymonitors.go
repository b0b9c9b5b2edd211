package controller

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	monitoringv1alpha1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1alpha1"
	"k8s.io/apimachinery/pkg/util/sets"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/controller/objects"
	"github.com/example/ksmscale/controller/observation"
)

// applyMonitors applies the desired objects for the Prometheus Operator of the installed kinds, and deletes other objects of the KSMScale. A
// kind may disappear meanwhile. The next poll notices that, so such an error does not matter.
func (r *Reconciler) applyMonitors(ctx context.Context, ksmScale *v1alpha1.KSMScale, observed observation.Monitoring) error {
	if !observed.Known {
		return nil
	}
	a := applier{Reconciler: r, Client: r.Uncached, owner: ksmScale}
	desired := sets.New(observed.DesiredKinds(ksmScale)...)
	// Deletion comes first, so Prometheus scrapes nothing twice for longer than necessary.
	errs := []error{r.pruneMonitors(ctx, ksmScale, observed, desired)}
	for _, kind := range sets.List(desired.Intersection(observed.Installed)) {
		switch kind {
		case monitoringv1alpha1.ScrapeConfigsKind:
			for _, scrapeConfig := range objects.ScrapeConfigs(ksmScale) {
				errs = append(errs, apply(ctx, a, scrapeConfig, &monitoringv1alpha1.ScrapeConfig{}, objects.ExtractScrapeConfig))
			}
		case monitoringv1.ServiceMonitorsKind:
			errs = append(errs, apply(ctx, a, objects.ServiceMonitor(ksmScale), &monitoringv1.ServiceMonitor{}, objects.ExtractServiceMonitor))
		case monitoringv1.PrometheusRuleKind:
			errs = append(errs, apply(ctx, a, objects.PrometheusRule(ksmScale, observed.Rules.Deduplicate), &monitoringv1.PrometheusRule{}, objects.ExtractPrometheusRule))
		}
	}
	for i, err := range errs {
		if observation.IsGone(err) {
			errs[i] = nil
		}
	}
	return errors.Join(errs...)
}

// pruneMonitors deletes the objects of a KSMScale whose kind is not desired.
func (r *Reconciler) pruneMonitors(ctx context.Context, ksmScale *v1alpha1.KSMScale, observed observation.Monitoring, desired sets.Set[string]) error {
	var errs []error
	// The order decides the text of the error, which must not change by itself.
	inOrder := func(a, b observation.MonitorKey) int { return cmp.Compare(a.Kind+a.String(), b.Kind+b.String()) }
	for _, key := range slices.SortedFunc(maps.Keys(observed.Objects), inOrder) {
		object := observed.Objects[key]
		if desired.Has(object.Kind) || !observation.IsOwnedBy(&object, ksmScale) || object.DeletionTimestamp != nil {
			continue
		}
		if err := r.Uncached.Delete(ctx, &object, client.Preconditions{UID: new(object.UID)}); err != nil && !observation.IsGone(err) {
			errs = append(errs, fmt.Errorf("delete %s %s: %w", object.Kind, object.Name, err))
		}
	}
	return errors.Join(errs...)
}
