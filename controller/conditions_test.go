package controller

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/plans"
	"github.com/example/ksmscale/scaling"
)

var (
	testTime    = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	testAdapter = ServiceReference{Namespace: "ksmscale-system", Name: "ksmscale-adapter", Port: 443}
)

// world is all that the status is made from: by default 45 nodes, and a ready pod of each of three shards.
type world struct {
	ksmScale *v1alpha1.KSMScale
	nodes    int
	kinds    kinds
	// unzoned are nodes without a zone that pods can run on.
	unzoned  int
	observed observed
	applyErr error
	scaleErr error
	// registrationErr is why external metrics cannot be registered.
	registrationErr error
}

// count sets the counts of pods in the status of each Deployment as Kubernetes does.
func (o *observed) count() {
	for i := range o.deployments {
		status := &o.deployments[i].Status
		status.ReadyReplicas, status.UnavailableReplicas = 0, 0
		for j := range o.pods {
			shard, _ := shardOf(o.deployments[i].Labels)
			switch pod := &o.pods[j]; {
			case !belongsTo(pod, shard) || !isActive(pod):
			case podCondition(pod, corev1.PodReady).Status == corev1.ConditionTrue:
				status.ReadyReplicas++
			default:
				status.UnavailableReplicas++
			}
		}
	}
}

func (w world) status() v1alpha1.KSMScaleStatus {
	w.observed.deployments = slices.Clone(w.observed.deployments)
	w.observed.count()
	cluster := scaling.Cluster{Nodes: w.nodes, Placeable: w.unzoned}
	planned := plans.New(holding(w.ksmScale, w.observed), cluster, testTime)
	r := &Reconciler{NodeKinds: w.kinds, Adapter: testAdapter, Clock: clocktesting.NewFakePassiveClock(testTime), Registration: NewRegistration(func() {})}
	r.Registration.set(w.registrationErr)
	decision := Decide(targets(planned, w.observed), w.observed, testTime)
	return r.status(w.ksmScale, planned, w.observed, decision, failures{apply: w.applyErr, scale: w.scaleErr})
}

func newWorld(overrides ...func(*world)) world {
	w := world{ksmScale: ksmScaleWith(), nodes: 45}
	w.observed.apiService = registered("ksmscale-system", "ksmscale-adapter", apiregistrationv1.ConditionTrue)
	for id := range int32(3) {
		w.observed.pods = append(w.observed.pods, pod(id, "a"))
		w.observed.deployments = append(w.observed.deployments, appsv1.Deployment{
			ObjectMeta: metav1.ObjectMeta{Name: shard(id).Name(), Generation: 5, Labels: shard(id).Selector()},
			Status:     appsv1.DeploymentStatus{ObservedGeneration: 5, Replicas: 1, UpdatedReplicas: 1},
		})
		w.observed.autoscalers = append(w.observed.autoscalers, acting(id))
	}
	for _, override := range overrides {
		override(&w)
	}
	return w
}

func registered(namespace, name string, available apiregistrationv1.ConditionStatus) *apiregistrationv1.APIService {
	return &apiregistrationv1.APIService{
		Spec: apiregistrationv1.APIServiceSpec{Service: &apiregistrationv1.ServiceReference{Namespace: namespace, Name: name}},
		Status: apiregistrationv1.APIServiceStatus{Conditions: []apiregistrationv1.APIServiceCondition{
			{Type: apiregistrationv1.Available, Status: available, Reason: "MissingEndpoints", Message: "no endpoints"},
		}},
	}
}

// pod is a ready pod of a shard.
func pod(id int32, suffix string, overrides ...func(*corev1.Pod)) corev1.Pod {
	p := corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: shard(id).Name() + "-" + suffix, Labels: shard(id).Selector()},
		Status: corev1.PodStatus{Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{
			{Type: corev1.PodScheduled, Status: corev1.ConditionTrue}, {Type: corev1.PodReady, Status: corev1.ConditionTrue},
		}},
	}
	for _, override := range overrides {
		override(&p)
	}
	return p
}

func notReady(p *corev1.Pod) { p.Status.Conditions[1].Status = corev1.ConditionFalse }

func waiting(reason string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		notReady(p)
		p.Status.ContainerStatuses = []corev1.ContainerStatus{{
			Name: "kube-state-metrics", Image: testImage,
			State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: "said the kubelet"}},
		}}
	}
}

