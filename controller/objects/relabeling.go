package objects

import (
	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	monitoringv1ac "github.com/prometheus-operator/prometheus-operator/pkg/client/applyconfiguration/monitoring/v1"
)

// relabel always sets the action. The API server would fill in a missing action, which would differ from the desired object.
func relabel(action string) *monitoringv1ac.RelabelConfigApplyConfiguration {
	return monitoringv1ac.RelabelConfig().WithAction(action)
}

// keep drops targets whose source labels do not match.
func keep(regex string, sources ...monitoringv1.LabelName) *monitoringv1ac.RelabelConfigApplyConfiguration {
	return relabel("keep").WithSourceLabels(sources...).WithRegex(regex)
}

// label copies a source label to a target label.
func label(target string, source monitoringv1.LabelName) *monitoringv1ac.RelabelConfigApplyConfiguration {
	return relabel("replace").WithSourceLabels(source).WithTargetLabel(target)
}

// jobLabel sets the label job, which would otherwise be the name of the Service.
func jobLabel(name string) *monitoringv1ac.RelabelConfigApplyConfiguration {
	return relabel("replace").WithTargetLabel("job").WithReplacement(name)
}

// withoutShardInstance removes the label instance if it names a shard. So a series stays the same when an object moves to another shard. A
// metric that has its own label instance keeps it.
func withoutShardInstance() *monitoringv1ac.RelabelConfigApplyConfiguration {
	return relabel("replace").WithSourceLabels("instance").WithRegex("ksm-.+-shard-[0-9]+-of-[0-9]+").WithTargetLabel("instance").WithReplacement("")
}

// shardOfPod sets the label instance of a target to the name of the Service of its shard.
func shardOfPod() *monitoringv1ac.RelabelConfigApplyConfiguration {
	return relabel("replace").
		WithSourceLabels("__meta_kubernetes_pod_label_ksmscale_example_com", "__meta_kubernetes_pod_label_shard_id", "__meta_kubernetes_pod_label_total_shards").
		WithRegex("(.+);(.+);(.+)").WithTargetLabel("instance").WithReplacement("ksm-$1-shard-$2-of-$3")
}
