package controller

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/shardpods"
)

// observed is what there is of a KSMScale.
type observed struct {
	deployments []appsv1.Deployment
	services    []corev1.Service
	// retired is since when those of them that are not to be scraped have been seen so, by their names.
	retired     map[string]time.Time
	autoscalers []autoscalingv2.HorizontalPodAutoscaler
	// pods are those of these Deployments, and not others with the same labels.
	pods []corev1.Pod
	// foreign are the autoscalers of others that scale these Deployments, and budgets the PodDisruptionBudgets of others that select
	// their pods.
	foreign, budgets others
	// outdated are the shards that wait for their turn to get the current pod template.
	outdated sets.Set[v1alpha1.Shard]
	// limitRanges are the names of those in the namespace, if one of them refuses pods.
	limitRanges []string
	// apiService is nil if external metrics are not registered.
	apiService *apiregistrationv1.APIService
	// said is what the pods' kube-state-metrics say of their versions.
	said said
	// monitoring is what there is of the Prometheus Operator.
	monitoring monitoring
}

// others are objects of others that affect Deployments of a KSMScale.
type others struct {
	// names has the names of these objects, by the name of the Deployment.
	names map[string][]string
	// unknown tells whether no look for them has succeeded yet, and err is the error of the last look.
	unknown bool
	err     error
}

// deployment is that of a shard, or nil.
func (o *observed) deployment(shard v1alpha1.Shard) *appsv1.Deployment {
	for i := range o.deployments {
		if o.deployments[i].Name == shard.Name() && o.deployments[i].DeletionTimestamp == nil {
			return &o.deployments[i]
		}
	}
	return nil
}

// service is that of a shard, or nil.
func (o *observed) service(shard v1alpha1.Shard) *corev1.Service {
	for i := range o.services {
		if o.services[i].Name == shard.Name() {
			return &o.services[i]
		}
	}
	return nil
}

// podsOf are the pods of a shard.
func (o *observed) podsOf(shard v1alpha1.Shard) []corev1.Pod {
	var pods []corev1.Pod
	for i := range o.pods {
		if belongsTo(&o.pods[i], shard) {
			pods = append(pods, o.pods[i])
		}
	}
	return pods
}

// shards are those that have a Deployment or a Service, in order.
func (o *observed) shards() []v1alpha1.Shard {
	shards := sets.New[v1alpha1.Shard]()
	insert := func(labels map[string]string) {
		if shard, ok := shardOf(labels); ok {
			shards.Insert(shard)
		}
	}
	for i := range o.deployments {
		if o.deployments[i].DeletionTimestamp == nil {
			insert(o.deployments[i].Labels)
		}
	}
	for i := range o.services {
		insert(o.services[i].Labels)
	}
	return slices.SortedFunc(maps.Keys(shards), func(a, b v1alpha1.Shard) int {
		return cmp.Or(cmp.Compare(a.Total, b.Total), cmp.Compare(a.ID, b.ID))
	})
}

func (r *Reconciler) observe(ctx context.Context, ksmScale *v1alpha1.KSMScale) (observed, error) {
	ofKSMScale := []client.ListOption{
		client.InNamespace(ksmScale.Spec.Namespace),
		client.MatchingLabels{v1alpha1.LabelKSMScale: ksmScale.Name},
	}
	var (
		deployments appsv1.DeploymentList
		services    corev1.ServiceList
		autoscalers autoscalingv2.HorizontalPodAutoscalerList
		pods        corev1.PodList
	)
	if err := errors.Join(
		r.Client.List(ctx, &deployments, ofKSMScale...),
		r.Client.List(ctx, &services, ofKSMScale...),
		r.Client.List(ctx, &autoscalers, ofKSMScale...),
		r.Client.List(ctx, &pods, ofKSMScale...),
	); err != nil {
		return observed{}, fmt.Errorf("list objects of KSMScale %s: %w", ksmScale.Name, err)
	}
	apiService, err := r.apiService(ctx)
	if err != nil {
		return observed{}, err
	}
	ours := slices.DeleteFunc(deployments.Items, func(deployment appsv1.Deployment) bool { return !isOurs(&deployment, ksmScale) })
	ourPods := shardpods.Of(ours, pods.Items)
	var said said
	if keepsToItself(&ksmScale.Spec.Metrics) == "" {
		said = r.Versions.of(ctx, ourPods)
	}
	ourServices := slices.DeleteFunc(services.Items, func(service corev1.Service) bool {
		return !isOurs(&service, ksmScale) || service.DeletionTimestamp != nil
	})
	return observed{
		deployments: ours,
		services:    ourServices,
		retired:     r.retirements.of(ksmScale.Name, ourServices, r.Clock.Now()),
		foreign:     foreignAutoscalers(ours, r.Foreign.snapshot()),
		budgets:     foreignBudgets(ours, r.Budgets.snapshot()),
		autoscalers: slices.DeleteFunc(autoscalers.Items, func(autoscaler autoscalingv2.HorizontalPodAutoscaler) bool {
			return !isOurs(&autoscaler, ksmScale)
		}),
		pods:        ourPods,
		limitRanges: r.limitRanges(ctx, ksmScale.Spec.Namespace, ours),
		apiService:  apiService,
		said:        said,
		monitoring:  r.Monitors.found(),
	}, nil
}

func (r *Reconciler) apiService(ctx context.Context) (*apiregistrationv1.APIService, error) {
	var apiService apiregistrationv1.APIService
	err := r.Client.Get(ctx, client.ObjectKey{Name: APIServiceName}, &apiService)
	switch {
	case client.IgnoreNotFound(err) != nil:
		return nil, fmt.Errorf("get APIService %s: %w", APIServiceName, err)
	case err != nil:
		return nil, nil //nolint:nilnil // None is as ordinary as one, and looked at in one place.
	}
	return &apiService, nil
}