// failing is a container that has ended before, a minute after it started, and has been running for a minute since.
func failing(restarts int32, overrides ...func(*corev1.ContainerStatus)) func(*corev1.Pod) {
	ago := func(minutes time.Duration) metav1.Time { return metav1.NewTime(testTime.Add(-minutes * time.Minute)) }
	return func(p *corev1.Pod) {
		notReady(p)
		container := corev1.ContainerStatus{
			Name: "kube-state-metrics", Image: testImage, RestartCount: restarts,
			State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: ago(1)}},
			LastTerminationState: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
				ExitCode: 2, Reason: "Error", StartedAt: ago(4), FinishedAt: ago(3),
			}},
		}
		for _, override := range overrides {
			override(&container)
		}
		p.Status.ContainerStatuses = []corev1.ContainerStatus{container}
	}
}

// backingOff is the same container between two attempts.
func backingOff(restarts int32) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		failing(restarts)(p)
		p.Status.ContainerStatuses[0].State = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{
			Reason: "CrashLoopBackOff", Message: fmt.Sprintf("back-off %ds", 10*restarts),
		}}
	}
}

func unschedulable(p *corev1.Pod) {
	notReady(p)
	p.Status.Conditions[0] = corev1.PodCondition{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: "Unschedulable", Message: "0/3 nodes are available"}
}

// acting is a HorizontalPodAutoscaler that has acted.
func acting(id int32) autoscalingv2.HorizontalPodAutoscaler {
	zero := &autoscalingv2.HPAScalingRules{Tolerance: new(resource.MustParse("0"))}
	return autoscalingv2.HorizontalPodAutoscaler{
		ObjectMeta: metav1.ObjectMeta{Name: shard(id).Name()},
		Spec:       autoscalingv2.HorizontalPodAutoscalerSpec{Behavior: &autoscalingv2.HorizontalPodAutoscalerBehavior{ScaleUp: zero, ScaleDown: zero}},
		Status: autoscalingv2.HorizontalPodAutoscalerStatus{Conditions: []autoscalingv2.HorizontalPodAutoscalerCondition{
			{Type: autoscalingv2.ScalingActive, Status: corev1.ConditionTrue},
			{Type: autoscalingv2.ScalingLimited, Status: corev1.ConditionFalse},
		}},
	}
}

// forbidden is an error as the API server returns it, wrapped as it is on its way.
func refused(err error) error { return errors.Join(nil, fmt.Errorf("apply Service a: %w", err)) }

