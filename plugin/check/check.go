package check

import (
	"context"
	"fmt"
	"slices"
	"strings"

	monitoringv1alpha1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1alpha1"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilversion "k8s.io/apimachinery/pkg/util/version"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/controller/observation"
	"github.com/example/ksmscale/plugin/cluster"
	"github.com/example/ksmscale/plugin/printer"
)

// minKubernetes is the oldest version of Kubernetes that can run the shards, as in the chart. checkTolerance warns of what versions before
// 1.35 lack.
const minKubernetes = "1.30.0"

// Verdict is the result of one check.
type Verdict string

// The verdicts. A warning or a note does not change the exit code.
const (
	Passed  Verdict = "OK"
	Noted   Verdict = "NOTE"
	Warned  Verdict = "WARNING"
	Failed  Verdict = "FAILED"
	Skipped Verdict = "SKIPPED"
)

// Result is one check. Fix says what to do if it did not pass.
type Result struct {
	Check   string  `json:"check"`
	Verdict Verdict `json:"verdict"`
	Message string  `json:"message"`
	Fix     string  `json:"fix,omitempty"`
}

// Run runs all checks, in the order in which to fix failures. With pre, it checks before the installation. pause waits between two looks,
// for longer than a leader takes to renew its lease.
func Run(ctx context.Context, c *cluster.Cluster, pre bool, pause func(context.Context) error) []Result {
	return checker{c, pause}.all(ctx, pre)
}

// checker checks a cluster.
type checker struct {
	*cluster.Cluster
	pause func(context.Context) error
}

func (c checker) all(ctx context.Context, pre bool) []Result {
	results := []Result{c.checkVersion(), c.checkTolerance(ctx)}
	if pre {
		return append(results, c.checkInstallRights(ctx), c.checkAPIService(ctx, false), c.checkOperator(), c.checkOthers(ctx))
	}
	components := c.checkComponents(ctx)
	results = append(results, components...)
	if hasAdapter := slices.ContainsFunc(components, func(one Result) bool { return one.Check == "adapter" && one.Verdict != Skipped }); hasAdapter {
		results = append(results, c.checkAPIService(ctx, true), c.checkExternalMetrics(ctx))
		results = append(results, c.checkCertificates(ctx)...)
	}
	results = append(results, c.checkOperator(), c.checkOthers(ctx), c.checkVerifyRights(ctx))
	return append(results, c.checkKSMScales(ctx)...)
}

// checked is the result of a check: passed without an error. A check that the user may not make is skipped.
func checked(check, message, fix string, err error) Result {
	switch {
	case apierrors.IsForbidden(err):
		return Result{check, Skipped, err.Error(), ""}
	case err != nil:
		return Result{check, Failed, err.Error(), fix}
	default:
		return Result{check, Passed, message, ""}
	}
}

func (c checker) checkVersion() Result {
	const check = "Kubernetes"
	info, err := c.Discovery.ServerVersion()
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
func (c checker) checkTolerance(ctx context.Context) Result {
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
	if err := c.Client.Create(ctx, autoscaler, client.DryRunAll); err != nil {
		return checked(check, "", "see why the API server refuses a HorizontalPodAutoscaler", err)
	}
	if observation.LacksTolerance(*autoscaler) {
		return Result{check, Warned, "the API server drops the tolerance of HorizontalPodAutoscalers, so they ignore steps of less than a tenth of the replicas",
			"turn the feature gate HPAConfigurableTolerance on, or set spec.autoscaling.mode to Direct"}
	}
	return Result{check, Passed, "the API server keeps the tolerance of HorizontalPodAutoscalers", ""}
}

// InstalledKinds are the resources that an installation creates, by their group. Those without a namespace are before the others.
var InstalledKinds = []cluster.Right{
	installs("", "namespaces", ""), installs("apiextensions.k8s.io", "customresourcedefinitions", ""),
	installs("rbac.authorization.k8s.io", "clusterroles", ""), installs("rbac.authorization.k8s.io", "clusterrolebindings", ""),
	installs("rbac.authorization.k8s.io", "roles", systemNamespace), installs("rbac.authorization.k8s.io", "rolebindings", systemNamespace),
	installs("", "serviceaccounts", systemNamespace), installs("", "services", systemNamespace), installs("", "secrets", systemNamespace),
	installs("apps", "deployments", systemNamespace), installs("policy", "poddisruptionbudgets", systemNamespace),
}

// systemNamespace is the namespace of an installation, unless the user chose another one.
const systemNamespace = "ksmscale-system"

func installs(group, kind, namespace string) cluster.Right {
	one := cluster.Right{}
	one.Verb, one.Group, one.Resource, one.Namespace = "create", group, kind, namespace
	return one
}

func (c checker) checkInstallRights(ctx context.Context) Result {
	const check = "rights to install"
	lacking, err := c.Lacking(ctx, InstalledKinds)
	if err == nil && len(lacking) > 0 {
		err = fmt.Errorf("you lack the rights to %s", strings.Join(names(lacking), ", "))
	}
	return checked(check, "you may create all objects of the installation", "install as a cluster administrator", err)
}

func names(rights []cluster.Right) []string {
	var all []string
	for _, one := range rights {
		all = append(all, one.String())
	}
	return all
}

// checkOperator looks for the kind that the Prometheus Operator scrapes by.
func (c checker) checkOperator() Result {
	const check = "Prometheus Operator"
	installed, err := observation.HasKind(c.Discovery, monitoringv1alpha1.SchemeGroupVersion.WithKind(monitoringv1alpha1.ScrapeConfigsKind))
	if err == nil && !installed {
		return Result{check, Noted, "the cluster has no ScrapeConfigs, so KSMScale creates none", "add the jobs of deploy/prometheus to your Prometheus (docs/prometheus.md)"}
	}
	return checked(check, "the cluster has ScrapeConfigs, which KSMScale creates", "", err)
}

// checkOthers looks for a kube-state-metrics without KSMScale, whose series Prometheus would store too.
func (c checker) checkOthers(ctx context.Context) Result {
	const check = "other kube-state-metrics"
	var deployments appsv1.DeploymentList
	var statefulSets appsv1.StatefulSetList
	labelled := client.MatchingLabels{"app.kubernetes.io/name": "kube-state-metrics"}
	for _, list := range []client.ObjectList{&deployments, &statefulSets} {
		if err := c.Client.List(ctx, list, labelled); err != nil {
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
		return Result{check, Noted, strings.Join(others, ", ") + " runs too", "replace it without a gap, as docs/migration.md describes"}
	}
	return Result{check, Passed, "none", ""}
}

func (c checker) checkVerifyRights(ctx context.Context) Result {
	const check = "rights to verify"
	forward := cluster.Right{}
	forward.Verb, forward.Resource, forward.Subresource = "create", "pods", "portforward"
	lacking, err := c.Lacking(ctx, []cluster.Right{forward})
	if err == nil && len(lacking) > 0 {
		return Result{check, Noted, "you may not create pods/portforward in all namespaces", "to use `kubectl ksmscale verify`, get this right in the namespace of the shards"}
	}
	return checked(check, "you may reach the pods of shards", "", err)
}

// Write writes the results as text.
func Write(p *printer.Painter, results []Result) {
	for _, one := range results {
		p.Printf("%s %s: %s\n", p.Verdict(one.Verdict != Failed, fmt.Sprintf("%-7s", one.Verdict)), one.Check, one.Message)
		if one.Fix != "" {
			p.Printf("        %s\n", one.Fix)
		}
	}
}
