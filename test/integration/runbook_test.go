package integration

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/test/docs/transcripts"
)

// runbookNodes are enough for a shard of three replicas, which KSMShardImbalanced needs.
const runbookNodes = 135

// runbookFault is a fault of one KSMScale, and the alerts that it fires.
type runbookFault struct {
	name   string
	alerts []string
	// before creates what the namespace of the KSMScale has first, and spec is what the KSMScale has from its creation.
	before func(t *testing.T, namespace string)
	spec   func(*v1alpha1.KSMScale)
	// after happens to a KSMScale that is Ready.
	after func(t *testing.T, ksmScale *v1alpha1.KSMScale)
	// causes are texts that the first command of the runbook prints. NAME stands for the name of the KSMScale.
	causes []string
}

// runbookFaults are the faults of a single KSMScale. TestRunbook has those of the installation. Package e2e has the faults that need the
// processes of real pods.
var runbookFaults = []runbookFault{{
	name:   "a user scales a shard to 0",
	alerts: []string{"KSMShardUncovered", "KSMShardImbalanced", "KSMReplicasNotReached", "KSMAutoscalerNotActing", "KSMAutoscalingInterrupted"},
	spec:   func(k *v1alpha1.KSMScale) { k.Spec.NodesPerMonitor = 15 },
	after: func(t *testing.T, ksmScale *v1alpha1.KSMScale) {
		t.Helper()
		scale := &autoscalingv1.Scale{}
		require.NoError(t, shared.client.SubResource("scale").Update(t.Context(), shardObject(ksmScale, 0, &appsv1.Deployment{}), client.WithSubResourceBody(scale)))
	},
	causes: []string{"ScalingDisabled", "scale deployment ksm-NAME-shard-0-of-3 --replicas=1", "shard 0: 0/0 ready, 3 desired", "HPA: ScalingDisabled"},
}, {
	name:   "another autoscaler",
	alerts: []string{"KSMAutoscalingInterrupted"},
	after: func(t *testing.T, ksmScale *v1alpha1.KSMScale) {
		t.Helper()
		require.NoError(t, shared.client.Create(t.Context(), foreignAutoscaler(ksmScale)))
	},
	causes: []string{"HorizontalPodAutoscaler foreign scales Deployment ksm-NAME-shard-0-of-3 as well: delete it"},
}, {
	name:   "no node has the label",
	alerts: []string{"KSMPodsUnschedulable", "KSMShardUncovered"},
	spec:   nowhere,
	causes: []string{"didn't match Pod's node affinity/selector", "shard 0: 0/1 ready"},
}, {
	name:   "no node has the room",
	alerts: []string{"KSMPodsUnschedulable"},
	spec: func(k *v1alpha1.KSMScale) {
		k.Spec.Resources.Requests = corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("1Ti")}
	},
	causes: []string{"not Ready, Unschedulable", "Insufficient memory"},
}, {
	name:   "a quota",
	alerts: []string{"KSMNotProgressing", "KSMReplicasNotReached"},
	before: quotaOfLimits,
	causes: []string{"FailedCreate", "failed quota: small", "in spec.resources for container kube-state-metrics"},
}, {
	name:   "a reshard without room",
	alerts: []string{"KSMReshardStuck"},
	after: func(t *testing.T, ksmScale *v1alpha1.KSMScale) {
		t.Helper()
		require.NoError(t, shared.client.Create(t.Context(), &corev1.ResourceQuota{
			ObjectMeta: metav1.ObjectMeta{Namespace: ksmScale.Spec.Namespace, Name: "small"},
			Spec:       corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{corev1.ResourcePods: resource.MustParse("3")}},
		}))
		reshardTo(t, ksmScale, v1alpha1.ShardingConfig{Enabled: true, ShardCount: 4, MinReplicasPerShard: 1})
	},
	causes: []string{"exceeded quota: small", "partition of 4 shards, the desired one", "partition of 3 shards, until the desired one takes over"},
}, {
	name:   "no kind of the Prometheus Operator",
	alerts: []string{"KSMMonitoringFailed", "KSMShardNotScraped"},
	spec:   func(k *v1alpha1.KSMScale) { k.Spec.Monitoring.Type = v1alpha1.MonitoringScrapeConfig },
	causes: []string{"CRDNotInstalled", "scrapeconfigs.monitoring.coreos.com"},
}, {
	name:   "a network policy",
	alerts: []string{"KSMShardNotScraped"},
	before: func(t *testing.T, namespace string) {
		t.Helper()
		require.NoError(t, shared.client.Create(t.Context(), &networkingv1.NetworkPolicy{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "deny-all"},
			Spec:       networkingv1.NetworkPolicySpec{PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress}},
		}))
	},
	causes: []string{"KSMScale NAME: NetworkPolicy deny-all limits who may connect to its pods"},
}, {
	name:   "a second PodDisruptionBudget",
	alerts: []string{"KSMNotEvictable"},
	before: func(t *testing.T, namespace string) {
		t.Helper()
		require.NoError(t, shared.client.Create(t.Context(), &policyv1.PodDisruptionBudget{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "second"},
			Spec: policyv1.PodDisruptionBudgetSpec{
				MaxUnavailable: new(intstr.FromInt32(1)),
				Selector:       &metav1.LabelSelector{MatchLabels: map[string]string{"app.kubernetes.io/name": "kube-state-metrics"}},
			},
		}))
	},
	causes: []string{"Evictable False, MultiplePodDisruptionBudgets", "PodDisruptionBudget second selects the pods of Deployment ksm-NAME-shard-0-of-3"},
}, {
	name:   "rollouts of other KSMScales",
	alerts: []string{"KSMNotReady"},
	after:  waitForOthers,
	causes: []string{"not Ready, RollingOut", "the next waits for rollouts of other KSMScales"},
}, {
	name:   "no right to list",
	alerts: []string{"KSMListErrors"},
	before: accountWith(),
	spec:   ownAccount,
	causes: []string{"KSMScale NAME: service account NAME/own lacks the rights to list nodes, list pods, watch nodes, watch pods", "grant them"},
}, {
	name:   "no right to watch",
	alerts: []string{"KSMWatchErrors"},
	before: accountWith("list"),
	spec:   ownAccount,
	causes: []string{"KSMScale NAME: service account NAME/own lacks the rights to watch nodes, watch pods"},
}, {
	name:   "a version with bugs",
	alerts: []string{"KSMVersionWithShardingBugs"},
	spec: func(k *v1alpha1.KSMScale) {
		k.Spec.MonitorImage = "registry.k8s.io/kube-state-metrics/kube-state-metrics:v2.18.0"
	},
	causes: []string{"VersionSupported False, KnownBugs", "v2.20.0"},
}, {
	name:   "another size than recommended",
	alerts: []string{"KSMShardsDifferFromRecommendation", "KSMMemoryDiffersFromRecommendation"},
	spec: func(k *v1alpha1.KSMScale) {
		k.Spec.Resources.Requests = corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("2Gi")}
	},
	causes: []string{"KSMScale NAME: 3 shards", "Recommended: 1 shard", "Memory: each kube-state-metrics requests 2048 MiB; "},
}}