func TestConditions(t *testing.T) {
	services := corev1.Resource("services")
	for _, test := range []struct {
		name     string
		override func(*world)
		// condition, reason and message are of the condition that tells; Ready takes them over unless ready says
		// otherwise.
		condition string
		status    metav1.ConditionStatus
		reason    string
		message   string
		ready     string
		phase     v1alpha1.Phase
	}{
		{name: "all is well", override: func(*world) {},
			condition: v1alpha1.ConditionProgressing, status: metav1.ConditionTrue, reason: "Complete", ready: "True AsPlanned", phase: v1alpha1.PhaseReady},
		{name: "at the minimum", override: func(w *world) { w.nodes = 10 },
			condition: v1alpha1.ConditionReady, status: metav1.ConditionTrue, reason: "AtMinimum", message: "1 replicas calculated; the minimum of 3 runs", ready: "True AtMinimum", phase: v1alpha1.PhaseReady},
		{name: "at the maximum", override: func(w *world) { w.nodes, w.ksmScale.Spec.Sharding.MaxReplicasPerShard = 90, 1 },
			condition: v1alpha1.ConditionReady, status: metav1.ConditionTrue, reason: "AtMaximum", message: "6 replicas calculated; the maximum of 3 runs", ready: "True AtMaximum", phase: v1alpha1.PhaseReady},
		{name: "scaling up", override: func(w *world) { w.nodes = 60 },
			condition: v1alpha1.ConditionProgressing, status: metav1.ConditionTrue, reason: "Scaling", message: "3 pods of the 4 wanted", ready: "False Scaling", phase: v1alpha1.PhaseScaling},
		{name: "pods are many enough, but of the wrong shards", override: func(w *world) {
			w.nodes = 60
			w.observed.pods = append(w.observed.pods, pod(2, "b"))
		}, condition: v1alpha1.ConditionProgressing, status: metav1.ConditionTrue, reason: "Scaling", ready: "False Scaling", phase: v1alpha1.PhaseScaling},
		{name: "pods of the wrong shards leave one without", override: func(w *world) {
			w.observed.pods[1] = pod(0, "b")
		}, condition: v1alpha1.ConditionProgressing, status: metav1.ConditionTrue, reason: "Scaling", message: "not yet divided", ready: "False ShardsNotReady", phase: v1alpha1.PhaseIncomplete},
		{name: "no right, and no node for a pod", override: func(w *world) {
			w.observed.pods = append(w.observed.pods, pod(1, "b", unschedulable))
			w.applyErr = refused(apierrors.NewForbidden(services, "a", errors.New("no")))
		}, condition: v1alpha1.ConditionProgressing, status: metav1.ConditionFalse, reason: "Forbidden", phase: v1alpha1.PhaseScaling},
		{name: "rolling out", override: func(w *world) { w.observed.deployments[1].Status.Replicas = 2 },
			condition: v1alpha1.ConditionProgressing, status: metav1.ConditionTrue, reason: "RollingOut",
			message: "2 of 3 shards have the current template; shard 1 replaces its pods", ready: "False RollingOut", phase: v1alpha1.PhaseReady},
		{name: "shards that wait for others", override: func(w *world) {
			w.observed.deployments[0].Status.Replicas, w.observed.deployments[1].Status.Replicas = 2, 2
			w.observed.outdated = sets.New(shard(2))
		}, condition: v1alpha1.ConditionProgressing, status: metav1.ConditionTrue, reason: "RollingOut",
			message: "0 of 3 shards have the current template; shards 0, 1 replace their pods", ready: "False RollingOut", phase: v1alpha1.PhaseReady},
		{name: "a new image that its Deployment has not acted on yet", override: func(w *world) { w.observed.deployments[1].Generation = 6 },
			condition: v1alpha1.ConditionProgressing, status: metav1.ConditionTrue, reason: "RollingOut", ready: "False RollingOut", phase: v1alpha1.PhaseReady},
		{name: "one of two pods is not ready", override: func(w *world) {
			w.ksmScale.Spec.Sharding.MinReplicasPerShard = 2
			for id := range int32(3) {
				w.observed.pods = append(w.observed.pods, pod(id, "b", notReady))
			}
		}, condition: v1alpha1.ConditionProgressing, status: metav1.ConditionTrue, reason: "PodsNotReady", message: "3 pods of the 6 wanted are ready", ready: "False PodsNotReady", phase: v1alpha1.PhaseReady},
		{name: "a shard without a ready pod", override: func(w *world) { w.observed.pods[2] = pod(2, "a", notReady) },
			condition: v1alpha1.ConditionCovered, status: metav1.ConditionFalse, reason: "ShardsNotReady", message: "1 shard of 3 without a ready pod: 2", phase: v1alpha1.PhaseIncomplete},
		{name: "a pod that is being deleted covers nothing", override: func(w *world) {
			w.observed.pods[0] = pod(0, "a", func(p *corev1.Pod) { p.DeletionTimestamp = new(metav1.NewTime(testTime)) })
		}, condition: v1alpha1.ConditionCovered, status: metav1.ConditionFalse, reason: "ShardsNotReady", message: "1 shard of 3 without a ready pod: 0", phase: v1alpha1.PhaseIncomplete},
		{name: "a pod of another partition covers nothing", override: func(w *world) {
			w.observed.pods[0] = pod(0, "a", func(p *corev1.Pod) { p.Labels[v1alpha1.LabelTotalShards] = "5" })
		}, condition: v1alpha1.ConditionCovered, status: metav1.ConditionFalse, reason: "ShardsNotReady", phase: v1alpha1.PhaseIncomplete},
		{name: "no node for a pod", override: func(w *world) { w.observed.pods[1] = pod(1, "a", unschedulable) },
			condition: v1alpha1.ConditionSchedulable, status: metav1.ConditionFalse, reason: "Unschedulable", message: "1 pod waits for a node; the scheduler says of ksm-main-shard-1-of-3-a: 0/3 nodes are available", phase: v1alpha1.PhaseIncomplete},
		{name: "no node for a pod until its Deployment misses its deadline", override: func(w *world) {
			w.observed.pods = append(w.observed.pods, pod(1, "b", unschedulable))
			w.observed.deployments[1].Status.Conditions = []appsv1.DeploymentCondition{{Type: appsv1.DeploymentProgressing, Status: corev1.ConditionFalse, Reason: "ProgressDeadlineExceeded", Message: "has timed out"}}
		}, condition: v1alpha1.ConditionSchedulable, status: metav1.ConditionFalse, reason: "Unschedulable", message: "0/3 nodes are available", phase: v1alpha1.PhaseScaling},
		{name: "an image that cannot be pulled", override: func(w *world) { w.observed.pods = append(w.observed.pods, pod(0, "b", waiting("ImagePullBackOff"))) },
			condition: v1alpha1.ConditionProgressing, status: metav1.ConditionFalse, reason: "ImagePullBackOff", message: testImage + ": it cannot be pulled", phase: v1alpha1.PhaseScaling},
		{name: "an image that is being tried again", override: func(w *world) { w.observed.pods = append(w.observed.pods, pod(0, "b", waiting("ErrImagePull"))) },
			condition: v1alpha1.ConditionProgressing, status: metav1.ConditionFalse, reason: "ImagePullBackOff", phase: v1alpha1.PhaseScaling},
		{name: "a container that cannot be configured", override: func(w *world) {
			w.observed.pods = append(w.observed.pods, pod(0, "b", waiting("CreateContainerConfigError")))
		}, condition: v1alpha1.ConditionProgressing, status: metav1.ConditionFalse, reason: "CreateContainerConfigError", message: "said the kubelet", phase: v1alpha1.PhaseScaling},
		{name: "a container that is only just being made", override: func(w *world) { w.observed.pods[0] = pod(0, "a", waiting("ContainerCreating")) },
			condition: v1alpha1.ConditionCovered, status: metav1.ConditionFalse, reason: "ShardsNotReady", phase: v1alpha1.PhaseIncomplete},
		{name: "pods that may not be created", override: func(w *world) {
			w.observed.deployments[0].Status.Conditions = []appsv1.DeploymentCondition{{Type: appsv1.DeploymentReplicaFailure, Status: corev1.ConditionTrue, Reason: "FailedCreate", Message: "exceeded quota"}}
		}, condition: v1alpha1.ConditionProgressing, status: metav1.ConditionFalse, reason: "FailedCreate", message: "exceeded quota", phase: v1alpha1.PhaseReady},
		{name: "no namespace", override: func(w *world) {
			w.applyErr = refused(apierrors.NewNotFound(corev1.Resource("namespaces"), "monitoring"))
		},
			condition: v1alpha1.ConditionProgressing, status: metav1.ConditionFalse, reason: "NamespaceNotFound", message: `spec.namespace "monitoring" does not exist: create it`, phase: v1alpha1.PhaseReady},
		{name: "a namespace that is being deleted", override: func(w *world) {
			terminating := apierrors.NewForbidden(services, "a", errors.New("no"))
			terminating.ErrStatus.Details.Causes = []metav1.StatusCause{{Type: corev1.NamespaceTerminatingCause}}
			w.applyErr = refused(terminating)
		},
			condition: v1alpha1.ConditionProgressing, status: metav1.ConditionFalse, reason: "NamespaceTerminating", message: `spec.namespace "monitoring" is being deleted`, phase: v1alpha1.PhaseReady},
		{name: "no rights", override: func(w *world) { w.applyErr = refused(apierrors.NewForbidden(services, "a", errors.New("no"))) },
			condition: v1alpha1.ConditionProgressing, status: metav1.ConditionFalse, reason: "Forbidden", message: "services", phase: v1alpha1.PhaseReady},
		{name: "someone else's object", override: func(w *world) { w.applyErr = refused(notOwnedError{kind: "Service", name: "monitoring/a"}) },
			condition: v1alpha1.ConditionProgressing, status: metav1.ConditionFalse, reason: "NotOwned", message: "Service monitoring/a exists", phase: v1alpha1.PhaseReady},
		{name: "refused for another reason", override: func(w *world) { w.applyErr = refused(apierrors.NewBadRequest("nonsense")) },
			condition: v1alpha1.ConditionProgressing, status: metav1.ConditionFalse, reason: "ApplyFailed", message: "nonsense", phase: v1alpha1.PhaseReady},
		{name: "external metrics are not registered", override: func(w *world) { w.observed.apiService = nil },
			condition: v1alpha1.ConditionAutoscaling, status: metav1.ConditionFalse, reason: "RegistrationPending", phase: v1alpha1.PhaseReady},
		{name: "external metrics may not be registered", override: func(w *world) {
			w.observed.apiService, w.registrationErr = nil, refused(apierrors.NewForbidden(services, "a", errors.New("no")))
		}, condition: v1alpha1.ConditionAutoscaling, status: metav1.ConditionFalse, reason: "Forbidden", message: "cannot be registered", phase: v1alpha1.PhaseReady},
		{name: "external metrics cannot be registered", override: func(w *world) {
			w.observed.apiService, w.registrationErr = nil, errors.New("no such role")
		}, condition: v1alpha1.ConditionAutoscaling, status: metav1.ConditionFalse, reason: "RegistrationFailed", message: "no such role", phase: v1alpha1.PhaseReady},
		{name: "external metrics are switched off, whoever serves others", override: func(w *world) {
			w.observed.apiService, w.registrationErr = registered("keda", "metrics", apiregistrationv1.ConditionTrue), errExternalMetricsOff
		}, condition: v1alpha1.ConditionAutoscaling, status: metav1.ConditionFalse, reason: "RegistrationFailed", message: "Direct or None", phase: v1alpha1.PhaseReady},
		{name: "another adapter's registration that would go with ours", override: func(w *world) {
			w.observed.apiService, w.registrationErr = registered("keda", "metrics", apiregistrationv1.ConditionTrue), letGoError{errors.New("refused")}
		}, condition: v1alpha1.ConditionAutoscaling, status: metav1.ConditionFalse, reason: "ForeignAPIService", message: "uninstalling KSMScale would delete APIService v1beta1.external.metrics.k8s.io", phase: v1alpha1.PhaseReady},
		{name: "the registration is there, if it cannot be looked after at the moment", override: func(w *world) { w.registrationErr = errors.New("timeout") },
			condition: v1alpha1.ConditionAutoscaling, status: metav1.ConditionTrue, reason: "FollowingNodes", ready: "True AsPlanned", phase: v1alpha1.PhaseReady},
		{name: "external metrics are someone else's", override: func(w *world) { w.observed.apiService = registered("keda", "metrics", apiregistrationv1.ConditionTrue) },
			condition: v1alpha1.ConditionAutoscaling, status: metav1.ConditionFalse, reason: "ForeignAPIService", message: "Service keda/metrics", phase: v1alpha1.PhaseReady},
		{name: "someone else's external metrics have several ways out", override: func(w *world) {
			w.observed.apiService = registered("datadog", "metrics", apiregistrationv1.ConditionFalse)
			w.observed.apiService.Spec.Service.Port = new(int32(8443))
		}, condition: v1alpha1.ConditionAutoscaling, status: metav1.ConditionFalse, reason: "ForeignAPIService", message: "delete it together with what installed it; or keep that one and put KSMScale's adapter in front of it, with its flag --delegate=datadog/metrics:8443 (docs/delegate.md); or set spec.autoscaling.mode to Direct", phase: v1alpha1.PhaseReady},
		{name: "external metrics are the API server's own", override: func(w *world) { w.observed.apiService = &apiregistrationv1.APIService{} },
			condition: v1alpha1.ConditionAutoscaling, status: metav1.ConditionFalse, reason: "ForeignAPIService", message: "the API server itself", phase: v1alpha1.PhaseReady},
		{name: "the adapter is down", override: func(w *world) {
			w.observed.apiService = registered("ksmscale-system", "ksmscale-adapter", apiregistrationv1.ConditionFalse)
		}, condition: v1alpha1.ConditionAutoscaling, status: metav1.ConditionFalse, reason: "MissingEndpoints", message: "no endpoints", phase: v1alpha1.PhaseReady},
		{name: "a HorizontalPodAutoscaler cannot act", override: func(w *world) {
			w.observed.autoscalers[1].Status.Conditions[0] = autoscalingv2.HorizontalPodAutoscalerCondition{Type: autoscalingv2.ScalingActive, Status: corev1.ConditionFalse, Reason: "FailedGetExternalMetric", Message: "no metrics"}
		}, condition: v1alpha1.ConditionAutoscaling, status: metav1.ConditionFalse, reason: "FailedGetExternalMetric", message: "HorizontalPodAutoscaler ksm-main-shard-1-of-3: no metrics", phase: v1alpha1.PhaseReady},
		{name: "a Deployment was scaled to 0 by hand", override: func(w *world) {
			w.observed.autoscalers[1].Namespace, w.observed.autoscalers[1].Spec.ScaleTargetRef.Name = "monitoring", shard(1).Name()
			w.observed.autoscalers[1].Status.Conditions[0] = autoscalingv2.HorizontalPodAutoscalerCondition{Type: autoscalingv2.ScalingActive, Status: corev1.ConditionFalse, Reason: "ScalingDisabled", Message: "scaling is disabled"}
		}, condition: v1alpha1.ConditionAutoscaling, status: metav1.ConditionFalse, reason: "ScalingDisabled", message: "kubectl -n monitoring scale deployment ksm-main-shard-1-of-3 --replicas=1", phase: v1alpha1.PhaseReady},
		{name: "a HorizontalPodAutoscaler has conditions that are well when False", override: func(w *world) {
			w.observed.autoscalers[1].Status.Conditions = append(w.observed.autoscalers[1].Status.Conditions,
				autoscalingv2.HorizontalPodAutoscalerCondition{Type: autoscalingv2.ScalingLimited, Status: corev1.ConditionFalse, Reason: "DesiredWithinRange"},
				autoscalingv2.HorizontalPodAutoscalerCondition{Type: "ScaledToZero", Status: corev1.ConditionFalse, Reason: "NotScaledToZero"})
		}, condition: v1alpha1.ConditionReady, status: metav1.ConditionTrue, reason: v1alpha1.ReasonAsPlanned, phase: v1alpha1.PhaseReady},
		{name: "a HorizontalPodAutoscaler has not acted yet", override: func(w *world) { w.observed.autoscalers[1].Status.Conditions = nil },
			condition: v1alpha1.ConditionAutoscaling, status: metav1.ConditionUnknown, reason: "Starting", phase: v1alpha1.PhaseReady},
		{name: "an API server that drops tolerances", override: func(w *world) { w.observed.autoscalers[1].Spec.Behavior.ScaleUp = &autoscalingv2.HPAScalingRules{} },
			condition: v1alpha1.ConditionAutoscaling, status: metav1.ConditionTrue, reason: "ToleranceIgnored", message: "from 10 replicas", ready: "True AsPlanned", phase: v1alpha1.PhaseReady},
	} {
		t.Run(test.name, func(t *testing.T) {
			status := newWorld(test.override).status()
			condition := meta.FindStatusCondition(status.Conditions, test.condition)
			require.NotNil(t, condition)
			assert.Equal(t, test.status, condition.Status)
			assert.Equal(t, test.reason, condition.Reason)
			assert.Contains(t, condition.Message, test.message)
			assert.EqualValues(t, 1, condition.ObservedGeneration)
			assert.Equal(t, test.phase, status.Phase)

			ready := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionReady)
			wanted := test.ready
			if wanted == "" {
				wanted = string(test.status) + " " + test.reason
			}
			assert.Equal(t, wanted, string(ready.Status)+" "+ready.Reason)
		})
	}
}

