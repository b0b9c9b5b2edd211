package status

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
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/controller/fixtures"
	"github.com/example/ksmscale/controller/fixtures/snapshots"
	"github.com/example/ksmscale/controller/observation"
	"github.com/example/ksmscale/controller/partition"
	"github.com/example/ksmscale/plans"
	"github.com/example/ksmscale/scaling"
)

// world is all that the status is made from: by default 45 nodes, and a ready pod of each of three shards.
type world struct {
	ksmScale *v1alpha1.KSMScale
	nodes    int
	kinds    fixtures.NodeKinds
	// unzoned are nodes without a zone that pods can run on.
	unzoned  int
	observed observation.Snapshot
	applyErr error
	scaleErr error
	// externalMetrics is the state of their registration.
	externalMetrics ExternalMetrics
	notBefore       time.Time
}

func (w world) status() v1alpha1.KSMScaleStatus {
	w.observed.Deployments = slices.Clone(w.observed.Deployments)
	snapshots.CountPods(&w.observed)
	cluster := scaling.Cluster{Nodes: w.nodes, Placeable: w.unzoned}
	planned := plans.New(partition.WithPausedShards(w.ksmScale, w.observed), cluster, fixtures.Time)
	decision := partition.Decide(partition.Targets(planned, w.observed), w.observed, fixtures.Time)
	return Compute(Input{
		KSMScale: w.ksmScale, Planned: planned, Snapshot: w.observed, Decision: decision, Failures: Failures{Apply: w.applyErr, Scale: w.scaleErr},
		ExternalMetrics: w.externalMetrics, Adapter: fixtures.Adapter, NodeKinds: w.kinds.Kinds(), Now: metav1.NewTime(fixtures.Time).Rfc3339Copy(),
		ScaleDownNotBefore: w.notBefore,
	})
}

