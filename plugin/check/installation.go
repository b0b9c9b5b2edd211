package check

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	"k8s.io/kube-aggregator/pkg/apis/apiregistration/v1/helper"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/controller/objects"
	"github.com/example/ksmscale/controller/observation"
	"github.com/example/ksmscale/plugin/cluster"
	"github.com/example/ksmscale/version"
)

// checkComponents looks at the Deployments of the installation in any namespace.
func (c checker) checkComponents(ctx context.Context) []Result {
	var results []Result
	for _, component := range []string{"controller", "adapter"} {
		var list appsv1.DeploymentList
		err := c.Client.List(ctx, &list, ofComponent(component))
		switch {
		case err != nil:
			results = append(results, checked(component, "", "", err))
		case len(list.Items) == 0 && component == "adapter":
			results = append(results, Result{component, Skipped, "the installation has none, so only the modes Direct and None scale", ""})
		case len(list.Items) == 0:
			results = append(results, Result{component, Failed, "it is not installed", "install KSMScale (docs/installation.md)"})
		}
		for i := range list.Items {
			results = append(results, c.checkComponent(ctx, component, &list.Items[i]))
			if component == "controller" {
				results = append(results, c.checkLease(ctx, &list.Items[i]))
			}
		}
	}
	return results
}

// ofComponent selects the objects of the controller or the adapter.
func ofComponent(component string) client.MatchingLabels {
	return client.MatchingLabels{"app.kubernetes.io/name": "ksmscale", "app.kubernetes.io/component": component}
}

func (c checker) checkComponent(ctx context.Context, component string, deployment *appsv1.Deployment) Result {
	name := deployment.Namespace + "/" + deployment.Name
	desired := observation.ReplicasOf(deployment)
	message := fmt.Sprintf("%d of %d pods of %s are available", deployment.Status.AvailableReplicas, desired, name)
	switch {
	case desired == 0:
		return Result{component, Failed, message + ", because it is scaled to 0",
			fmt.Sprintf("run kubectl -n %s scale deployment %s --replicas=1", deployment.Namespace, deployment.Name)}
	case deployment.Status.AvailableReplicas == 0:
		return Result{component, Failed, message + c.whyNoPod(ctx, deployment),
			fmt.Sprintf("see kubectl -n %s describe pods -l app.kubernetes.io/component=%s", deployment.Namespace, component)}
	}
	for _, container := range deployment.Spec.Template.Spec.Containers {
		if running := objects.ImageVersion(container.Image); running != "" && running != version.Version {
			return Result{component, Noted, fmt.Sprintf("%s, version %s, and the plugin has version %s", message, running, version.Version), ""}
		}
	}
	return Result{component, Passed, message, ""}
}

// whyNoPod is what the first unready pod of a Deployment waits for, or why the Deployment has no pod.
func (c checker) whyNoPod(ctx context.Context, deployment *appsv1.Deployment) string {
	pods, err := c.podsOf(ctx, deployment)
	if err != nil {
		return ""
	}
	for _, pod := range observation.SortedByName(pods) {
		if observation.IsActive(pod) && !observation.IsReady(pod) {
			return fmt.Sprintf("; pod %s: %s", pod.Name, cluster.WaitingFor(pod, ""))
		}
	}
	if refused := observation.RefusedPods(deployment); refused != nil {
		return "; " + refused.Message
	}
	return ""
}

// podsOf returns the pods that the selector of a Deployment matches.
func (c checker) podsOf(ctx context.Context, deployment *appsv1.Deployment) ([]corev1.Pod, error) {
	selector, err := metav1.LabelSelectorAsSelector(deployment.Spec.Selector)
	if err != nil {
		return nil, err
	}
	var list corev1.PodList
	err = c.Client.List(ctx, &list, client.InNamespace(deployment.Namespace), client.MatchingLabelsSelector{Selector: selector})
	return list.Items, err
}

