package check

import (
	"context"
	"fmt"
	"slices"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/controller/objects"
	"github.com/example/ksmscale/controller/observation"
	"github.com/example/ksmscale/gate"
	"github.com/example/ksmscale/gate/exposition"
	"github.com/example/ksmscale/plugin/cluster"
)

// checkKSMScales reports each condition of each KSMScale that is not True.
func (c checker) checkKSMScales(ctx context.Context) []Result {
	ksmScales, err := c.KSMScales(ctx)
	if err != nil {
		return []Result{checked("KSMScales", "", "install KSMScale (docs/installation.md)", err)}
	}
	if len(ksmScales) == 0 {
		return []Result{{"KSMScales", Noted, "there is none", "create one, such as config/samples/medium.yaml"}}
	}
	var results []Result
	for i := range ksmScales {
		results = append(results, checkKSMScale(&ksmScales[i])...)
		results = append(results, c.checkShards(ctx, &ksmScales[i])...)
	}
	return results
}

func checkKSMScale(ksmScale *v1alpha1.KSMScale) []Result {
	check := "KSMScale " + ksmScale.Name
	ready := meta.FindStatusCondition(ksmScale.Status.Conditions, v1alpha1.ConditionReady)
	fix := "see kubectl ksmscale status " + ksmScale.Name
	switch {
	case ready == nil || ready.ObservedGeneration < ksmScale.Generation:
		return []Result{{check, Failed, "the controller has not seen its last change", "see whether the controller runs"}}
	case ready.Status != metav1.ConditionTrue:
		return append([]Result{{check, Failed, "Ready " + string(ready.Status) + ", " + ready.Reason + ": " + ready.Message, fix}}, checkConditions(ksmScale, ready.Message)...)
	}
	return append([]Result{{check, Passed, ready.Reason + ": " + ready.Message, ""}}, checkConditions(ksmScale, ready.Message)...)
}

// checkConditions reports the conditions that are not True, except one whose message is known.
func checkConditions(ksmScale *v1alpha1.KSMScale, known string) []Result {
	var results []Result
	for _, condition := range ksmScale.Status.Conditions {
		if condition.Type == v1alpha1.ConditionReady || condition.Status == metav1.ConditionTrue || condition.Message == known {
			continue
		}
		results = append(results, Result{"KSMScale " + ksmScale.Name, Warned, fmt.Sprintf("%s %s, %s: %s", condition.Type, condition.Status, condition.Reason, condition.Message),
			"see docs/conditions.md#" + strings.ToLower(condition.Type)})
	}
	return results
}

// checkShards reports what keeps kube-state-metrics from reading objects, and Prometheus from reading kube-state-metrics.
func (c checker) checkShards(ctx context.Context, ksmScale *v1alpha1.KSMScale) []Result {
	check := "KSMScale " + ksmScale.Name
	snapshot, err := c.Snapshot(ctx, ksmScale)
	if err != nil {
		return []Result{checked(check, "", "", err)}
	}
	if len(snapshot.Deployments) == 0 {
		return nil
	}
	exporter, err := cluster.ExporterOf(ksmScale, &snapshot)
	if err != nil {
		return []Result{checked(check, "", "", err)}
	}
	results := c.checkMonitorRights(ctx, ksmScale, exporter)
	return append(results, c.checkNetworkPolicies(ctx, ksmScale, snapshot.Deployments[0].Spec.Template.Labels)...)
}

// checkMonitorRights reports the exported resources that the API server does not serve, and those that the service account of the shards
// may not list and watch.
func (c checker) checkMonitorRights(ctx context.Context, ksmScale *v1alpha1.KSMScale, exporter *gate.Options) []Result {
	check := "KSMScale " + ksmScale.Name
	var served []exposition.Resource
	var unserved []string
	for _, name := range exporter.Resources {
		kind, known := exposition.Resources[name]
		if !known {
			continue // The condition VersionSupported reports it.
		}
		if _, err := c.Client.RESTMapper().KindFor(kind.GroupVersionResource); meta.IsNoMatchError(err) {
			unserved = append(unserved, kind.GroupVersionResource.GroupResource().String())
			continue
		}
		served = append(served, kind)
	}
	var results []Result
	if len(unserved) > 0 {
		results = append(results, Result{check, Failed, "the cluster has no " + strings.Join(unserved, ", ") + ", so kube-state-metrics cannot list them",
			"leave them out of spec.metrics.resources"})
	}
	account := objects.ServiceAccountOf(ksmScale)
	lacking, err := c.MonitorLacks(ctx, ksmScale, append(cluster.ReadRights("list", exporter, served, ""), cluster.ReadRights("watch", exporter, served, "")...))
	if err != nil {
		return append(results, checked(check, "", "", err))
	}
	if len(lacking) > 0 {
		results = append(results, Result{check, Failed, fmt.Sprintf("service account %s/%s lacks the rights to %s", ksmScale.Spec.Namespace, account, strings.Join(names(lacking), ", ")),
			"grant them, or leave the resources out of spec.metrics.resources"})
	}
	return results
}

// checkNetworkPolicies names the policies that decide who may connect to the pods of the shards. Whether they allow Prometheus depends on
// where it runs, which the plugin does not know.
func (c checker) checkNetworkPolicies(ctx context.Context, ksmScale *v1alpha1.KSMScale, podLabels map[string]string) []Result {
	check := "KSMScale " + ksmScale.Name
	var policies networkingv1.NetworkPolicyList
	if err := c.Client.List(ctx, &policies, client.InNamespace(ksmScale.Spec.Namespace)); err != nil {
		return []Result{checked(check, "", "", err)}
	}
	var selecting []string
	for _, policy := range observation.SortedByName(policies.Items) {
		selector, err := metav1.LabelSelectorAsSelector(&policy.Spec.PodSelector)
		// A policy without types limits what comes in.
		ingress := len(policy.Spec.PolicyTypes) == 0 || slices.Contains(policy.Spec.PolicyTypes, networkingv1.PolicyTypeIngress)
		if err == nil && ingress && selector.Matches(labels.Set(podLabels)) {
			selecting = append(selecting, policy.Name)
		}
	}
	if len(selecting) == 0 {
		return nil
	}
	return []Result{{check, Noted, fmt.Sprintf("NetworkPolicy %s limits who may connect to its pods", strings.Join(selecting, ", ")),
		fmt.Sprintf("make sure that Prometheus may connect to the ports %d, %d and %d (docs/prometheus.md)", v1alpha1.PortMetrics, v1alpha1.PortTelemetry, v1alpha1.PortGate)}}
}