// The kubelet tries again and again, and the status stays as it is meanwhile.
func TestFailingContainersLeaveTheStatusAsItIs(t *testing.T) {
	for _, test := range []struct {
		name, reason string
		phases       []func(*corev1.Pod)
	}{
		{"an image that cannot be pulled", "ImagePullBackOff", []func(*corev1.Pod){
			waiting("ImagePullBackOff"), waiting("ErrImagePull"),
			func(p *corev1.Pod) {
				waiting("ErrImagePull")(p)
				p.Status.ContainerStatuses[0].State.Waiting.Message = "said differently"
			},
		}},
		{"a container that ends", "CrashLoopBackOff", []func(*corev1.Pod){backingOff(2), failing(3), backingOff(3), failing(4)}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var first v1alpha1.KSMScaleStatus
			for i, phase := range test.phases {
				status := newWorld(func(w *world) { w.observed.pods[0] = pod(0, "a", phase) }).status()
				if i == 0 {
					first = status
				}
				assert.Equal(t, test.reason, meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionReady).Reason)
				assert.Equal(t, first, status)
			}
		})
	}
}

func TestContainersThatOnlyStartAgain(t *testing.T) {
	for name, p := range map[string]func(*corev1.Pod){
		"for the first time": failing(1),
		"after running for days": failing(7, func(c *corev1.ContainerStatus) {
			c.LastTerminationState.Terminated.StartedAt = metav1.NewTime(testTime.AddDate(0, 0, -5))
		}),
		"long ago, and are unready for another reason": failing(7, func(c *corev1.ContainerStatus) {
			c.State.Running.StartedAt = metav1.NewTime(testTime.Add(-time.Hour))
		}),
	} {
		status := newWorld(func(w *world) { w.observed.pods[0] = pod(0, "a", p) }).status()
		assert.Equal(t, v1alpha1.ReasonShardsNotReady, meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionReady).Reason, name)
	}
}

