package observation

import (
	"context"
	"errors"
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/completeness"
	"github.com/example/ksmscale/shardpods"
)

// Reader reads snapshots.
type Reader struct {
	// Client reads from a cache that already has the writes of the controller. APIReader reads from the API server.
	Client, APIReader client.Reader
	// Versions reads the versions of kube-state-metrics; nil to skip them.
	Versions *Versions
	// Autoscalers, VerticalAutoscalers and Budgets list objects of others, and Monitors lists objects of the Prometheus Operator; nil to
	// skip them.
	Autoscalers         *ForeignAutoscalers
	VerticalAutoscalers *VerticalAutoscalers
	Budgets             *ForeignBudgets
	Monitors            *Monitors
	// Measurements has what gates have measured; nil to skip them.
	Measurements Measured
}

// Measured has what the gates of a KSMScale have measured, by shard.
type Measured interface {
	Of(ksmScale string) map[v1alpha1.Shard]Measurement
	// Completeness returns what the partition of a total exports.
	Completeness(ksmScale string, total int32) completeness.Result
}

// Owned reads only the objects that a KSMScale owns, and their pods. The selector selects the objects whose label names the KSMScale:
// OfKSMScale in a cache, and LabelledKSMScale at the API server.
func Owned(ctx context.Context, objects client.Reader, ksmScale *v1alpha1.KSMScale, selector client.ListOption) (Snapshot, error) {
	ofKSMScale := []client.ListOption{client.InNamespace(ksmScale.Spec.Namespace), selector}
	var (
		deployments appsv1.DeploymentList
		services    corev1.ServiceList
		autoscalers autoscalingv2.HorizontalPodAutoscalerList
		pods        corev1.PodList
	)
	if err := errors.Join(
		objects.List(ctx, &deployments, ofKSMScale...),
		objects.List(ctx, &services, ofKSMScale...),
		objects.List(ctx, &autoscalers, ofKSMScale...),
		objects.List(ctx, &pods, ofKSMScale...),
	); err != nil {
		return Snapshot{}, fmt.Errorf("list objects of KSMScale %s: %w", ksmScale.Name, err)
	}
	snapshot := Snapshot{
		Deployments: slices.DeleteFunc(deployments.Items, func(deployment appsv1.Deployment) bool { return !IsOwnedBy(&deployment, ksmScale) }),
		Services: slices.DeleteFunc(services.Items, func(service corev1.Service) bool {
			return !IsOwnedBy(&service, ksmScale) || service.DeletionTimestamp != nil
		}),
		Autoscalers: slices.DeleteFunc(autoscalers.Items, func(autoscaler autoscalingv2.HorizontalPodAutoscaler) bool {
			return !IsOwnedBy(&autoscaler, ksmScale)
		}),
	}
	snapshot.Pods = shardpods.Of(snapshot.Deployments, pods.Items)
	return snapshot, nil
}

// Read reads the objects of a KSMScale, and the objects of others that affect it.
func (r Reader) Read(ctx context.Context, ksmScale *v1alpha1.KSMScale) (Snapshot, error) {
	snapshot, err := Owned(ctx, r.Client, ksmScale, OfKSMScale(ksmScale.Name))
	if err != nil {
		return Snapshot{}, err
	}
	if snapshot.APIService, err = r.apiService(ctx); err != nil {
		return Snapshot{}, err
	}
	snapshot.Monitoring = r.Monitors.Latest()
	if r.Measurements != nil {
		snapshot.Measurements = r.Measurements.Of(ksmScale.Name)
		snapshot.Completeness = r.Measurements.Completeness(ksmScale.Name, ksmScale.TotalShards())
	}
	snapshot.ForeignAutoscalers = foreignAutoscalers(ksmScale.Spec.Namespace, snapshot.Deployments, r.Autoscalers.Latest())
	if r.VerticalAutoscalers != nil {
		latest := r.VerticalAutoscalers.Latest()
		snapshot.VerticalAutoscalers = Foreign{Names: namesOf(snapshot.Deployments, latest.Objects), Unknown: !latest.known, Err: latest.err}
	}
	snapshot.ForeignBudgets = foreignBudgets(snapshot.Deployments, r.Budgets.Latest())
	snapshot.LimitRanges = r.limitRanges(ctx, ksmScale.Spec.Namespace, snapshot.Deployments)
	if WhyVersionIsUnreadable(&ksmScale.Spec.Metrics) == "" {
		snapshot.Versions = r.Versions.of(ctx, snapshot.Pods)
	}
	return snapshot, nil
}

// apiService returns the APIService of external metrics, or nil.
func (r Reader) apiService(ctx context.Context) (*apiregistrationv1.APIService, error) {
	var apiService apiregistrationv1.APIService
	err := r.Client.Get(ctx, client.ObjectKey{Name: v1alpha1.APIServiceName}, &apiService)
	switch {
	case client.IgnoreNotFound(err) != nil:
		return nil, fmt.Errorf("get APIService %s: %w", v1alpha1.APIServiceName, err)
	case err != nil:
		return nil, nil //nolint:nilnil // Its absence is ordinary, and one place handles it.
	}
	return &apiService, nil
}

// limitRanges returns the names of the LimitRanges of a namespace if one of them refuses pods of the Deployments. LimitRanges are listed
// only in this case, and they are not watched. If the list fails, the message about the pods goes without names.
func (r Reader) limitRanges(ctx context.Context, namespace string, deployments []appsv1.Deployment) []string {
	for i := range deployments {
		if condition := RefusedPods(&deployments[i]); condition == nil || !IsRefusedByLimitRange(condition.Message) {
			continue
		}
		var list corev1.LimitRangeList
		if err := r.APIReader.List(ctx, &list, client.InNamespace(namespace)); err != nil {
			return nil
		}
		var names []string
		for _, limitRange := range SortedByName(list.Items) {
			names = append(names, limitRange.Name)
		}
		return names
	}
	return nil
}
