package e2e

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/example/ksmscale/test/e2e/audit"
)

// baselineVersion is the kube-state-metrics of all baselines.
const baselineVersion = "v2.20.0"

// baseline is another way to run kube-state-metrics, and what happens to it.
type baseline struct {
	name string
	// start runs it in a namespace, and returns what to audit.
	start func(t *testing.T, namespace, speed string) audit.Options
	// happen returns once it is over.
	happen func(t *testing.T, namespace, speed string)
}

var baselines = []baseline{
	{"autosharding, 2 to 4 replicas", autosharding(2), scaleStatefulSet(4)},
	{"autosharding, 4 to 2 replicas", autosharding(4), scaleStatefulSet(2)},
	{"autosharding, rolling restart of 3", autosharding(3), restart("statefulset")},
	{"Deployment per shard, all restarted at once", deployments, restart("deployment")},
	{"Deployment per shard, 3 to 5 in place, one after the other", deployments, reshardInPlace(true)},
	{"Deployment per shard, 3 to 5 in place, at once", deployments, reshardInPlace(false)},
	{"Deployment per shard, outdated pods deleted, then created", deployments, recreate},
	{"Deployment per shard, the only pod of one deleted", deployments, deleteOnlyPod},
	{"Deployment per shard, probed every second, pod deleted without warning", probedDeployments, loseOnlyPod},
	{"Deployment per shard, probed every second, container killed in place", probedDeployments, killOnlyContainer},
}

func (b baseline) audited(t *testing.T, speed string) {
	namespace := restricted(t)
	create(t, baselineRights(namespace)...)
	options := b.start(t, namespace, speed)
	options.Namespace = namespace
	auditWhile(t, b.name, speed, options, func() { b.happen(t, namespace, speed) })
}

// baselineRights are the rights of kube-state-metrics in KSMScale, and the rights that autosharding needs.
func baselineRights(namespace string) []client.Object {
	subjects := []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: namespace, Name: "default"}}
	own := metav1.ObjectMeta{Namespace: namespace, Name: "autosharding"}
	rights := []client.Object{
		&rbacv1.Role{ObjectMeta: own, Rules: []rbacv1.PolicyRule{
			{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: []string{"get"}},
			{APIGroups: []string{appsv1.GroupName}, Resources: []string{"statefulsets"}, Verbs: []string{"get", "list", "watch"}},
		}},
		&rbacv1.RoleBinding{ObjectMeta: own, Subjects: subjects, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: own.Name}},
	}
	for _, role := range []string{"ksmscale-kube-state-metrics", "ksmscale-kube-state-metrics-secrets"} {
		rights = append(rights, &rbacv1.ClusterRoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: namespace + "-" + role}, Subjects: subjects,
			RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
		})
	}
	return rights
}

// autosharding is the example of kube-state-metrics: a StatefulSet whose pods find out how many they are.
func autosharding(replicaCount int32) func(*testing.T, string, string) audit.Options {
	return func(t *testing.T, namespace, speed string) audit.Options {
		t.Helper()
		labels := map[string]string{"app": "autosharding"}
		metadata := metav1.ObjectMeta{Namespace: namespace, Name: "autosharding", Labels: labels}
		create(t, &appsv1.StatefulSet{ObjectMeta: metadata, Spec: appsv1.StatefulSetSpec{
			Replicas: new(replicaCount), ServiceName: metadata.Name, Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: monitorTemplate(labels, baselineVersion, speed, "--pod=$(POD_NAME)", "--pod-namespace=$(POD_NAMESPACE)"),
		}}, &corev1.Service{ObjectMeta: metadata, Spec: corev1.ServiceSpec{
			ClusterIP: corev1.ClusterIPNone, Selector: labels, Ports: []corev1.ServicePort{{Port: 8080}},
		}})
		awaitRollout(t, namespace, "statefulset/autosharding")
		return audit.Options{Selector: "app=autosharding", Pods: true}
	}
}

func scaleStatefulSet(replicaCount int) func(*testing.T, string, string) {
	return func(t *testing.T, namespace, _ string) {
		t.Helper()
		kubectl(t, "scale", "-n", namespace, "statefulset/autosharding", "--replicas="+strconv.Itoa(replicaCount))
		awaitRollout(t, namespace, "statefulset/autosharding")
	}
}

const baselineShards, baselineShardsAfter = 3, 5

func deploymentName(shard int) string { return fmt.Sprintf("shard-%d", shard) }

func shardArgs(shard, total int) []string {
	return []string{fmt.Sprintf("--shard=%d", shard), fmt.Sprintf("--total-shards=%d", total)}
}

// deployments are a Deployment and a Service for each shard.
func deployments(t *testing.T, namespace, speed string) audit.Options {
	t.Helper()
	for shard := range baselineShards {
		createShard(t, namespace, speed, shard, baselineShards)
	}
	awaitShards(t, namespace, baselineShards)
	return audit.Options{}
}

