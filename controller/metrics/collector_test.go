package metrics

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/completeness"
)

func always() bool { return true }

func never() bool { return false }

// missingPods are the missing objects of the KSMScale main.
func missingPods(ksmScale string, _ int32) completeness.Result {
	if ksmScale != "main" {
		return completeness.Result{}
	}
	return completeness.Result{Known: true, Resources: map[string]completeness.Missing{"pods": {Objects: 7, Foreign: 2}, "nodes": {}}}
}

func TestCollector(t *testing.T) {
	scheme := runtime.NewScheme()
	require.NoError(t, v1alpha1.AddToScheme(scheme))
	scaled := &v1alpha1.KSMScale{ObjectMeta: metav1.ObjectMeta{Name: "main"}, Spec: v1alpha1.KSMScaleSpec{AutoResources: &v1alpha1.AutoResources{}}, Status: v1alpha1.KSMScaleStatus{
		Recommendation: &v1alpha1.Recommendation{Shards: 4, MemoryRequest: new(resource.MustParse("1Mi")), CPURequest: new(resource.MustParse("250m"))},
		ShardingStatus: &v1alpha1.ShardingStatus{TotalShards: 2, ShardDistribution: map[string]v1alpha1.ShardReplicas{"0": {Ready: 3}, "1": {}}},
		Conditions: []metav1.Condition{
			{Type: v1alpha1.ConditionCovered, Status: metav1.ConditionFalse},
			{Type: v1alpha1.ConditionAutoscaling, Status: metav1.ConditionUnknown},
		},
	}}
	fresh := &v1alpha1.KSMScale{ObjectMeta: metav1.ObjectMeta{Name: "new"}, Spec: v1alpha1.KSMScaleSpec{
		Autoscaling: &v1alpha1.AutoscalingConfig{Mode: v1alpha1.ModeNone},
	}}
	reader := fake.NewClientBuilder().WithScheme(scheme).WithObjects(scaled, fresh).Build()

	assert.NoError(t, testutil.CollectAndCompare(Collector{KSMScales: reader, Synced: always, Completeness: missingPods}, strings.NewReader(`
# HELP ksmscale_auto_resources 1 if the requests of the kube-state-metrics containers of a KSMScale follow the recommendation, 0 if not.
# TYPE ksmscale_auto_resources gauge
ksmscale_auto_resources{ksmscale="main"} 1
ksmscale_auto_resources{ksmscale="new"} 0
# HELP ksmscale_auto_sharding 1 if the number of shards of a KSMScale follows the recommendation, 0 if not.
# TYPE ksmscale_auto_sharding gauge
ksmscale_auto_sharding{ksmscale="main"} 0
ksmscale_auto_sharding{ksmscale="new"} 0
# HELP ksmscale_autoscaling_mode Who scales the shards of a KSMScale: 1 for the current mode, 0 for the others.
# TYPE ksmscale_autoscaling_mode gauge
ksmscale_autoscaling_mode{ksmscale="main",mode="Direct"} 0
ksmscale_autoscaling_mode{ksmscale="main",mode="HorizontalPodAutoscaler"} 1
ksmscale_autoscaling_mode{ksmscale="main",mode="None"} 0
ksmscale_autoscaling_mode{ksmscale="new",mode="Direct"} 0
ksmscale_autoscaling_mode{ksmscale="new",mode="HorizontalPodAutoscaler"} 0
ksmscale_autoscaling_mode{ksmscale="new",mode="None"} 1
# HELP ksmscale_foreign_objects Number of objects that shards of a KSMScale expose although they belong to other shards.
# TYPE ksmscale_foreign_objects gauge
ksmscale_foreign_objects{ksmscale="main",resource="nodes"} 0
ksmscale_foreign_objects{ksmscale="main",resource="pods"} 2
# HELP ksmscale_memory_request_bytes Memory request of a kube-state-metrics container of a KSMScale; 0 if there is none.
# TYPE ksmscale_memory_request_bytes gauge
ksmscale_memory_request_bytes{ksmscale="main"} 1.048576e+06
ksmscale_memory_request_bytes{ksmscale="new"} 0
# HELP ksmscale_missing_objects At least how many objects of the cluster no shard of a KSMScale exports.
# TYPE ksmscale_missing_objects gauge
ksmscale_missing_objects{ksmscale="main",resource="nodes"} 0
ksmscale_missing_objects{ksmscale="main",resource="pods"} 7
# HELP ksmscale_ready_replicas Number of ready pods of a shard.
# TYPE ksmscale_ready_replicas gauge
ksmscale_ready_replicas{ksmscale="main",shard="0",total_shards="2"} 3
ksmscale_ready_replicas{ksmscale="main",shard="1",total_shards="2"} 0
# HELP ksmscale_recommended_cpu_cores Recommended CPU request of a kube-state-metrics container of a KSMScale.
# TYPE ksmscale_recommended_cpu_cores gauge
ksmscale_recommended_cpu_cores{ksmscale="main"} 0.25
# HELP ksmscale_recommended_memory_bytes Recommended memory request of a kube-state-metrics container of a KSMScale.
# TYPE ksmscale_recommended_memory_bytes gauge
ksmscale_recommended_memory_bytes{ksmscale="main"} 1.048576e+06
# HELP ksmscale_recommended_shards Recommended number of shards of a KSMScale.
# TYPE ksmscale_recommended_shards gauge
ksmscale_recommended_shards{ksmscale="main"} 4
# HELP ksmscale_shard_covered 1 if a shard has a ready pod, or every shard of a previous partition has one; 0 if its objects are missing from the metrics.
# TYPE ksmscale_shard_covered gauge
ksmscale_shard_covered{ksmscale="main",shard="0",total_shards="2"} 1
ksmscale_shard_covered{ksmscale="main",shard="1",total_shards="2"} 0
# HELP ksmscale_status_condition The conditions of a KSMScale: 1 for the current status of each, 0 for the others.
# TYPE ksmscale_status_condition gauge
ksmscale_status_condition{condition="Autoscaling",ksmscale="main",status="false"} 0
ksmscale_status_condition{condition="Autoscaling",ksmscale="main",status="true"} 0
ksmscale_status_condition{condition="Autoscaling",ksmscale="main",status="unknown"} 1
ksmscale_status_condition{condition="Covered",ksmscale="main",status="false"} 1
ksmscale_status_condition{condition="Covered",ksmscale="main",status="true"} 0
ksmscale_status_condition{condition="Covered",ksmscale="main",status="unknown"} 0
`)))
	assert.Zero(t, testutil.CollectAndCount(Collector{KSMScales: reader, Synced: never, Completeness: missingPods}))
}
