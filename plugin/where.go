package plugin

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/resource"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/controller/objects"
	"github.com/example/ksmscale/controller/observation"
	"github.com/example/ksmscale/gate"
	"github.com/example/ksmscale/gate/exposition"
	"github.com/example/ksmscale/gate/sharding"
)

// whereabouts is the result of the command.
type whereabouts struct {
	Resource  string    `json:"resource"`
	Namespace string    `json:"namespace,omitempty"`
	Name      string    `json:"name"`
	UID       types.UID `json:"uid"`
	// Exporters has each partition of each KSMScale.
	Exporters []exporter `json:"exporters"`
}

// exporter is the shard of one partition that the object belongs to. Exported is whether a ready pod exports it, and Reason why none does.
type exporter struct {
	KSMScale    string   `json:"ksmScale"`
	Namespace   string   `json:"namespace"`
	Shard       int32    `json:"shard"`
	TotalShards int32    `json:"totalShards"`
	Service     string   `json:"service"`
	Exported    bool     `json:"exported"`
	Reason      string   `json:"reason,omitempty"`
	Pods        []string `json:"pods"`
}

// target is an object of the API server.
type target struct {
	resource        schema.GroupVersionResource
	namespace, name string
	uid             types.UID
}

func (o *options) whereCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "where RESOURCE/NAME",
		Short: "Show which shard and which pods export an object",
		Long: "Show which shard of each KSMScale an object belongs to, and the ready pods that export it.\n" +
			"Exits with 1 if no pod exports it, with the reason.",
		Example: "  kubectl ksmscale where pod/web-0 -n shop\n  kubectl ksmscale where node worker-1",
		Args:    cobra.RangeArgs(1, 2),
		RunE:    func(command *cobra.Command, args []string) error { return o.where(command.Context(), args) },
	}
}

func (o *options) where(ctx context.Context, args []string) error {
	c, err := o.connect()
	if err != nil {
		return err
	}
	object, err := c.find(args)
	if err != nil {
		return err
	}
	ksmScales, err := c.ksmScales(ctx)
	if err != nil {
		return err
	}
	result := whereabouts{Resource: object.resource.Resource, Namespace: object.namespace, Name: object.name, UID: object.uid, Exporters: []exporter{}}
	for i := range ksmScales {
		snapshot, err := c.snapshot(ctx, &ksmScales[i])
		if err != nil {
			return err
		}
		exporters, err := exportersOf(&ksmScales[i], &snapshot, object)
		if err != nil {
			return err
		}
		result.Exporters = append(result.Exporters, exporters...)
	}
	if err := o.print(result, func(p *painter) { writeWhereabouts(p, result) }); err != nil {
		return err
	}
	return asDesired(slices.ContainsFunc(result.Exporters, func(one exporter) bool { return one.Exported }))
}

// find returns the object that arguments name as for `kubectl get`.
func find(flags *genericclioptions.ConfigFlags, args []string) (target, error) {
	namespace, _, err := flags.ToRawKubeConfigLoader().Namespace()
	if err != nil {
		return target{}, err
	}
	infos, err := resource.NewBuilder(flags).Unstructured().NamespaceParam(namespace).DefaultNamespace().
		ResourceTypeOrNameArgs(false, args...).SingleResourceType().Do().Infos()
	if err != nil {
		return target{}, err
	}
	if len(infos) != 1 {
		return target{}, errors.New("where needs one object, such as pod/web-0")
	}
	object, err := meta.Accessor(infos[0].Object)
	if err != nil {
		return target{}, err
	}
	return target{infos[0].Mapping.Resource, object.GetNamespace(), object.GetName(), object.GetUID()}, nil
}

// exportersOf returns the shard that an object belongs to, for each partition of a KSMScale.
func exportersOf(ksmScale *v1alpha1.KSMScale, snapshot *observation.Snapshot, object target) ([]exporter, error) {
	var exporters []exporter
	for _, total := range slices.Sorted(maps.Keys(observation.Partitions(snapshot.Deployments))) {
		shard := v1alpha1.Shard{KSMScale: ksmScale.Name, ID: sharding.ShardOf(object.uid, total), Total: total}
		one := exporter{
			KSMScale: ksmScale.Name, Namespace: ksmScale.Spec.Namespace, Shard: shard.ID, TotalShards: total, Service: shard.Name(), Pods: []string{},
		}
		deployment := snapshot.Deployment(shard)
		if deployment == nil {
			one.Reason = "the shard is not created yet"
			exporters = append(exporters, one)
			continue
		}
		options, err := gateOptions(&deployment.Spec.Template.Spec)
		if err != nil {
			return nil, err
		}
		for _, pod := range observation.SortedByName(snapshot.PodsOf(shard)) {
			if observation.IsReady(pod) && observation.IsActive(pod) {
				one.Pods = append(one.Pods, pod.Name)
			}
		}
		one.Reason = whyNotExported(options, objects.ImageVersion(ksmScale.Spec.MonitorImage), object)
		if one.Reason == "" && len(one.Pods) == 0 {
			one.Reason = fmt.Sprintf("the shard has no ready pod: `kubectl ksmscale status %s` shows why", ksmScale.Name)
		}
		one.Exported = one.Reason == ""
		exporters = append(exporters, one)
	}
	return exporters, nil
}

// whyNotExported returns why kube-state-metrics with some options does not export an object; empty if it does.
func whyNotExported(options *gate.Options, version string, object target) string {
	kind, known := exposition.Resources[object.resource.Resource]
	if !known || kind.GroupVersionResource.Group != object.resource.Group {
		if options.CustomResources {
			return "kube-state-metrics has no metrics of its own for this kind: spec.metrics.customResourceState decides whether it exports it"
		}
		return "kube-state-metrics has no metrics of its own for this kind: describe them in spec.metrics.customResourceState"
	}
	if !slices.Contains(options.Resources, kind.Name) {
		return fmt.Sprintf("it exports no %s: add %s to spec.metrics.resources", kind.Name, kind.Name)
	}
	if !options.Selects(kind, object.namespace) {
		return fmt.Sprintf("it leaves namespace %s out: see spec.metrics.namespaces and namespacesDenylist", object.namespace)
	}
	if kinds, err := options.Comparable(version); err == nil && !slices.ContainsFunc(kinds, func(one exposition.Resource) bool { return one.Name == kind.Name }) {
		return fmt.Sprintf("the lists of metrics leave no metric that each of %s has: see spec.metrics.metricAllowlist and metricDenylist", kind.Name)
	}
	return ""
}

func writeWhereabouts(p *painter, result whereabouts) {
	p.printf("%s, UID %s\n\n", difference{Resource: result.Resource, Namespace: result.Namespace, Name: result.Name}.object(), result.UID)
	if len(result.Exporters) == 0 {
		p.printf("No KSMScale has a shard.\n")
		return
	}
	var rows [][]string
	for _, one := range result.Exporters {
		exported := p.verdict(true, "yes")
		if !one.Exported {
			exported = p.verdict(false, "no: "+one.Reason)
		}
		rows = append(rows, []string{one.KSMScale, fmt.Sprintf("%d of %d", one.Shard, one.TotalShards), orNone(strings.Join(one.Pods, ", ")), exported})
	}
	p.table([]string{"KSMSCALE", "SHARD", "READY PODS", "EXPORTED"}, rows)
}