// The first command of each section of the runbook names the cause of a real fault.
func TestRunbook(t *testing.T) {
	leaveRunning(t)
	setNodes(t, runbookNodes)
	began := time.Now()
	ksmScales := make([]*v1alpha1.KSMScale, len(runbookFaults))
	for i, fault := range runbookFaults {
		ksmScales[i] = fault.create(t)
	}
	for i, fault := range runbookFaults {
		if fault.after != nil {
			awaitCondition(t, ksmScales[i], v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonAsPlanned)
			awaitCreated(t, ksmScales[i])
			fault.after(t, ksmScales[i])
		}
	}
	for i, fault := range runbookFaults {
		for _, alert := range fault.alerts {
			t.Run(alert+", "+fault.name, func(t *testing.T) { awaitCauses(t, alert, ksmScales[i].Name, fault.causes...) })
		}
	}
	t.Logf("the faults of KSMScales took %s", time.Since(began).Round(time.Second))
	for _, ksmScale := range ksmScales {
		require.NoError(t, shared.client.Delete(t.Context(), ksmScale))
	}

	shared.adapter.Kill()
	// The API server checks an APIService every half minute, and when it changes.
	update(t, externalMetrics(), func(service *apiregistrationv1.APIService) {
		metav1.SetMetaDataAnnotation(&service.ObjectMeta, "example.com/checked", "now")
	})
	for _, alert := range []string{"KSMAdapterDown", "KSMExternalMetricsUnavailable"} {
		t.Run(alert+", no adapter", func(t *testing.T) {
			awaitCauses(t, alert, "", "FAILED  external metrics API: ksmscale-system/ksmscale-adapter is not available, FailedDiscoveryCheck", "see whether the adapter's pods run")
		})
	}
	require.NoError(t, shared.controller.Stop(t.Context()))
	t.Run("KSMControllerDown, no controller", func(t *testing.T) {
		awaitCauses(t, "KSMControllerDown", "", "FAILED  leader: no controller leads since", "see kubectl -n ksmscale-system logs deployment/ksmscale-controller")
	})
	startController(t, "controller-returns")
	t.Run("KSMExternalMetricsUnavailable, another adapter", seeForeignAPIService)
	t.Logf("all took %s", time.Since(began).Round(time.Second))
}

