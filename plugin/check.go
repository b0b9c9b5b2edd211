package plugin

import (
	"context"
	"fmt"
	"slices"
	"strings"

	monitoringv1alpha1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1alpha1"
	"github.com/spf13/cobra"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilversion "k8s.io/apimachinery/pkg/util/version"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/controller/objects"
	"github.com/example/ksmscale/controller/observation"
	"github.com/example/ksmscale/version"
)

// minKubernetes is the oldest supported version of Kubernetes.
const minKubernetes = "1.35.0"

// verdict is the result of one check.
type verdict string

// The verdicts. A warning or a note does not change the exit code.
const (
	passed  verdict = "OK"
	noted   verdict = "NOTE"
	warned  verdict = "WARNING"
	failed  verdict = "FAILED"
	skipped verdict = "SKIPPED"
)

// checkResult is one check. Fix says what to do if it did not pass.
type checkResult struct {
	Check   string  `json:"check"`
	Verdict verdict `json:"verdict"`
	Message string  `json:"message"`
	Fix     string  `json:"fix,omitempty"`
}

func (o *options) checkCommand() *cobra.Command {
	var pre bool
	command := &cobra.Command{
		Use:   "check",
		Short: "Check the installation, or before it whether the cluster is ready for it",
		Long: "Check what KSMScale needs, and each KSMScale. With --pre, check before the installation whether the cluster and your rights suffice.\n" +
			"Each failure comes with what to do. Exits with 1 if a check fails.",
		Example: "  kubectl ksmscale check --pre\n  kubectl ksmscale check",
		Args:    cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			c, err := o.connect()
			if err != nil {
				return err
			}
			results := c.check(command.Context(), pre)
			if err := o.print(map[string]any{"checks": results}, func(p *painter) { writeChecks(p, results) }); err != nil {
				return err
			}
			return asDesired(!slices.ContainsFunc(results, func(one checkResult) bool { return one.Verdict == failed }))
		},
	}
	command.Flags().BoolVar(&pre, "pre", false, "Check before the installation.")
	return command
}

// check runs all checks, in the order in which to fix failures.
func (c *cluster) check(ctx context.Context, pre bool) []checkResult {
	results := []checkResult{c.checkVersion(), c.checkTolerance(ctx)}
	if pre {
		return append(results, c.checkInstallRights(ctx), c.checkAPIService(ctx, false), c.checkOperator(), c.checkOthers(ctx))
	}
	components := c.checkComponents(ctx)
	results = append(results, components...)
	if hasAdapter := slices.ContainsFunc(components, func(one checkResult) bool { return one.Check == "adapter" && one.Verdict != skipped }); hasAdapter {
		results = append(results, c.checkAPIService(ctx, true), c.checkExternalMetrics(ctx))
	}
	results = append(results, c.checkOperator(), c.checkOthers(ctx), c.checkVerifyRights(ctx))
	return append(results, c.checkKSMScales(ctx)...)
}

// checked is the result of a check: passed without an error. A check that the user may not make is skipped.
func checked(check, message, fix string, err error) checkResult {
	switch {
	case apierrors.IsForbidden(err):
		return checkResult{check, skipped, err.Error(), ""}
	case err != nil:
		return checkResult{check, failed, err.Error(), fix}
	default:
		return checkResult{check, passed, message, ""}
	}
}

func (c *cluster) checkVersion() checkResult {
	const check = "Kubernetes"
	info, err := c.discovery.ServerVersion()
	if err != nil {
		return checked(check, "", "see whether `kubectl version` works", err)
	}
	running, err := utilversion.ParseGeneric(info.GitVersion)
	if err == nil && running.LessThan(utilversion.MustParseGeneric(minKubernetes)) {
		err = fmt.Errorf("the version is %s, and the oldest supported one is %s", info.GitVersion, strings.TrimSuffix(minKubernetes, ".0"))
	}
	return checked(check, "version "+info.GitVersion, "upgrade Kubernetes", err)
}

