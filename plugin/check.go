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
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilversion "k8s.io/apimachinery/pkg/util/version"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/controller/observation"
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
		results = append(results, c.checkCertificates(ctx)...)
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

func writeChecks(p *painter, results []checkResult) {
	for _, one := range results {
		p.printf("%s %s: %s\n", p.verdict(one.Verdict != failed, fmt.Sprintf("%-7s", one.Verdict)), one.Check, one.Message)
		if one.Fix != "" {
			p.printf("        %s\n", one.Fix)
		}
	}
}