// probedDeployments have a probe that runs as often as the gate's, but ignores what is exposed. With no other probe can a
// kube-state-metrics be ready sooner.
func probedDeployments(t *testing.T, namespace, speed string) audit.Options {
	t.Helper()
	for shard := range baselineShards {
		createShard(t, namespace, speed, shard, baselineShards, func(monitor *corev1.Container) {
			probe := monitor.ReadinessProbe
			probe.InitialDelaySeconds, probe.PeriodSeconds, probe.TimeoutSeconds = 0, 1, 1
		})
	}
	awaitShards(t, namespace, baselineShards)
	return audit.Options{}
}

func createShard(t *testing.T, namespace, speed string, shard, total int, overrides ...func(*corev1.Container)) {
	t.Helper()
	deployment, service := monitorDeployment(namespace, deploymentName(shard), baselineVersion, speed, shardArgs(shard, total)...)
	for _, override := range overrides {
		override(&deployment.Spec.Template.Spec.Containers[0])
	}
	create(t, deployment, service)
}

func awaitShards(t *testing.T, namespace string, count int) {
	t.Helper()
	for shard := range count {
		awaitRollout(t, namespace, "deployment/"+deploymentName(shard))
	}
}

func restart(kind string) func(*testing.T, string, string) {
	return func(t *testing.T, namespace, _ string) {
		t.Helper()
		kubectl(t, "rollout", "restart", "-n", namespace, kind)
		if kind == "statefulset" {
			awaitRollout(t, namespace, "statefulset/autosharding")
			return
		}
		awaitShards(t, namespace, baselineShards)
	}
}

// reshardInPlace changes the total in the Deployments that there are, and creates those that are missing.
func reshardInPlace(oneByOne bool) func(*testing.T, string, string) {
	return func(t *testing.T, namespace, speed string) {
		t.Helper()
		for shard := range baselineShardsAfter {
			if shard < baselineShards {
				deployment, err := shared.clientset.AppsV1().Deployments(namespace).Get(t.Context(), deploymentName(shard), metav1.GetOptions{})
				require.NoError(t, err)
				before := client.MergeFrom(deployment.DeepCopy())
				deployment.Spec.Template.Spec.Containers[0].Args = shardArgs(shard, baselineShardsAfter)
				require.NoError(t, shared.client.Patch(t.Context(), deployment, before))
			} else {
				createShard(t, namespace, speed, shard, baselineShardsAfter)
			}
			if oneByOne {
				awaitRollout(t, namespace, "deployment/"+deploymentName(shard))
			}
		}
		awaitShards(t, namespace, baselineShardsAfter)
	}
}

// recreate is a rollout that deletes outdated pods before it creates new ones.
func recreate(t *testing.T, namespace, speed string) {
	t.Helper()
	for shard := range baselineShards {
		kubectl(t, "patch", "-n", namespace, "deployment/"+deploymentName(shard), "-p", `{"spec":{"strategy":{"type":"Recreate","rollingUpdate":null}}}`)
	}
	restart("deployment")(t, namespace, speed)
}

func deleteOnlyPod(t *testing.T, namespace, _ string) {
	t.Helper()
	kubectl(t, "delete", "pod", "-n", namespace, "-l", "app="+deploymentName(0), "--wait=false")
	await(t, "the pod to be gone", func(ctx context.Context) error {
		current, err := shared.clientset.AppsV1().Deployments(namespace).Get(ctx, deploymentName(0), metav1.GetOptions{})
		if err == nil && current.Status.AvailableReplicas > 0 {
			err = errors.New("it is available still")
		}
		return err
	})
	awaitShards(t, namespace, baselineShards)
}

func loseOnlyPod(t *testing.T, namespace, _ string) {
	t.Helper()
	lost := onlyPod(t, namespace)
	require.NoError(t, shared.client.Delete(t.Context(), &lost, client.GracePeriodSeconds(0)))
	await(t, "another pod to be ready instead", func(context.Context) error {
		for _, pod := range pods(t, namespace, "app="+deploymentName(0)) {
			if pod.UID != lost.UID && readiness(pod).Status == corev1.ConditionTrue {
				return nil
			}
		}
		return errors.New("there is none")
	})
}

func killOnlyContainer(t *testing.T, namespace, _ string) {
	t.Helper()
	killContainerOf(t, onlyPod(t, namespace), "kube-state-metrics")
}

func onlyPod(t *testing.T, namespace string) corev1.Pod {
	t.Helper()
	running := pods(t, namespace, "app="+deploymentName(0))
	require.Len(t, running, 1)
	return running[0]
}

func awaitRollout(t *testing.T, namespace, what string) {
	t.Helper()
	kubectl(t, "rollout", "status", "-n", namespace, what, "--timeout="+waitTimeout.String())
}