func TestTransitionTimesAreKept(t *testing.T) {
	w := newWorld()
	w.ksmScale.Status.Conditions = w.status().Conditions
	earlier := metav1.NewTime(testTime.Add(-time.Hour))
	for i := range w.ksmScale.Status.Conditions {
		w.ksmScale.Status.Conditions[i].LastTransitionTime = earlier
	}
	w.observed.pods[0] = pod(0, "a", notReady)
	conditions := w.status().Conditions
	assert.Equal(t, earlier, meta.FindStatusCondition(conditions, v1alpha1.ConditionSchedulable).LastTransitionTime)
	assert.Equal(t, testTime, meta.FindStatusCondition(conditions, v1alpha1.ConditionCovered).LastTransitionTime.UTC())
}

func TestLongMessagesAreCut(t *testing.T) {
	w := newWorld(func(w *world) { w.applyErr = errors.New(strings.Repeat("long ", 2000)) })
	message := meta.FindStatusCondition(w.status().Conditions, v1alpha1.ConditionProgressing).Message
	assert.Len(t, message, maxConditionMessage)
	assert.True(t, strings.HasSuffix(message, "..."))

	message = shortened(strings.Repeat("ü", 10), 10)
	assert.Equal(t, "üüü...", message, "no character is cut in two")
}

