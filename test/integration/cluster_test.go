package integration

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/example/ksmscale/test/cluster"
	"github.com/example/ksmscale/test/cluster/audit"
	"github.com/example/ksmscale/test/docs/transcripts"
)

const (
	clusterNamespace = metav1.NamespaceDefault
	// clusterDirVariable makes this program the one that is killed.
	clusterDirVariable = "CLUSTER_TEST_DIR"
	// clusterWaitLimit only limits a failing test. All waits end as soon as their event has happened.
	clusterWaitLimit = 5 * time.Minute
	clusterPoll      = 200 * time.Millisecond
)

// TestCluster shows that the local cluster does what the other tests take for granted. Its steps build on
// each other: the pods of one are on the nodes that the next removes.
func TestCluster(t *testing.T) {
	c := cluster.StartT(t, cluster.Options{HPASyncPeriod: time.Second})
	client, err := kubernetes.NewForConfig(c.Config())
	require.NoError(t, err)

	clusterNodesBecomeReady(t, c, client, 12)
	clusterRunsDeployment(t, client)
	clusterScalesByHPA(t, client)
	clusterNodesBecomeReady(t, c, client, 2)
	clusterHasNoOrphans(t, client)
	clusterKnowsServiceAccounts(t, c)
	clusterAuditsWrites(t, c)
	clusterIsReadyForInstallation(t, c)

	require.NoError(t, c.Check())
	require.Len(t, clusterProcesses(t, c.Dir()), 5)
	require.NoError(t, c.Stop())
	assert.Empty(t, clusterProcesses(t, c.Dir()))
	assert.NoDirExists(t, c.Dir())
}

// TestClusterDiesWithItsParent has two parts. Started with the variable, it is the program that is killed.
func TestClusterDiesWithItsParent(t *testing.T) {
	if dir := os.Getenv(clusterDirVariable); dir != "" {
		_, err := cluster.Start(t.Context(), cluster.Options{Dir: dir})
		require.NoError(t, err)
		fmt.Fprintln(os.Stdout, "ready")
		<-t.Context().Done()
		return
	}
	dir := filepath.Join(t.TempDir(), "state")
	parent := exec.Command(os.Args[0], "-test.run=^TestClusterDiesWithItsParent$", "-test.v=false")
	parent.Env = append(os.Environ(), clusterDirVariable+"="+dir)
	output, err := parent.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, parent.Start())
	line, err := bufio.NewReader(output).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "ready\n", line)
	require.Len(t, clusterProcesses(t, dir), 5)

	require.NoError(t, parent.Process.Kill())
	require.Error(t, parent.Wait())
	assert.Eventually(t, func() bool { return len(clusterProcesses(t, dir)) == 0 }, clusterWaitLimit, clusterPoll)
}

func clusterNodesBecomeReady(t *testing.T, c *cluster.Cluster, client kubernetes.Interface, n int) {
	t.Helper()
	require.NoError(t, c.SetNodes(t.Context(), n))
	clusterEventually(t, func(ctx context.Context, t *assert.CollectT) {
		nodes, err := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
		require.NoError(t, err)
		require.Len(t, nodes.Items, n)
		for _, node := range nodes.Items {
			assert.True(t, clusterNodeReady(node), node.Name)
			assert.Empty(t, node.Spec.Taints, node.Name)
		}
	})
}

func clusterNodeReady(node corev1.Node) bool {
	for _, condition := range node.Status.Conditions {
		if condition.Type == corev1.NodeReady {
			return condition.Status == corev1.ConditionTrue
		}
	}
	return false
}

func clusterRunsDeployment(t *testing.T, client kubernetes.Interface) {
	t.Helper()
	replicas := int32(20)
	labels := map[string]string{"app": "web"}
	deployment := &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: "web"},
		Spec: appsv1.DeploymentSpec{
			Replicas: &replicas,
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "web", Image: "web"}}},
			},
		},
	}
	deployments := client.AppsV1().Deployments(clusterNamespace)
	_, err := deployments.Create(t.Context(), deployment, metav1.CreateOptions{})
	require.NoError(t, err)
	clusterHasReadyReplicas(t, client, replicas)
}