func newWorld(overrides ...func(*world)) world {
	w := world{ksmScale: fixtures.KSMScale(), nodes: 45}
	w.observed.APIService = fixtures.RegisteredAPIService("ksmscale-system", "ksmscale-adapter", apiregistrationv1.ConditionTrue)
	for id := range int32(3) {
		w.observed.Pods = append(w.observed.Pods, fixtures.Pod(id, "a"))
		w.observed.Deployments = append(w.observed.Deployments, appsv1.Deployment{
			ObjectMeta: metav1.ObjectMeta{Name: fixtures.Shard(id).Name(), Generation: 5, Labels: fixtures.Shard(id).Selector()},
			Status:     appsv1.DeploymentStatus{ObservedGeneration: 5, Replicas: 1, UpdatedReplicas: 1},
		})
		w.observed.Autoscalers = append(w.observed.Autoscalers, fixtures.ActingAutoscaler(id))
	}
	for _, override := range overrides {
		override(&w)
	}
	return w
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
			condition: v1alpha1.ConditionReady, status: metav1.ConditionTrue, reason: "AtMinimum", message: "10 nodes / 15 nodes per monitor = 1 replica calculated; the minimum of 3 runs", ready: "True AtMinimum", phase: v1alpha1.PhaseReady},
		{name: "at the maximum", override: func(w *world) { w.nodes, w.ksmScale.Spec.Sharding.MaxReplicasPerShard = 90, 1 },
			condition: v1alpha1.ConditionReady, status: metav1.ConditionTrue, reason: "AtMaximum", message: "6 replicas calculated; the maximum of 3 runs", ready: "True AtMaximum", phase: v1alpha1.PhaseReady},
		{name: "one node", override: func(w *world) { w.nodes, w.ksmScale.Spec.NodesPerMonitor = 1, 1 },
			condition: v1alpha1.ConditionReady, status: metav1.ConditionTrue, reason: "AtMinimum", message: "1 node / 1 node per monitor = 1 replica calculated", ready: "True AtMinimum", phase: v1alpha1.PhaseReady},
		{name: "scaled to 0 by hand", override: func(w *world) {
			w.observed.Pods, w.observed.Deployments[1].Spec.Replicas = slices.Delete(w.observed.Pods, 1, 2), new(int32(0))
		}, condition: v1alpha1.ConditionCovered, status: metav1.ConditionFalse, reason: "ShardsNotReady",
			message: "Deployment ksm-main-shard-1-of-3 is scaled to 0: kubectl -n monitoring scale deployment ksm-main-shard-1-of-3 --replicas=1; shard 1 of 3 has no ready pod", phase: v1alpha1.PhaseIncomplete},
		{name: "scaling up", override: func(w *world) { w.nodes = 60 },
			condition: v1alpha1.ConditionProgressing, status: metav1.ConditionTrue, reason: "Scaling", message: "3 of 4 desired pods exist", ready: "False Scaling", phase: v1alpha1.PhaseScaling},
		{name: "pods are many enough, but of the wrong shards", override: func(w *world) {
			w.nodes = 60
			w.observed.Pods = append(w.observed.Pods, fixtures.Pod(2, "b"))
		}, condition: v1alpha1.ConditionProgressing, status: metav1.ConditionTrue, reason: "Scaling", ready: "False Scaling", phase: v1alpha1.PhaseScaling},
		{name: "pods of the wrong shards leave one without", override: func(w *world) {
			w.observed.Pods[1] = fixtures.Pod(0, "b")
		}, condition: v1alpha1.ConditionProgressing, status: metav1.ConditionTrue, reason: "Scaling", message: "do not have their desired number of pods", ready: "False ShardsNotReady", phase: v1alpha1.PhaseIncomplete},
		{name: "no right, and no node for a pod", override: func(w *world) {
			w.observed.Pods = append(w.observed.Pods, fixtures.Pod(1, "b", fixtures.Unschedulable))
			w.applyErr = refused(apierrors.NewForbidden(services, "a", errors.New("no")))
		}, condition: v1alpha1.ConditionProgressing, status: metav1.ConditionFalse, reason: "Forbidden", phase: v1alpha1.PhaseScaling},
		{name: "rolling out", override: func(w *world) { w.observed.Deployments[1].Status.Replicas = 2 },
			condition: v1alpha1.ConditionProgressing, status: metav1.ConditionTrue, reason: "RollingOut",
			message: "2 of 3 shards have the current template; shard 1 replaces its pods", ready: "False RollingOut", phase: v1alpha1.PhaseRollingOut},
		{name: "shards that wait for others", override: func(w *world) {
			w.observed.Deployments[0].Status.Replicas, w.observed.Deployments[1].Status.Replicas = 2, 2
			w.observed.Outdated = sets.New(fixtures.Shard(2))
		}, condition: v1alpha1.ConditionProgressing, status: metav1.ConditionTrue, reason: "RollingOut",
			message: "0 of 3 shards have the current template; shards 0, 1 replace their pods", ready: "False RollingOut", phase: v1alpha1.PhaseRollingOut},
		{name: "a new image that its Deployment has not acted on yet", override: func(w *world) { w.observed.Deployments[1].Generation = 6 },
			condition: v1alpha1.ConditionProgressing, status: metav1.ConditionTrue, reason: "RollingOut", ready: "False RollingOut", phase: v1alpha1.PhaseRollingOut},
		{name: "one of two pods is not ready", override: func(w *world) {
			w.ksmScale.Spec.Sharding.MinReplicasPerShard = 2
			for id := range int32(3) {
				w.observed.Pods = append(w.observed.Pods, fixtures.Pod(id, "b", fixtures.NotReady))
			}
		}, condition: v1alpha1.ConditionProgressing, status: metav1.ConditionTrue, reason: "PodsNotReady", message: "3 of 6 desired pods are ready", ready: "False PodsNotReady", phase: v1alpha1.PhaseDegraded},
		{name: "a shard without a ready pod", override: func(w *world) { w.observed.Pods[2] = fixtures.Pod(2, "a", fixtures.NotReady) },
			condition: v1alpha1.ConditionCovered, status: metav1.ConditionFalse, reason: "ShardsNotReady", message: "Shard 2 of 3 has no ready pod; kubectl -n monitoring describe pods -l ksmscale.example.com=main,shard-id=2 shows the cause", phase: v1alpha1.PhaseIncomplete},
		{name: "two shards without a ready pod", override: func(w *world) {
			w.observed.Pods[0], w.observed.Pods[2] = fixtures.Pod(0, "a", fixtures.NotReady), fixtures.Pod(2, "a", fixtures.NotReady)
		}, condition: v1alpha1.ConditionCovered, status: metav1.ConditionFalse, reason: "ShardsNotReady", message: "Shards 0, 2 of 3 have no ready pod; kubectl", phase: v1alpha1.PhaseIncomplete},
		{name: "no pods", override: func(w *world) { w.observed.Pods = nil },
			condition: v1alpha1.ConditionCovered, status: metav1.ConditionFalse, reason: "ShardsNotReady", message: "No shard has a ready pod; kubectl", phase: v1alpha1.PhaseIncomplete},
		{name: "a pod that is being deleted covers nothing", override: func(w *world) {
			w.observed.Pods[0] = fixtures.Pod(0, "a", func(p *corev1.Pod) { p.DeletionTimestamp = new(metav1.NewTime(fixtures.Time)) })
		}, condition: v1alpha1.ConditionCovered, status: metav1.ConditionFalse, reason: "ShardsNotReady", message: "Shard 0 of 3 has no ready pod", phase: v1alpha1.PhaseIncomplete},
		{name: "a pod of another partition covers nothing", override: func(w *world) {
			w.observed.Pods[0] = fixtures.Pod(0, "a", func(p *corev1.Pod) { p.Labels[v1alpha1.LabelTotalShards] = "5" })
		}, condition: v1alpha1.ConditionCovered, status: metav1.ConditionFalse, reason: "ShardsNotReady", phase: v1alpha1.PhaseIncomplete},
		{name: "no node for a pod", override: func(w *world) { w.observed.Pods[1] = fixtures.Pod(1, "a", fixtures.Unschedulable) },
			condition: v1alpha1.ConditionSchedulable, status: metav1.ConditionFalse, reason: "Unschedulable", message: "1 pod waits for a node; the scheduler reports about ksm-main-shard-1-of-3-a: 0/3 nodes are available", phase: v1alpha1.PhaseIncomplete},
		{name: "no node for a pod until its Deployment misses its deadline", override: func(w *world) {
			w.observed.Pods = append(w.observed.Pods, fixtures.Pod(1, "b", fixtures.Unschedulable))
			w.observed.Deployments[1].Status.Conditions = []appsv1.DeploymentCondition{{Type: appsv1.DeploymentProgressing, Status: corev1.ConditionFalse, Reason: "ProgressDeadlineExceeded", Message: "has timed out"}}
		}, condition: v1alpha1.ConditionSchedulable, status: metav1.ConditionFalse, reason: "Unschedulable", message: "0/3 nodes are available", phase: v1alpha1.PhaseScaling},
		{name: "an image that cannot be pulled", override: func(w *world) {
			w.observed.Pods = append(w.observed.Pods, fixtures.Pod(0, "b", fixtures.Waiting("ImagePullBackOff")))
		},
			condition: v1alpha1.ConditionProgressing, status: metav1.ConditionFalse, reason: "ImagePullBackOff", message: fixtures.Image + ": the kubelet cannot pull it", phase: v1alpha1.PhaseScaling},
		{name: "an image that is being tried again", override: func(w *world) {
			w.observed.Pods = append(w.observed.Pods, fixtures.Pod(0, "b", fixtures.Waiting("ErrImagePull")))
		},
			condition: v1alpha1.ConditionProgressing, status: metav1.ConditionFalse, reason: "ImagePullBackOff", phase: v1alpha1.PhaseScaling},
		{name: "a container that cannot be configured", override: func(w *world) {
			w.observed.Pods = append(w.observed.Pods, fixtures.Pod(0, "b", fixtures.Waiting("CreateContainerConfigError")))
		}, condition: v1alpha1.ConditionProgressing, status: metav1.ConditionFalse, reason: "CreateContainerConfigError", message: "reported by the kubelet", phase: v1alpha1.PhaseScaling},
		{name: "a container that is only just being made", override: func(w *world) { w.observed.Pods[0] = fixtures.Pod(0, "a", fixtures.Waiting("ContainerCreating")) },
			condition: v1alpha1.ConditionCovered, status: metav1.ConditionFalse, reason: "ShardsNotReady", phase: v1alpha1.PhaseIncomplete},
		{name: "pods that may not be created", override: func(w *world) {
			w.observed.Deployments[0].Status.Conditions = []appsv1.DeploymentCondition{{Type: appsv1.DeploymentReplicaFailure, Status: corev1.ConditionTrue, Reason: "FailedCreate", Message: "exceeded quota"}}
		}, condition: v1alpha1.ConditionProgressing, status: metav1.ConditionFalse, reason: "FailedCreate", message: "exceeded quota", phase: v1alpha1.PhaseDegraded},
		{name: "no namespace", override: func(w *world) {
			w.applyErr = refused(apierrors.NewNotFound(corev1.Resource("namespaces"), "monitoring"))
		},
			condition: v1alpha1.ConditionProgressing, status: metav1.ConditionFalse, reason: "NamespaceNotFound", message: `spec.namespace "monitoring" does not exist: create it`, phase: v1alpha1.PhaseDegraded},
		{name: "a namespace that is being deleted", override: func(w *world) {
			terminating := apierrors.NewForbidden(services, "a", errors.New("no"))
			terminating.ErrStatus.Details.Causes = []metav1.StatusCause{{Type: corev1.NamespaceTerminatingCause}}
			w.applyErr = refused(terminating)
		},
			condition: v1alpha1.ConditionProgressing, status: metav1.ConditionFalse, reason: "NamespaceTerminating", message: `spec.namespace "monitoring" is being deleted`, phase: v1alpha1.PhaseDegraded},
		{name: "no rights", override: func(w *world) { w.applyErr = refused(apierrors.NewForbidden(services, "a", errors.New("no"))) },
			condition: v1alpha1.ConditionProgressing, status: metav1.ConditionFalse, reason: "Forbidden", message: "services", phase: v1alpha1.PhaseDegraded},
		{name: "someone else's object", override: func(w *world) { w.applyErr = refused(NotOwnedError{Kind: "Service", Name: "monitoring/a"}) },
			condition: v1alpha1.ConditionProgressing, status: metav1.ConditionFalse, reason: "NotOwned", message: "Service monitoring/a exists", phase: v1alpha1.PhaseDegraded},
		{name: "refused for another reason", override: func(w *world) { w.applyErr = refused(apierrors.NewBadRequest("nonsense")) },
			condition: v1alpha1.ConditionProgressing, status: metav1.ConditionFalse, reason: "ApplyFailed", message: "nonsense", phase: v1alpha1.PhaseDegraded},
		{name: "external metrics are not registered", override: func(w *world) { w.observed.APIService = nil },
			condition: v1alpha1.ConditionAutoscaling, status: metav1.ConditionFalse, reason: "RegistrationPending", phase: v1alpha1.PhaseDegraded},
		{name: "external metrics may not be registered", override: func(w *world) {
			w.observed.APIService, w.externalMetrics.Err = nil, refused(apierrors.NewForbidden(services, "a", errors.New("no")))
		}, condition: v1alpha1.ConditionAutoscaling, status: metav1.ConditionFalse, reason: "Forbidden", message: "cannot register external metrics", phase: v1alpha1.PhaseDegraded},
		{name: "external metrics cannot be registered", override: func(w *world) {
			w.observed.APIService, w.externalMetrics.Err = nil, errors.New("no such role")
		}, condition: v1alpha1.ConditionAutoscaling, status: metav1.ConditionFalse, reason: "RegistrationFailed", message: "no such role", phase: v1alpha1.PhaseDegraded},
		{name: "external metrics are switched off, whoever serves others", override: func(w *world) {
			w.observed.APIService = fixtures.RegisteredAPIService("keda", "metrics", apiregistrationv1.ConditionTrue)
			w.externalMetrics = ExternalMetrics{Disabled: true, Err: errors.New("this installation has no adapter (--external-metrics=false)")}
		}, condition: v1alpha1.ConditionAutoscaling, status: metav1.ConditionFalse, reason: "RegistrationFailed", message: "Direct or None", phase: v1alpha1.PhaseDegraded},
		{name: "another adapter's registration that would go with ours", override: func(w *world) {
			w.observed.APIService, w.externalMetrics.ReleaseErr = fixtures.RegisteredAPIService("keda", "metrics", apiregistrationv1.ConditionTrue), errors.New("refused")
		}, condition: v1alpha1.ConditionAutoscaling, status: metav1.ConditionFalse, reason: "ForeignAPIService", message: "uninstalling KSMScale would delete APIService v1beta1.external.metrics.k8s.io", phase: v1alpha1.PhaseDegraded},
		{name: "the registration is there, if it cannot be looked after at the moment", override: func(w *world) { w.externalMetrics.Err = errors.New("timeout") },
			condition: v1alpha1.ConditionAutoscaling, status: metav1.ConditionTrue, reason: "FollowingNodes", ready: "True AsPlanned", phase: v1alpha1.PhaseReady},
		{name: "external metrics are someone else's", override: func(w *world) {
			w.observed.APIService = fixtures.RegisteredAPIService("keda", "metrics", apiregistrationv1.ConditionTrue)
		},
			condition: v1alpha1.ConditionAutoscaling, status: metav1.ConditionFalse, reason: "ForeignAPIService", message: "Service keda/metrics", phase: v1alpha1.PhaseDegraded},
		{name: "someone else's external metrics have several ways out", override: func(w *world) {
			w.observed.APIService = fixtures.RegisteredAPIService("datadog", "metrics", apiregistrationv1.ConditionFalse)
			w.observed.APIService.Spec.Service.Port = new(int32(8443))
		}, condition: v1alpha1.ConditionAutoscaling, status: metav1.ConditionFalse, reason: "ForeignAPIService", message: "delete that APIService and the software that installed it; or keep that server and put KSMScale's adapter in front of it, with the adapter's flag --delegate=datadog/metrics:8443 (docs/delegate.md); or set spec.autoscaling.mode to Direct", phase: v1alpha1.PhaseDegraded},
		{name: "external metrics are the API server's own", override: func(w *world) { w.observed.APIService = &apiregistrationv1.APIService{} },
			condition: v1alpha1.ConditionAutoscaling, status: metav1.ConditionFalse, reason: "ForeignAPIService", message: "the API server itself", phase: v1alpha1.PhaseDegraded},
		{name: "the adapter is down", override: func(w *world) {
			w.observed.APIService = fixtures.RegisteredAPIService("ksmscale-system", "ksmscale-adapter", apiregistrationv1.ConditionFalse)
		}, condition: v1alpha1.ConditionAutoscaling, status: metav1.ConditionFalse, reason: "MissingEndpoints", message: "no endpoints", phase: v1alpha1.PhaseDegraded},
		{name: "a HorizontalPodAutoscaler cannot act", override: func(w *world) {
			w.observed.Autoscalers[1].Status.Conditions[0] = autoscalingv2.HorizontalPodAutoscalerCondition{Type: autoscalingv2.ScalingActive, Status: corev1.ConditionFalse, Reason: "FailedGetExternalMetric", Message: "no metrics"}
		}, condition: v1alpha1.ConditionAutoscaling, status: metav1.ConditionFalse, reason: "FailedGetExternalMetric", message: "HorizontalPodAutoscaler ksm-main-shard-1-of-3: no metrics", phase: v1alpha1.PhaseDegraded},
		{name: "a Deployment was scaled to 0 by hand", override: func(w *world) {
			w.observed.Autoscalers[1].Namespace, w.observed.Autoscalers[1].Spec.ScaleTargetRef.Name = "monitoring", fixtures.Shard(1).Name()
			w.observed.Autoscalers[1].Status.Conditions[0] = autoscalingv2.HorizontalPodAutoscalerCondition{Type: autoscalingv2.ScalingActive, Status: corev1.ConditionFalse, Reason: "ScalingDisabled", Message: "scaling is disabled"}
		}, condition: v1alpha1.ConditionAutoscaling, status: metav1.ConditionFalse, reason: "ScalingDisabled", message: "kubectl -n monitoring scale deployment ksm-main-shard-1-of-3 --replicas=1", phase: v1alpha1.PhaseDegraded},
		{name: "a HorizontalPodAutoscaler has conditions that are well when False", override: func(w *world) {
			w.observed.Autoscalers[1].Status.Conditions = append(w.observed.Autoscalers[1].Status.Conditions,
				autoscalingv2.HorizontalPodAutoscalerCondition{Type: autoscalingv2.ScalingLimited, Status: corev1.ConditionFalse, Reason: "DesiredWithinRange"},
				autoscalingv2.HorizontalPodAutoscalerCondition{Type: "ScaledToZero", Status: corev1.ConditionFalse, Reason: "NotScaledToZero"})
		}, condition: v1alpha1.ConditionReady, status: metav1.ConditionTrue, reason: v1alpha1.ReasonAsPlanned, phase: v1alpha1.PhaseReady},
		{name: "a HorizontalPodAutoscaler has not acted yet", override: func(w *world) { w.observed.Autoscalers[1].Status.Conditions = nil },
			condition: v1alpha1.ConditionAutoscaling, status: metav1.ConditionUnknown, reason: "Starting", phase: v1alpha1.PhaseScaling},
		{name: "an API server that drops tolerances", override: func(w *world) { w.observed.Autoscalers[1].Spec.Behavior.ScaleUp = &autoscalingv2.HPAScalingRules{} },
			condition: v1alpha1.ConditionAutoscaling, status: metav1.ConditionTrue, reason: "ToleranceIgnored", message: "From 10 replicas", ready: "True AsPlanned", phase: v1alpha1.PhaseReady},
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
			desired := test.ready
			if desired == "" {
				desired = string(test.status) + " " + test.reason
			}
			assert.Equal(t, desired, string(ready.Status)+" "+ready.Reason)
			assert.Equal(t, status.Phase == v1alpha1.PhaseReady, ready.Status == metav1.ConditionTrue, "the phase does not contradict the condition")
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
			fixtures.Waiting("ImagePullBackOff"), fixtures.Waiting("ErrImagePull"),
			func(p *corev1.Pod) {
				fixtures.Waiting("ErrImagePull")(p)
				p.Status.ContainerStatuses[0].State.Waiting.Message = "said differently"
			},
		}},
		{"a container that ends", "CrashLoopBackOff", []func(*corev1.Pod){fixtures.BackingOff(2), fixtures.Failing(3), fixtures.BackingOff(3), fixtures.Failing(4)}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var first v1alpha1.KSMScaleStatus
			for i, phase := range test.phases {
				status := newWorld(func(w *world) { w.observed.Pods[0] = fixtures.Pod(0, "a", phase) }).status()
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
		"for the first time": fixtures.Failing(1),
		"after running for days": fixtures.Failing(7, func(c *corev1.ContainerStatus) {
			c.LastTerminationState.Terminated.StartedAt = metav1.NewTime(fixtures.Time.AddDate(0, 0, -5))
		}),
		"long ago, and are unready for another reason": fixtures.Failing(7, func(c *corev1.ContainerStatus) {
			c.State.Running.StartedAt = metav1.NewTime(fixtures.Time.Add(-time.Hour))
		}),
	} {
		status := newWorld(func(w *world) { w.observed.Pods[0] = fixtures.Pod(0, "a", p) }).status()
		assert.Equal(t, v1alpha1.ReasonShardsNotReady, meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionReady).Reason, name)
	}
}