func TestStatusCounts(t *testing.T) {
	w := newWorld(func(w *world) {
		w.nodes = 3000
		w.ksmScale.Generation = 7
		for i := range 150 {
			w.observed.pods = append(w.observed.pods, pod(1, fmt.Sprintf("extra-%03d", i), notReady))
		}
	})
	status := w.status()
	assert.EqualValues(t, 7, status.ObservedGeneration)
	assert.EqualValues(t, 3000, status.NodeCount)
	assert.EqualValues(t, 200, status.DesiredReplicas)
	assert.EqualValues(t, 153, status.CurrentReplicas)
	assert.EqualValues(t, 3, status.ShardingStatus.TotalShards)
	crowded := status.ShardingStatus.ShardDistribution["1"]
	assert.EqualValues(t, 151, crowded.Replicas, "replicas is the truth")
	assert.Len(t, crowded.Pods, 100, "names are not all listed")
	assert.EqualValues(t, 1, crowded.Ready)
	assert.IsNonDecreasing(t, crowded.Pods)
}

func TestEventTypes(t *testing.T) {
	for _, test := range []struct {
		reason      string
		status      metav1.ConditionStatus
		wereCovered bool
		want        string
	}{
		{v1alpha1.ReasonAsPlanned, metav1.ConditionTrue, true, corev1.EventTypeNormal},
		{v1alpha1.ReasonScaling, metav1.ConditionFalse, true, corev1.EventTypeNormal},
		{v1alpha1.ReasonPodsNotReady, metav1.ConditionFalse, true, corev1.EventTypeNormal},
		{v1alpha1.ReasonShardsNotReady, metav1.ConditionFalse, false, corev1.EventTypeNormal},
		{v1alpha1.ReasonShardsNotReady, metav1.ConditionFalse, true, corev1.EventTypeWarning},
		{v1alpha1.ReasonForbidden, metav1.ConditionFalse, false, corev1.EventTypeWarning},
	} {
		assert.Equal(t, test.want, eventType(&metav1.Condition{Status: test.status, Reason: test.reason}, test.wereCovered), "%+v", test)
	}
}