// clusterScalesByHPA needs no metric: the HPA controller raises the replicas to the minimum without one.
func clusterScalesByHPA(t *testing.T, client kubernetes.Interface) {
	t.Helper()
	minimum := int32(24)
	target := int32(50)
	hpa := &autoscalingv2.HorizontalPodAutoscaler{
		ObjectMeta: metav1.ObjectMeta{Name: "web"},
		Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
			ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{
				APIVersion: "apps/v1", Kind: "Deployment", Name: "web",
			},
			MinReplicas: &minimum,
			MaxReplicas: 30,
			Metrics: []autoscalingv2.MetricSpec{{
				Type: autoscalingv2.ResourceMetricSourceType,
				Resource: &autoscalingv2.ResourceMetricSource{
					Name: corev1.ResourceCPU,
					Target: autoscalingv2.MetricTarget{
						Type: autoscalingv2.UtilizationMetricType, AverageUtilization: &target,
					},
				},
			}},
		},
	}
	hpas := client.AutoscalingV2().HorizontalPodAutoscalers(clusterNamespace)
	_, err := hpas.Create(t.Context(), hpa, metav1.CreateOptions{})
	require.NoError(t, err)
	clusterHasReadyReplicas(t, client, minimum)
}

func clusterHasReadyReplicas(t *testing.T, client kubernetes.Interface, want int32) {
	t.Helper()
	clusterEventually(t, func(ctx context.Context, t *assert.CollectT) {
		deployment, err := client.AppsV1().Deployments(clusterNamespace).Get(ctx, "web", metav1.GetOptions{})
		require.NoError(t, err)
		assert.Equal(t, want, deployment.Status.ReadyReplicas)
	})
}

// clusterHasNoOrphans checks that all pods moved to the two nodes that are left.
func clusterHasNoOrphans(t *testing.T, client kubernetes.Interface) {
	t.Helper()
	clusterEventually(t, func(ctx context.Context, t *assert.CollectT) {
		pods, err := client.CoreV1().Pods(clusterNamespace).List(ctx, metav1.ListOptions{})
		require.NoError(t, err)
		require.Len(t, pods.Items, 24)
		for _, pod := range pods.Items {
			assert.Contains(t, []string{"fake-node-00000", "fake-node-00001"}, pod.Spec.NodeName)
		}
	})
	clusterHasReadyReplicas(t, client, 24)
}

func clusterKnowsServiceAccounts(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kubeconfig")
	require.NoError(t, c.KubeconfigFor(t.Context(), clusterNamespace, "default", path))
	config, err := clientcmd.BuildConfigFromFlags("", path)
	require.NoError(t, err)
	client, err := kubernetes.NewForConfig(config)
	require.NoError(t, err)
	review, err := client.AuthenticationV1().SelfSubjectReviews().Create(t.Context(),
		&authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	require.NoError(t, err)
	assert.Equal(t, "system:serviceaccount:default:default", review.Status.UserInfo.Username)
}

func clusterAuditsWrites(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	mark, err := audit.Mark(c.AuditLog())
	require.NoError(t, err)
	client, err := kubernetes.NewForConfig(c.Config())
	require.NoError(t, err)
	for range 2 {
		_, err := client.AppsV1().Deployments(clusterNamespace).Patch(t.Context(), "web", types.ApplyPatchType,
			[]byte(`{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"labels":{"team":"a"}}}`),
			metav1.PatchOptions{FieldManager: "test"})
		require.NoError(t, err)
	}
	clusterEventually(t, func(_ context.Context, t *assert.CollectT) {
		events, err := audit.Since(c.AuditLog(), mark)
		require.NoError(t, err)
		assert.Len(t, audit.NoOpPatches(events, "admin"), 1)
	})
	events, err := audit.Read(c.AuditLog())
	require.NoError(t, err)
	assert.Equal(t, 1, audit.Creates(events, "admin")[audit.Object{
		GroupResource:  schema.GroupResource{Group: "apps", Resource: "deployments"},
		NamespacedName: types.NamespacedName{Namespace: clusterNamespace, Name: "web"},
	}])
}

// clusterIsReadyForInstallation runs the check of the kubectl plugin before an installation.
func clusterIsReadyForInstallation(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	code, stdout := transcripts.Run(t, "check --pre", "--kubeconfig", c.Kubeconfig())
	assert.Zero(t, code)
	transcripts.Compare(t, "check --pre", stdout)
}

// clusterProcesses returns the ids of all processes that have a flag with a path in dir.
func clusterProcesses(t *testing.T, dir string) []int {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	require.NoError(t, err)
	var actual []int
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		// A process may end while we look at it; it then has no command line to find anything in.
		commandLine, _ := os.ReadFile(filepath.Join("/proc", entry.Name(), "cmdline"))
		if bytes.Contains(commandLine, []byte("="+strings.TrimSuffix(dir, "/")+"/")) {
			actual = append(actual, pid)
		}
	}
	return actual
}

func clusterEventually(t *testing.T, check func(context.Context, *assert.CollectT)) {
	t.Helper()
	require.EventuallyWithT(t, func(collect *assert.CollectT) { check(t.Context(), collect) }, clusterWaitLimit, clusterPoll)
}
