package observation

import (
	"cmp"
	"maps"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"

	"github.com/example/ksmscale/api/v1alpha1"
)

// Snapshot is what there is of a KSMScale.
type Snapshot struct {
	Deployments []appsv1.Deployment
	Services    []corev1.Service
	// RetiredSince is since when those of them that are not to be scraped have been seen so, by their names.
	RetiredSince map[string]time.Time
	Autoscalers  []autoscalingv2.HorizontalPodAutoscaler
	// Pods are those of these Deployments, and not others with the same labels.
	Pods []corev1.Pod
	// ForeignAutoscalers are the autoscalers of others that scale these Deployments, and budgets the PodDisruptionBudgets of others that select
	// their pods.
	ForeignAutoscalers, ForeignBudgets Foreign
	// Outdated are the shards that wait for their turn to get the current pod template.
	Outdated sets.Set[v1alpha1.Shard]
	// LimitRanges are the names of those in the namespace, if one of them refuses pods.
	LimitRanges []string
	// APIService is nil if external metrics are not registered.
	APIService *apiregistrationv1.APIService
	// Versions is what the pods' kube-state-metrics say of their versions.
	Versions RunningVersions
	// Measurements are what the gates have measured of the shards.
	Measurements map[v1alpha1.Shard]Measurement
	// ObjectCounts has the number of objects of each exported resource, if they were counted for a first recommendation; else nil.
	ObjectCounts map[string]int64
	// Monitoring is what there is of the Prometheus Operator.
	Monitoring Monitoring
}

// Foreign are objects of others that affect Deployments of a KSMScale.
type Foreign struct {
	// Names has the names of these objects, by the name of the Deployment.
	Names map[string][]string
	// Unknown tells whether no look for them has succeeded yet, and err is the error of the last look.
	Unknown bool
	Err     error
}

// Deployment is that of a shard, or nil.
func (o *Snapshot) Deployment(shard v1alpha1.Shard) *appsv1.Deployment {
	for i := range o.Deployments {
		if o.Deployments[i].Name == shard.Name() && o.Deployments[i].DeletionTimestamp == nil {
			return &o.Deployments[i]
		}
	}
	return nil
}

// Service is that of a shard, or nil.
func (o *Snapshot) Service(shard v1alpha1.Shard) *corev1.Service {
	for i := range o.Services {
		if o.Services[i].Name == shard.Name() {
			return &o.Services[i]
		}
	}
	return nil
}

// PodsOf are the pods of a shard.
func (o *Snapshot) PodsOf(shard v1alpha1.Shard) []corev1.Pod {
	var pods []corev1.Pod
	for i := range o.Pods {
		if IsPodOf(&o.Pods[i], shard) {
			pods = append(pods, o.Pods[i])
		}
	}
	return pods
}

// Shards are those that have a Deployment or a Service, in order.
func (o *Snapshot) Shards() []v1alpha1.Shard {
	shards := sets.New[v1alpha1.Shard]()
	insert := func(labels map[string]string) {
		if shard, ok := ShardOf(labels); ok {
			shards.Insert(shard)
		}
	}
	for i := range o.Deployments {
		if o.Deployments[i].DeletionTimestamp == nil {
			insert(o.Deployments[i].Labels)
		}
	}
	for i := range o.Services {
		insert(o.Services[i].Labels)
	}
	return slices.SortedFunc(maps.Keys(shards), func(a, b v1alpha1.Shard) int {
		return cmp.Or(cmp.Compare(a.Total, b.Total), cmp.Compare(a.ID, b.ID))
	})
}

// ShardReplicas counts the pods of a shard. Pods that are being deleted, or have ended, do not count. No more pods are ready than the
// Deployment counts: a pod can be made to look like one of its pods.
func ShardReplicas(shard v1alpha1.Shard, observed *Snapshot) v1alpha1.ShardReplicas {
	replicas := v1alpha1.ShardReplicas{Pods: []string{}}
	for i := range observed.Pods {
		pod := &observed.Pods[i]
		if !IsPodOf(pod, shard) || !IsActive(pod) {
			continue
		}
		replicas.Replicas++
		replicas.Pods = append(replicas.Pods, pod.Name)
		if PodCondition(pod, corev1.PodReady).Status == corev1.ConditionTrue {
			replicas.Ready++
		}
	}
	var counted int32
	if deployment := observed.Deployment(shard); deployment != nil {
		counted = deployment.Status.ReadyReplicas
	}
	replicas.Ready = min(replicas.Ready, counted)
	slices.Sort(replicas.Pods)
	replicas.Pods = replicas.Pods[:min(len(replicas.Pods), v1alpha1.MaxPodsInStatus)]
	return replicas
}

// UnschedulablePods are the pods that wait for a node, in the order of their names, of Deployments that lack pods: one that has all of its pods
// waits for none, whatever pods look like its own.
func (o *Snapshot) UnschedulablePods() []*corev1.Pod {
	lacking := sets.New[v1alpha1.Shard]()
	for i := range o.Deployments {
		if shard, ok := ShardOf(o.Deployments[i].Labels); ok && o.Deployments[i].Status.UnavailableReplicas > 0 {
			lacking.Insert(shard)
		}
	}
	return slices.DeleteFunc(SortedByName(o.Pods), func(pod *corev1.Pod) bool {
		shard, ok := ShardOf(pod.Labels)
		return !ok || !lacking.Has(shard) || !IsUnschedulable(pod)
	})
}

// AnyPod tells whether a pod of some kind runs. A pod that is being deleted serves until it ends. Another pod counts only if its Deployment
// may have such pods: someone who wants to keep a right can create a pod that looks like one of the Deployment's.
func (o *Snapshot) AnyPod(isKind func(*corev1.PodSpec) bool) bool {
	return slices.ContainsFunc(o.Pods, func(pod corev1.Pod) bool {
		if hasEnded(&pod) || !isKind(&pod.Spec) {
			return false
		}
		shard, _ := ShardOf(pod.Labels)
		deployment := o.Deployment(shard)
		return pod.DeletionTimestamp != nil || deployment != nil &&
			(isKind(&deployment.Spec.Template.Spec) || IsRollingOut(*deployment) || IsUnobserved(*deployment))
	})
}
