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

// applyMonitors applies the desired objects for the Prometheus Operator of the installed kinds. It deletes other objects of the KSMScale once
// their successors exist. A kind may disappear meanwhile. The next poll notices that, so such an error does not matter.
func (r *Reconciler) applyMonitors(ctx context.Context, ksmScale *v1alpha1.KSMScale, observed observation.Monitoring) error {
	if !observed.Known {
		return nil
	}
	a := applier{Reconciler: r, Client: r.Uncached, owner: ksmScale}
	desired := sets.New(observed.DesiredKinds(ksmScale)...)
	applied := sets.New[string]()
	var errs []error
	for _, kind := range sets.List(desired.Intersection(observed.Installed)) {
		err := applyMonitorsOf(ctx, a, kind, observed.Rules.Deduplicate)
		if err == nil {
			applied.Insert(kind)
		} else if !observation.IsGone(err) {
			errs = append(errs, err)
		}
	}
	// Prometheus scrapes shards twice until the other objects are deleted. Without their successors, it would not scrape them at all.
	keep := desired.Clone()
	// By default, no object is desired where ScrapeConfigs are not installed. While they cannot be listed, that is unknown.
	kind := objects.ScrapingKind(ksmScale)
	isDesired := ksmScale.Spec.Monitoring.Type != "" || observed.Installed.Has(kind) || observed.Failed[kind] != nil
	if kind != "" && isDesired && !applied.Has(kind) {
		keep.Insert(monitoringv1alpha1.ScrapeConfigsKind, monitoringv1.ServiceMonitorsKind)
	}
	if !observed.HasRules() {
		keep.Insert(monitoringv1.PrometheusRuleKind)
	}
	return errors.Join(append(errs, r.pruneMonitors(ctx, ksmScale, observed, keep))...)
}

// applyMonitorsOf applies the objects of one kind.
func applyMonitorsOf(ctx context.Context, a applier, kind string, deduplicate bool) error {
	switch kind {
	case monitoringv1alpha1.ScrapeConfigsKind:
		var errs []error
		for _, scrapeConfig := range objects.ScrapeConfigs(a.owner) {
			errs = append(errs, apply(ctx, a, scrapeConfig, &monitoringv1alpha1.ScrapeConfig{}, objects.ExtractScrapeConfig))
		}
		return errors.Join(errs...)
	case monitoringv1.ServiceMonitorsKind:
		return apply(ctx, a, objects.ServiceMonitor(a.owner), &monitoringv1.ServiceMonitor{}, objects.ExtractServiceMonitor)
	default:
		return apply(ctx, a, objects.PrometheusRule(a.owner, deduplicate), &monitoringv1.PrometheusRule{}, objects.ExtractPrometheusRule)
	}
}

// pruneMonitors deletes the objects of a KSMScale. It keeps the objects of some kinds.
func (r *Reconciler) pruneMonitors(ctx context.Context, ksmScale *v1alpha1.KSMScale, observed observation.Monitoring, keep sets.Set[string]) error {
	var errs []error
	// The order decides the text of the error, which must not change by itself.
	inOrder := func(a, b observation.MonitorKey) int { return cmp.Compare(a.Kind+a.String(), b.Kind+b.String()) }
	for _, key := range slices.SortedFunc(maps.Keys(observed.Objects), inOrder) {
		object := observed.Objects[key]
		if keep.Has(object.Kind) || !observation.IsOwnedBy(&object, ksmScale) || object.DeletionTimestamp != nil {
			continue
		}
		if err := r.Uncached.Delete(ctx, &object, client.Preconditions{UID: new(object.UID)}); err != nil && !observation.IsGone(err) {
			errs = append(errs, fmt.Errorf("delete %s %s: %w", object.Kind, object.Name, err))
		}
	}
	return errors.Join(errs...)
}