// checkTolerance asks the API server, without a change, whether it keeps the tolerance of a HorizontalPodAutoscaler.
func (c *cluster) checkTolerance(ctx context.Context) checkResult {
	const check = "tolerance"
	zero := &autoscalingv2.HPAScalingRules{Tolerance: new(resource.MustParse("0"))}
	autoscaler := &autoscalingv2.HorizontalPodAutoscaler{
		ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceDefault, GenerateName: "ksmscale-check-"},
		Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
			ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: "ksmscale-check"},
			MaxReplicas:    1,
			Behavior:       &autoscalingv2.HorizontalPodAutoscalerBehavior{ScaleUp: zero, ScaleDown: zero},
		},
	}
	if err := c.client.Create(ctx, autoscaler, client.DryRunAll); err != nil {
		return checked(check, "", "see why the API server refuses a HorizontalPodAutoscaler", err)
	}
	if observation.LacksTolerance(*autoscaler) {
		return checkResult{check, warned, "the API server drops the tolerance of HorizontalPodAutoscalers, so they ignore steps of less than a tenth of the replicas",
			"turn the feature gate HPAConfigurableTolerance on, or set spec.autoscaling.mode to Direct"}
	}
	return checkResult{check, passed, "the API server keeps the tolerance of HorizontalPodAutoscalers", ""}
}

// installedKinds are the resources that an installation creates, by their group. Those without a namespace are before the others.
var installedKinds = []right{
	installs("", "namespaces", ""), installs("apiextensions.k8s.io", "customresourcedefinitions", ""),
	installs("rbac.authorization.k8s.io", "clusterroles", ""), installs("rbac.authorization.k8s.io", "clusterrolebindings", ""),
	installs("rbac.authorization.k8s.io", "roles", systemNamespace), installs("rbac.authorization.k8s.io", "rolebindings", systemNamespace),
	installs("", "serviceaccounts", systemNamespace), installs("", "services", systemNamespace), installs("", "secrets", systemNamespace),
	installs("apps", "deployments", systemNamespace), installs("policy", "poddisruptionbudgets", systemNamespace),
}

// systemNamespace is the namespace of an installation, unless the user chose another one.
const systemNamespace = "ksmscale-system"

func installs(group, kind, namespace string) right {
	one := right{}
	one.Verb, one.Group, one.Resource, one.Namespace = "create", group, kind, namespace
	return one
}

func (c *cluster) checkInstallRights(ctx context.Context) checkResult {
	const check = "rights to install"
	lacking, err := c.lacking(ctx, installedKinds)
	if err == nil && len(lacking) > 0 {
		err = fmt.Errorf("you lack the rights to %s", strings.Join(names(lacking), ", "))
	}
	return checked(check, "you may create all objects of the installation", "install as a cluster administrator", err)
}

func names(rights []right) []string {
	var all []string
	for _, one := range rights {
		all = append(all, one.String())
	}
	return all
}

// checkAPIService looks at the APIService of external metrics. needed is whether KSMScale must serve it.
func (c *cluster) checkAPIService(ctx context.Context, needed bool) checkResult {
	const check = "external metrics API"
	service := &apiregistrationv1.APIService{}
	err := c.client.Get(ctx, client.ObjectKey{Name: v1alpha1.APIServiceName}, service)
	switch {
	case apierrors.IsNotFound(err) && needed:
		return checkResult{check, failed, "APIService " + v1alpha1.APIServiceName + " does not exist", "see the logs of the controller, which creates it"}
	case apierrors.IsNotFound(err):
		return checkResult{check, passed, "no other adapter serves external metrics", ""}
	case err != nil:
		return checked(check, "", "", err)
	}
	server := "the API server itself"
	if service.Spec.Service != nil {
		server = service.Spec.Service.Namespace + "/" + service.Spec.Service.Name
	}
	if !c.isOurs(ctx, service) {
		return checkResult{check, warned, server + " serves external metrics", "set spec.autoscaling.mode to Direct, or put KSMScale's adapter in front of it with --delegate (docs/delegate.md)"}
	}
	for _, condition := range service.Status.Conditions {
		if condition.Type == apiregistrationv1.Available && condition.Status != apiregistrationv1.ConditionTrue {
			return checkResult{check, failed, fmt.Sprintf("%s is not available, %s: %s", server, condition.Reason, condition.Message),
				"see whether the adapter's pods run, and whether the API server can reach them (docs/installation.md)"}
		}
	}
	return checkResult{check, passed, server + " serves external metrics", ""}
}

