package specs

import (
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/controller/objects"
	"github.com/example/ksmscale/scaling"
)

// Objects returns all desired objects of a KSMScale in a cluster of 100 nodes.
func Objects(ksmScale *v1alpha1.KSMScale) []runtime.ApplyConfiguration {
	desired := []runtime.ApplyConfiguration{
		objects.ServiceAccount(ksmScale), objects.PrometheusRule(ksmScale, true), objects.ServiceMonitor(ksmScale),
	}
	for _, binding := range objects.ClusterRoleBindings(ksmScale) {
		desired = append(desired, binding)
	}
	for _, config := range objects.ScrapeConfigs(ksmScale) {
		desired = append(desired, config)
	}
	for _, planned := range scaling.New(ksmScale, scaling.Cluster{Nodes: 100}).Shards {
		shard := planned.Shard
		desired = append(desired,
			objects.Deployment(ksmScale, planned, objects.GateOptions{Image: "gate"}), objects.Service(ksmScale, shard),
			objects.RetiredService(ksmScale, shard), objects.Autoscaler(ksmScale, shard, true), objects.DisruptionBudget(ksmScale, shard))
	}
	return desired
}
