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
	"github.com/example/ksmscale/completeness"
)

// Snapshot is the existing state of a KSMScale.
type Snapshot struct {
	// Deployments are the Deployments that the KSMScale owns, and Services its Services.
	Deployments []appsv1.Deployment
	Services    []corev1.Service
	// RetiredSince has the time since which the controller has seen a retired Service, by the name of the Service.
	RetiredSince map[string]time.Time
	// Autoscalers are the HorizontalPodAutoscalers that the KSMScale owns.
	Autoscalers []autoscalingv2.HorizontalPodAutoscaler
	// Pods are the pods of these Deployments, without other pods that have the same labels.
	Pods []corev1.Pod
	// ForeignAutoscalers are the autoscalers of others that scale these Deployments. ForeignBudgets are the PodDisruptionBudgets of others
	// that select their pods.
	ForeignAutoscalers, ForeignBudgets Foreign
	// VerticalAutoscalers are the VerticalPodAutoscalers that change the resources of their pods.
	VerticalAutoscalers Foreign
	// Outdated are the shards that wait for their turn to get the current pod template.
	Outdated sets.Set[v1alpha1.Shard]
	// LimitRanges are the names of the LimitRanges in the namespace, if one of them refuses pods.
	LimitRanges []string
	// APIService is nil if external metrics are not registered.
	APIService *apiregistrationv1.APIService
	// Versions are the versions that kube-state-metrics reports in the pods.
	Versions RunningVersions
	// Measurements are what the gates have measured of the shards.
	Measurements map[v1alpha1.Shard]Measurement
	// Completeness is what the shards export, compared with the cluster.
	Completeness completeness.Result
	// ObjectCounts has the number of objects of each exported resource, if they were counted for a first recommendation; else nil.
	ObjectCounts map[string]int64
	// Monitoring has the kinds of the Prometheus Operator and the objects of these kinds.
	Monitoring Monitoring
}

// Foreign are objects of others that affect Deployments of a KSMScale.
type Foreign struct {
	// Names has the names of these objects, by the name of the Deployment.
	Names map[string][]string
	// Unknown reports that no successful list of them covers the namespace yet, and Err is the error of the last list.
	Unknown bool
	Err     error
}

// Deployment returns the Deployment of a shard, or nil.
func (s *Snapshot) Deployment(shard v1alpha1.Shard) *appsv1.Deployment {
	for i := range s.Deployments {
		if s.Deployments[i].Name == shard.Name() && s.Deployments[i].DeletionTimestamp == nil {
			return &s.Deployments[i]
		}
	}
	return nil
}

// Service returns the Service of a shard, or nil.
func (s *Snapshot) Service(shard v1alpha1.Shard) *corev1.Service {
	for i := range s.Services {
		if s.Services[i].Name == shard.Name() {
			return &s.Services[i]
		}
	}
	return nil
}

// PodsOf returns the pods of a shard.
func (s *Snapshot) PodsOf(shard v1alpha1.Shard) []corev1.Pod {
	var pods []corev1.Pod
	for i := range s.Pods {
		if IsPodOf(&s.Pods[i], shard) {
			pods = append(pods, s.Pods[i])
		}
	}
	return pods
}

// Shards returns the shards that have a Deployment or a Service, in order.
func (s *Snapshot) Shards() []v1alpha1.Shard {
	shards := sets.New[v1alpha1.Shard]()
	insert := func(labels map[string]string) {
		if shard, ok := v1alpha1.ShardOf(labels); ok {
			shards.Insert(shard)
		}
	}
	for i := range s.Deployments {
		if s.Deployments[i].DeletionTimestamp == nil {
			insert(s.Deployments[i].Labels)
		}
	}
	for i := range s.Services {
		insert(s.Services[i].Labels)
	}
	return slices.SortedFunc(maps.Keys(shards), func(a, b v1alpha1.Shard) int {
		return cmp.Or(cmp.Compare(a.Total, b.Total), cmp.Compare(a.ID, b.ID))
	})
}

// Replicas counts the pods of a shard. Pods that are being deleted or have ended do not count. The ready pods are at most as many as the
// Deployment counts, because a stranger can create a pod that looks like a pod of the Deployment.
func (s *Snapshot) Replicas(shard v1alpha1.Shard) v1alpha1.ShardReplicas {
	replicas := v1alpha1.ShardReplicas{Pods: []string{}}
	for i := range s.Pods {
		pod := &s.Pods[i]
		if !IsPodOf(pod, shard) || !IsActive(pod) {
			continue
		}
		replicas.Replicas++
		replicas.Pods = append(replicas.Pods, pod.Name)
		if IsReady(pod) {
			replicas.Ready++
		}
	}
	var counted int32
	if deployment := s.Deployment(shard); deployment != nil {
		counted = deployment.Status.ReadyReplicas
	}
	replicas.Ready = min(replicas.Ready, counted)
	slices.Sort(replicas.Pods)
	replicas.Pods = replicas.Pods[:min(len(replicas.Pods), v1alpha1.MaxPodsInStatus)]
	return replicas
}

// UnschedulablePods returns the pods that wait for a node, in the order of their names. It skips a Deployment that has all of its pods,
// because any further pod only looks like one of them.
func (s *Snapshot) UnschedulablePods() []*corev1.Pod {
	lacking := sets.New[v1alpha1.Shard]()
	for i := range s.Deployments {
		if shard, ok := v1alpha1.ShardOf(s.Deployments[i].Labels); ok && s.Deployments[i].Status.UnavailableReplicas > 0 {
			lacking.Insert(shard)
		}
	}
	return slices.DeleteFunc(SortedByName(s.Pods), func(pod *corev1.Pod) bool {
		shard, ok := v1alpha1.ShardOf(pod.Labels)
		return !ok || !lacking.Has(shard) || !IsUnschedulable(pod)
	})
}

// AnyPod reports whether a pod of some kind runs. A pod that is being deleted counts until it ends. Any other pod counts only if its
// Deployment can have such pods. Otherwise a stranger could keep a right by creating a pod that looks like a pod of the Deployment.
func (s *Snapshot) AnyPod(isKind func(*corev1.PodSpec) bool) bool {
	return slices.ContainsFunc(s.Pods, func(pod corev1.Pod) bool {
		if hasEnded(&pod) || !isKind(&pod.Spec) {
			return false
		}
		shard, _ := v1alpha1.ShardOf(pod.Labels)
		deployment := s.Deployment(shard)
		return pod.DeletionTimestamp != nil || deployment != nil &&
			(isKind(&deployment.Spec.Template.Spec) || IsRollingOut(*deployment) || IsUnobserved(*deployment))
	})
}
