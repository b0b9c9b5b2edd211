package plugin

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/types"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/controller/objects"
	"github.com/example/ksmscale/controller/observation"
	"github.com/example/ksmscale/gate"
	"github.com/example/ksmscale/gate/exposition"
	"github.com/example/ksmscale/gate/sharding"
	"github.com/example/ksmscale/plugin/cluster"
	"github.com/example/ksmscale/plugin/printer"
	"github.com/example/ksmscale/plugin/verify"
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
	object, err := c.Find(args)
	if err != nil {
		return err
	}
	ksmScales, err := c.KSMScales(ctx)
	if err != nil {
		return err
	}
	result := whereabouts{Resource: object.Resource.Resource, Namespace: object.Namespace, Name: object.Name, UID: object.UID, Exporters: []exporter{}}
	for i := range ksmScales {
		snapshot, err := c.Snapshot(ctx, &ksmScales[i])
		if err != nil {
			return err
		}
		exporters, err := exportersOf(&ksmScales[i], &snapshot, object)
		if err != nil {
			return err
		}
		result.Exporters = append(result.Exporters, exporters...)
	}
	if err := o.print(result, func(p *printer.Painter) { writeWhereabouts(p, result) }); err != nil {
		return err
	}
	return asDesired(slices.ContainsFunc(result.Exporters, func(one exporter) bool { return one.Exported }))
}

// exportersOf returns the shard that an object belongs to, for each partition of a KSMScale.
func exportersOf(ksmScale *v1alpha1.KSMScale, snapshot *observation.Snapshot, object cluster.Target) ([]exporter, error) {
	var exporters []exporter
	for _, total := range slices.Sorted(maps.Keys(observation.Partitions(snapshot.Deployments))) {
		shard := v1alpha1.Shard{KSMScale: ksmScale.Name, ID: sharding.ShardOf(object.UID, total), Total: total}
		one := exporter{
			KSMScale: ksmScale.Name, Namespace: ksmScale.Spec.Namespace, Shard: shard.ID, TotalShards: total, Service: shard.Name(), Pods: []string{},
		}
		deployment := snapshot.Deployment(shard)
		if deployment == nil {
			one.Reason = "the shard is not created yet"
			exporters = append(exporters, one)
			continue
		}
		options, err := cluster.GateOptions(&deployment.Spec.Template.Spec)
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
func whyNotExported(options *gate.Options, version string, object cluster.Target) string {
	kind, known := exposition.Resources[object.Resource.Resource]
	if !known || kind.GroupVersionResource.Group != object.Resource.Group {
		if options.CustomResources {
			return "kube-state-metrics has no metrics of its own for this kind: spec.metrics.customResourceState decides whether it exports it"
		}
		return "kube-state-metrics has no metrics of its own for this kind: describe them in spec.metrics.customResourceState"
	}
	if !slices.Contains(options.Resources, kind.Name) {
		return fmt.Sprintf("it exports no %s: add %s to spec.metrics.resources", kind.Name, kind.Name)
	}
	if !options.Selects(kind, object.Namespace) {
		return fmt.Sprintf("it leaves namespace %s out: see spec.metrics.namespaces and namespacesDenylist", object.Namespace)
	}
	if kinds, err := options.Comparable(version); err == nil && !slices.ContainsFunc(kinds, func(one exposition.Resource) bool { return one.Name == kind.Name }) {
		return fmt.Sprintf("the lists of metrics leave no metric that each of %s has: see spec.metrics.metricAllowlist and metricDenylist", kind.Name)
	}
	return ""
}

func writeWhereabouts(p *printer.Painter, result whereabouts) {
	p.Printf("%s, UID %s\n\n", verify.Difference{Resource: result.Resource, Namespace: result.Namespace, Name: result.Name}.Object(), result.UID)
	if len(result.Exporters) == 0 {
		p.Printf("No KSMScale has a shard.\n")
		return
	}
	var rows [][]string
	for _, one := range result.Exporters {
		exported := p.Verdict(true, "yes")
		if !one.Exported {
			exported = p.Verdict(false, "no: "+one.Reason)
		}
		rows = append(rows, []string{one.KSMScale, fmt.Sprintf("%d of %d", one.Shard, one.TotalShards), orNone(strings.Join(one.Pods, ", ")), exported})
	}
	p.Table([]string{"KSMSCALE", "SHARD", "READY PODS", "EXPORTED"}, rows)
}