// create creates a KSMScale with a replica per shard, and what its namespace has before.
func (f runbookFault) create(t *testing.T) *v1alpha1.KSMScale {
	t.Helper()
	ksmScale := newKSMScale(func(k *v1alpha1.KSMScale) {
		k.Spec.NodesPerMonitor = runbookNodes / 3
		// The command check asks about the rights to each resource of each KSMScale.
		k.Spec.Metrics.Resources = []string{"nodes", "pods"}
	})
	if f.spec != nil {
		f.spec(ksmScale)
	}
	createNamespace(t, ksmScale.Spec.Namespace)
	if f.before != nil {
		f.before(t, ksmScale.Spec.Namespace)
	}
	return create(t, ksmScale)
}

// awaitCauses runs the first command of the section of an alert until it prints all causes. It types the command as a user does.
func awaitCauses(t *testing.T, alert, name string, causes ...string) {
	t.Helper()
	programs, err := filepath.Abs(filepath.Join("..", "..", "bin"))
	require.NoError(t, err)
	typed := transcripts.FirstCommand(t, alert, name)
	var printed []byte
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		command := exec.CommandContext(t.Context(), "bash", "-c", typed)
		command.Env = append(os.Environ(), "KUBECONFIG="+shared.cluster.Kubeconfig(), "PATH="+programs+":"+os.Getenv("PATH"))
		var err error
		printed, err = command.CombinedOutput()
		exited := &exec.ExitError{}
		require.True(c, err == nil || errors.As(err, &exited) && exited.ExitCode() == 1, "%v: %s", err, printed)
		for _, cause := range causes {
			require.Contains(c, string(printed), strings.ReplaceAll(cause, "NAME", name))
		}
	}, eventually, time.Second)
	t.Logf("%s\n%s", typed, printed)
}

func nowhere(k *v1alpha1.KSMScale) {
	k.Spec.Template = &v1alpha1.PodTemplate{NodeSelector: map[string]v1alpha1.LabelValue{"disk": "ssd"}}
}

// waitForOthers lets the rollouts of three others hang, which is as many as run at the same time, and changes the template of a KSMScale.
func waitForOthers(t *testing.T, ksmScale *v1alpha1.KSMScale) {
	t.Helper()
	var others []*v1alpha1.KSMScale
	for range 3 {
		others = append(others, create(t, newKSMScale(func(k *v1alpha1.KSMScale) { k.Spec.Sharding, k.Spec.NodesPerMonitor = nil, runbookNodes })))
	}
	for _, other := range others {
		awaitCondition(t, other, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonAsPlanned)
		awaitCreated(t, other)
		update(t, other, nowhere)
	}
	for _, other := range others {
		awaitCondition(t, other, v1alpha1.ConditionSchedulable, metav1.ConditionFalse, v1alpha1.ReasonUnschedulable)
	}
	update(t, ksmScale, func(k *v1alpha1.KSMScale) { k.Spec.MonitorImage = nextMonitorImage })
}

// accountWith creates a service account that has only some rights to what it exports.
func accountWith(verbs ...string) func(t *testing.T, namespace string) {
	return func(t *testing.T, namespace string) {
		t.Helper()
		account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "own"}}
		require.NoError(t, shared.client.Create(t.Context(), account))
		if len(verbs) == 0 {
			return
		}
		role := &rbacv1.ClusterRole{
			ObjectMeta: metav1.ObjectMeta{Name: namespace},
			Rules:      []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"nodes", "pods"}, Verbs: verbs}},
		}
		binding := &rbacv1.ClusterRoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: namespace},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role.Name},
			Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: namespace, Name: account.Name}},
		}
		for _, object := range []client.Object{role, binding} {
			require.NoError(t, shared.client.Create(t.Context(), object))
			t.Cleanup(func() { remove(t, object) })
		}
	}
}

func ownAccount(k *v1alpha1.KSMScale) {
	k.Spec.Template = &v1alpha1.PodTemplate{ServiceAccountName: "own"}
}

// seeForeignAPIService lets an installer of another adapter take the APIService over, and deletes it again.
func seeForeignAPIService(t *testing.T) {
	ksmScale := create(t, newKSMScale(func(k *v1alpha1.KSMScale) { k.Spec.Sharding, k.Spec.NodesPerMonitor = nil, runbookNodes }))
	service := externalMetrics()
	update(t, service, func(service *apiregistrationv1.APIService) {
		service.Spec.Service = &apiregistrationv1.ServiceReference{Namespace: "keda", Name: "keda-operator-metrics-apiserver", Port: new(int32(443))}
	})
	t.Cleanup(func() { require.NoError(t, client.IgnoreNotFound(shared.client.Delete(afterwards(t), service))) })
	awaitCauses(t, "KSMExternalMetricsUnavailable", "", "WARNING external metrics API: keda/keda-operator-metrics-apiserver is not available", "and is not KSMScale's adapter")
	awaitCauses(t, "KSMAutoscalingInterrupted", ksmScale.Name, "ForeignAPIService", "--delegate=keda/keda-operator-metrics-apiserver:443", "spec.autoscaling.mode to Direct")
}
