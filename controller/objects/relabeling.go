package objects

import (
	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	monitoringv1ac "github.com/prometheus-operator/prometheus-operator/pkg/client/applyconfiguration/monitoring/v1"
)

// relabel has its action always set: the API server fills in what is left out, and would make it differ from what is
// wanted.
func relabel(action string) *monitoringv1ac.RelabelConfigApplyConfiguration {
	return monitoringv1ac.RelabelConfig().WithAction(action)
}

func keep(regex string, sources ...monitoringv1.LabelName) *monitoringv1ac.RelabelConfigApplyConfiguration {
	return relabel("keep").WithSourceLabels(sources...).WithRegex(regex)
}

func label(target string, source monitoringv1.LabelName) *monitoringv1ac.RelabelConfigApplyConfiguration {
	return relabel("replace").WithSourceLabels(source).WithTargetLabel(target)
}

// job names a target's job, which would be named like its Service otherwise.
func job(name string) *monitoringv1ac.RelabelConfigApplyConfiguration {
	return relabel("replace").WithTargetLabel("job").WithReplacement(name)
}

// withoutShardInstance keeps a series from naming the shard that it comes from, so that it stays the same series when
// objects change their shards. A metric that has a label instance of its own keeps it.
func withoutShardInstance() *monitoringv1ac.RelabelConfigApplyConfiguration {
	return relabel("replace").WithSourceLabels("instance").WithRegex("ksm-.+-shard-[0-9]+-of-[0-9]+").WithTargetLabel("instance").WithReplacement("")
}

// shardOfPod is the label of a target that is named like its shard's Service.
func shardOfPod() *monitoringv1ac.RelabelConfigApplyConfiguration {
	return relabel("replace").
		WithSourceLabels("__meta_kubernetes_pod_label_ksmscale_example_com", "__meta_kubernetes_pod_label_shard_id", "__meta_kubernetes_pod_label_total_shards").
		WithRegex("(.+);(.+);(.+)").WithTargetLabel("instance").WithReplacement("ksm-$1-shard-$2-of-$3")
}