// checkLease looks at who leads. Pods can be available although none of them leads.
func (c checker) checkLease(ctx context.Context, controller *appsv1.Deployment) Result {
	const check = "leader"
	fix := fmt.Sprintf("see kubectl -n %s logs deployment/%s", controller.Namespace, controller.Name)
	if slices.ContainsFunc(controller.Spec.Template.Spec.Containers, func(one corev1.Container) bool { return slices.Contains(one.Args, "--leader-elect=false") }) {
		return Result{check, Passed, "the controller elects none, because of --leader-elect=false", ""}
	}
	lease := &coordinationv1.Lease{}
	err := c.Client.Get(ctx, client.ObjectKey{Namespace: controller.Namespace, Name: v1alpha1.ControllerLeaseName}, lease)
	if apierrors.IsNotFound(err) {
		return Result{check, Failed, "no controller has ever led, so KSMScales have no effect", fix}
	}
	if err != nil {
		return checked(check, "", fix, err)
	}
	silent := c.Clock.Now().Sub(renewalOf(lease))
	isExpired := holderOf(lease) != "" && silent > time.Duration(ptr.Deref(lease.Spec.LeaseDurationSeconds, 0))*time.Second
	if isExpired {
		// The clock of the user may be ahead of the leader's clock. A second look shows without a clock whether the leader renews its lease.
		before := renewalOf(lease)
		if err := c.readAgain(ctx, lease); err != nil {
			return checked(check, "", fix, err)
		}
		isExpired = renewalOf(lease).Equal(before)
	}
	const ends = "; until one leads, changes of KSMScales have no effect, and their status is not updated"
	switch {
	case holderOf(lease) == "":
		return Result{check, Failed, fmt.Sprintf("no controller leads since %s, when the last one ended%s", renewalOf(lease).UTC().Format(time.RFC3339), ends), fix}
	case isExpired:
		return Result{check, Failed, fmt.Sprintf("no controller leads: %s has not renewed its lease for %s%s", holderOf(lease), silent.Round(time.Second), ends), fix}
	}
	return Result{check, Passed, holderOf(lease) + " leads", ""}
}

// readAgain reads a lease after a pause in which a leader renews it.
func (c checker) readAgain(ctx context.Context, lease *coordinationv1.Lease) error {
	if err := c.pause(ctx); err != nil {
		return err
	}
	return c.Client.Get(ctx, client.ObjectKeyFromObject(lease), lease)
}

// holderOf is the pod that holds a lease; empty if the last leader gave it up.
func holderOf(lease *coordinationv1.Lease) string {
	pod, _, _ := strings.Cut(ptr.Deref(lease.Spec.HolderIdentity, ""), "_")
	return pod
}

func renewalOf(lease *coordinationv1.Lease) time.Time {
	return ptr.Deref(lease.Spec.RenewTime, metav1.MicroTime{}).Time
}

// checkAPIService looks at the APIService of external metrics. needed is whether KSMScale must serve it.
func (c checker) checkAPIService(ctx context.Context, needed bool) Result {
	const check = "external metrics API"
	service := &apiregistrationv1.APIService{}
	err := c.Client.Get(ctx, client.ObjectKey{Name: v1alpha1.APIServiceName}, service)
	switch {
	case apierrors.IsNotFound(err) && needed:
		return Result{check, Failed, "APIService " + v1alpha1.APIServiceName + " does not exist", "see the logs of the controller, which creates it"}
	case apierrors.IsNotFound(err):
		return Result{check, Passed, "no other adapter serves external metrics", ""}
	case err != nil:
		return checked(check, "", "", err)
	}
	server := "the API server itself"
	if service.Spec.Service != nil {
		server = service.Spec.Service.Namespace + "/" + service.Spec.Service.Name
	}
	serves := server + " serves external metrics"
	unavailable := whyUnavailable(service)
	if unavailable != "" {
		serves = server + " is not available, " + unavailable
	}
	if !c.isOurs(ctx, service) {
		return Result{check, Warned, serves + ", and is not KSMScale's adapter", "set spec.autoscaling.mode to Direct, or put KSMScale's adapter in front of it with --delegate (docs/delegate.md)"}
	}
	if unavailable != "" {
		return Result{check, Failed, serves, "see whether the adapter's pods run, and whether the API server can reach them (docs/installation.md)"}
	}
	return Result{check, Passed, serves, ""}
}

// whyUnavailable is the reason and the message of an APIService that is not available; empty if it is.
func whyUnavailable(service *apiregistrationv1.APIService) string {
	condition := helper.GetAPIServiceConditionByType(service, apiregistrationv1.Available)
	if condition == nil || condition.Status == apiregistrationv1.ConditionTrue {
		return ""
	}
	return condition.Reason + ": " + condition.Message
}

// isOurs reports whether an adapter of KSMScale is the server of an APIService.
func (c checker) isOurs(ctx context.Context, registered *apiregistrationv1.APIService) bool {
	if registered.Spec.Service == nil {
		return false
	}
	service := &corev1.Service{}
	err := c.Client.Get(ctx, client.ObjectKey{Namespace: registered.Spec.Service.Namespace, Name: registered.Spec.Service.Name}, service)
	if err != nil {
		// It may be gone, and its name is what is left.
		return registered.Spec.Service.Name == "ksmscale-adapter"
	}
	return service.Spec.Selector["app.kubernetes.io/name"] == "ksmscale"
}

// checkExternalMetrics reads the metrics of all KSMScales, as `helm test` does.
func (c checker) checkExternalMetrics(ctx context.Context) Result {
	return checked("external metrics", "the API server serves the metrics of each KSMScale", "see the logs of the adapter", c.MetricsServed(ctx))
}