// isOurs reports whether an adapter of KSMScale is the server of an APIService.
func (c *cluster) isOurs(ctx context.Context, registered *apiregistrationv1.APIService) bool {
	if registered.Spec.Service == nil {
		return false
	}
	service := &corev1.Service{}
	err := c.client.Get(ctx, client.ObjectKey{Namespace: registered.Spec.Service.Namespace, Name: registered.Spec.Service.Name}, service)
	if err != nil {
		// It may be gone, and its name is what is left.
		return registered.Spec.Service.Name == "ksmscale-adapter"
	}
	return service.Spec.Selector["app.kubernetes.io/name"] == "ksmscale"
}

// checkExternalMetrics reads the metrics of all KSMScales, as `helm test` does.
func (c *cluster) checkExternalMetrics(ctx context.Context) checkResult {
	return checked("external metrics", "the API server serves the metrics of each KSMScale", "see the logs of the adapter", c.metricsServed(ctx))
}

// checkComponents looks at the Deployments of the installation in any namespace.
func (c *cluster) checkComponents(ctx context.Context) []checkResult {
	var results []checkResult
	for _, component := range []string{"controller", "adapter"} {
		var list appsv1.DeploymentList
		err := c.client.List(ctx, &list, client.MatchingLabels{"app.kubernetes.io/name": "ksmscale", "app.kubernetes.io/component": component})
		switch {
		case err != nil:
			results = append(results, checked(component, "", "", err))
		case len(list.Items) == 0 && component == "adapter":
			results = append(results, checkResult{component, skipped, "the installation has none, so only the modes Direct and None scale", ""})
		case len(list.Items) == 0:
			results = append(results, checkResult{component, failed, "it is not installed", "install KSMScale (docs/installation.md)"})
		}
		for i := range list.Items {
			results = append(results, checkComponent(component, &list.Items[i]))
		}
	}
	return results
}

func checkComponent(component string, deployment *appsv1.Deployment) checkResult {
	message := fmt.Sprintf("%d of %d pods of %s/%s are available", deployment.Status.AvailableReplicas, observation.ReplicasOf(deployment), deployment.Namespace, deployment.Name)
	if observation.ReplicasOf(deployment) == 0 {
		return checkResult{component, failed, message, fmt.Sprintf("see why Deployment %s is scaled to 0", deployment.Name)}
	}
	if deployment.Status.AvailableReplicas == 0 {
		return checkResult{component, failed, message, fmt.Sprintf("see kubectl -n %s describe pods -l app.kubernetes.io/component=%s", deployment.Namespace, component)}
	}
	for _, container := range deployment.Spec.Template.Spec.Containers {
		if running := objects.ImageVersion(container.Image); running != "" && running != version.Version {
			return checkResult{component, noted, fmt.Sprintf("%s, version %s, and the plugin has version %s", message, running, version.Version), ""}
		}
	}
	return checkResult{component, passed, message, ""}
}

// checkOperator looks for the kind that the Prometheus Operator scrapes by.
func (c *cluster) checkOperator() checkResult {
	const check = "Prometheus Operator"
	installed, err := observation.HasKind(c.discovery, monitoringv1alpha1.SchemeGroupVersion.WithKind(monitoringv1alpha1.ScrapeConfigsKind))
	if err == nil && !installed {
		return checkResult{check, noted, "the cluster has no ScrapeConfigs, so KSMScale creates none", "add the jobs of deploy/prometheus to your Prometheus (docs/prometheus.md)"}
	}
	return checked(check, "the cluster has ScrapeConfigs, which KSMScale creates", "", err)
}