func TestTransitionTimesAreKept(t *testing.T) {
	w := newWorld()
	w.ksmScale.Status.Conditions = w.status().Conditions
	earlier := metav1.NewTime(fixtures.Time.Add(-time.Hour))
	for i := range w.ksmScale.Status.Conditions {
		w.ksmScale.Status.Conditions[i].LastTransitionTime = earlier
	}
	w.observed.Pods[0] = fixtures.Pod(0, "a", fixtures.NotReady)
	conditions := w.status().Conditions
	assert.Equal(t, earlier, meta.FindStatusCondition(conditions, v1alpha1.ConditionSchedulable).LastTransitionTime)
	assert.Equal(t, fixtures.Time, meta.FindStatusCondition(conditions, v1alpha1.ConditionCovered).LastTransitionTime.UTC())
}

func TestLongMessagesAreCut(t *testing.T) {
	w := newWorld(func(w *world) { w.applyErr = errors.New(strings.Repeat("long ", 2000)) })
	message := meta.FindStatusCondition(w.status().Conditions, v1alpha1.ConditionProgressing).Message
	assert.Len(t, message, maxConditionMessage)
	assert.True(t, strings.HasSuffix(message, "..."))

	message = Shortened(strings.Repeat("ü", 10), 10)
	assert.Equal(t, "üüü...", message, "no character is cut in two")
}

func TestShardCountWithoutSharding(t *testing.T) {
	w := newWorld(func(w *world) { w.ksmScale.Spec.Sharding.Enabled = false })
	unsharded := v1alpha1.Shard{KSMScale: "main", Total: 1}
	w.observed.Deployments, w.observed.Pods = nil, nil
	snapshots.AddPartition(&w.observed, 1, 1, 3, fixtures.Time)
	w.observed.Autoscalers[0].Name = unsharded.Name()
	ready := meta.FindStatusCondition(w.status().Conditions, v1alpha1.ConditionReady)
	assert.Equal(t, metav1.ConditionTrue, ready.Status, ready.Message)
	assert.Contains(t, ready.Message, "spec.sharding.enabled is not true, so one set of pods exports all objects and shardCount has no effect: set enabled to true for 3 shards")
	covered := meta.FindStatusCondition(w.status().Conditions, v1alpha1.ConditionCovered)
	assert.Equal(t, "The only shard has a ready pod", covered.Message)
	ready = meta.FindStatusCondition(newWorld().status().Conditions, v1alpha1.ConditionReady)
	assert.NotContains(t, ready.Message, "shardCount")
}

func TestShardingThatAffectsOneShard(t *testing.T) {
	// The API server fills in these defaults.
	defaults := v1alpha1.ShardingConfig{ShardCount: 3, ReplicationStrategy: v1alpha1.RoundRobin, MinReplicasPerShard: 1}
	remark := func(change func(*v1alpha1.ShardingConfig)) string {
		sharding := defaults
		change(&sharding)
		ksmScale := fixtures.KSMScale(func(k *v1alpha1.KSMScale) { k.Spec.Sharding = &sharding })
		return ignoredShardCount(conditionInput{Input: Input{KSMScale: ksmScale}})
	}
	assert.Contains(t, remark(func(*v1alpha1.ShardingConfig) {}), "or remove spec.sharding", "it has only defaults")
	assert.NotEmpty(t, remark(func(s *v1alpha1.ShardingConfig) { s.ShardCount = 5 }))
	for name, change := range map[string]func(*v1alpha1.ShardingConfig){
		"minimum": func(s *v1alpha1.ShardingConfig) { s.MinReplicasPerShard = 2 },
		"maximum": func(s *v1alpha1.ShardingConfig) { s.MaxReplicasPerShard = 3 },
		"zones":   func(s *v1alpha1.ShardingConfig) { s.ReplicationStrategy = v1alpha1.ZoneAware },
	} {
		assert.Empty(t, remark(change), name)
	}
}

func TestStatusCounts(t *testing.T) {
	w := newWorld(func(w *world) {
		w.nodes = 3000
		w.ksmScale.Generation = 7
		for i := range 150 {
			w.observed.Pods = append(w.observed.Pods, fixtures.Pod(1, fmt.Sprintf("extra-%03d", i), fixtures.NotReady))
		}
	})
	status := w.status()
	assert.EqualValues(t, 7, status.ObservedGeneration)
	assert.EqualValues(t, 3000, status.NodeCount)
	assert.EqualValues(t, 200, status.DesiredReplicas)
	assert.EqualValues(t, 153, status.CurrentReplicas)
	assert.Equal(t, "3/153", status.Ready)
	assert.Nil(t, status.ShardingStatus.PreviousShardDistribution)
	assert.EqualValues(t, 3, status.ShardingStatus.TotalShards)
	crowded := status.ShardingStatus.ShardDistribution["1"]
	assert.EqualValues(t, 151, crowded.Replicas, "replicas is the truth")
	assert.Len(t, crowded.Pods, 100, "names are not all listed")
	assert.EqualValues(t, 1, crowded.Ready)
	assert.IsNonDecreasing(t, crowded.Pods)
}