// checkOthers looks for a kube-state-metrics without KSMScale, whose series Prometheus would store too.
func (c *cluster) checkOthers(ctx context.Context) checkResult {
	const check = "other kube-state-metrics"
	var deployments appsv1.DeploymentList
	var statefulSets appsv1.StatefulSetList
	labelled := client.MatchingLabels{"app.kubernetes.io/name": "kube-state-metrics"}
	for _, list := range []client.ObjectList{&deployments, &statefulSets} {
		if err := c.client.List(ctx, list, labelled); err != nil {
			return checked(check, "", "", err)
		}
	}
	var others []string
	for i := range deployments.Items {
		if deployments.Items[i].Labels[v1alpha1.LabelKSMScale] == "" {
			others = append(others, deployments.Items[i].Namespace+"/"+deployments.Items[i].Name)
		}
	}
	for i := range statefulSets.Items {
		others = append(others, statefulSets.Items[i].Namespace+"/"+statefulSets.Items[i].Name)
	}
	if len(others) > 0 {
		return checkResult{check, noted, strings.Join(others, ", ") + " runs too", "replace it without a gap, as docs/migration.md describes"}
	}
	return checkResult{check, passed, "none", ""}
}

func (c *cluster) checkVerifyRights(ctx context.Context) checkResult {
	const check = "rights to verify"
	forward := right{}
	forward.Verb, forward.Resource, forward.Subresource = "create", "pods", "portforward"
	lacking, err := c.lacking(ctx, []right{forward})
	if err == nil && len(lacking) > 0 {
		return checkResult{check, noted, "you may not create pods/portforward in all namespaces", "to use `kubectl ksmscale verify`, get this right in the namespace of the shards"}
	}
	return checked(check, "you may reach the pods of shards", "", err)
}

// checkKSMScales reports each condition of each KSMScale that is not True.
func (c *cluster) checkKSMScales(ctx context.Context) []checkResult {
	ksmScales, err := c.ksmScales(ctx)
	if err != nil {
		return []checkResult{checked("KSMScales", "", "install KSMScale (docs/installation.md)", err)}
	}
	if len(ksmScales) == 0 {
		return []checkResult{{"KSMScales", noted, "there is none", "create one, such as config/samples/medium.yaml"}}
	}
	var results []checkResult
	for i := range ksmScales {
		results = append(results, checkKSMScale(&ksmScales[i])...)
	}
	return results
}

func checkKSMScale(ksmScale *v1alpha1.KSMScale) []checkResult {
	check := "KSMScale " + ksmScale.Name
	ready := meta.FindStatusCondition(ksmScale.Status.Conditions, v1alpha1.ConditionReady)
	fix := "see kubectl ksmscale status " + ksmScale.Name
	switch {
	case ready == nil || ready.ObservedGeneration < ksmScale.Generation:
		return []checkResult{{check, failed, "the controller has not seen its last change", "see whether the controller runs"}}
	case ready.Status != metav1.ConditionTrue:
		return append([]checkResult{{check, failed, "Ready " + string(ready.Status) + ", " + ready.Reason + ": " + ready.Message, fix}}, checkConditions(ksmScale, ready.Message)...)
	}
	return append([]checkResult{{check, passed, ready.Reason + ": " + ready.Message, ""}}, checkConditions(ksmScale, ready.Message)...)
}

// checkConditions reports the conditions that are not True, except one whose message is known.
func checkConditions(ksmScale *v1alpha1.KSMScale, known string) []checkResult {
	var results []checkResult
	for _, condition := range ksmScale.Status.Conditions {
		if condition.Type == v1alpha1.ConditionReady || condition.Status == metav1.ConditionTrue || condition.Message == known {
			continue
		}
		results = append(results, checkResult{"KSMScale " + ksmScale.Name, warned, fmt.Sprintf("%s %s, %s: %s", condition.Type, condition.Status, condition.Reason, condition.Message),
			"see docs/conditions.md#" + strings.ToLower(condition.Type)})
	}
	return results
}

func writeChecks(p *painter, results []checkResult) {
	for _, one := range results {
		p.printf("%s %s: %s\n", p.verdict(one.Verdict != failed, fmt.Sprintf("%-7s", one.Verdict)), one.Check, one.Message)
		if one.Fix != "" {
			p.printf("        %s\n", one.Fix)
		}
	}
}
