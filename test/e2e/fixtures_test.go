package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/test/installation"
)

// restricted is a new namespace, removed at the test's end, that admits only pods of the restricted Pod Security
// Standard.
func restricted(t *testing.T) string {
	t.Helper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		GenerateName: "e2e-", Labels: map[string]string{"pod-security.kubernetes.io/enforce": "restricted"},
	}}
	create(t, namespace)
	return namespace.Name
}

// controllerUser is the controller, as RBAC names it.
const controllerUser = "system:serviceaccount:" + systemNamespace + ":ksmscale-controller"

// awaitRight waits until the API server has heard that a user has a right, or has lost it.
func awaitRight(t *testing.T, user string, right authorizationv1.ResourceAttributes, allowed bool) {
	t.Helper()
	awaitReview(t, authorizationv1.SubjectAccessReviewSpec{User: user, ResourceAttributes: &right}, allowed)
}

func awaitReview(t *testing.T, of authorizationv1.SubjectAccessReviewSpec, allowed bool) {
	t.Helper()
	await(t, "a right of "+of.User, func(ctx context.Context) error {
		review, err := shared.clientset.AuthorizationV1().SubjectAccessReviews().Create(ctx, &authorizationv1.SubjectAccessReview{Spec: of}, metav1.CreateOptions{})
		if err == nil && review.Status.Allowed != allowed {
			err = fmt.Errorf("allowed: %t", review.Status.Allowed)
		}
		return err
	})
}

// create creates the objects and deletes them at the test's end.
func create(t *testing.T, objects ...client.Object) {
	t.Helper()
	for _, object := range objects {
		require.NoError(t, shared.client.Create(t.Context(), object))
		t.Cleanup(func() {
			if err := shared.client.Delete(context.Background(), object); client.IgnoreNotFound(err) != nil {
				t.Error(err)
			}
		})
	}
}

// metricsServer is kube-state-metrics for nodes only, without KSMScale. Its pods are spread over the nodes, and their CPU
// limit throttles them at their start. It has a Service.
func metricsServer(namespace, monitorVersion string, replicaCount int32) (*appsv1.Deployment, *corev1.Service) {
	const name = "kube-state-metrics"
	deployment, service := monitorDeployment(namespace, name, monitorVersion, "100m", "--resources=nodes")
	honor := corev1.NodeInclusionPolicyHonor
	deployment.Spec.Replicas = new(replicaCount)
	deployment.Spec.Template.Spec.TopologySpreadConstraints = []corev1.TopologySpreadConstraint{{
		MaxSkew: 1, TopologyKey: corev1.LabelHostname, WhenUnsatisfiable: corev1.DoNotSchedule,
		NodeTaintsPolicy: &honor, LabelSelector: deployment.Spec.Selector,
	}}
	return deployment, service
}

// monitorDeployment is a Deployment of kube-state-metrics, without KSMScale, and its Service.
func monitorDeployment(namespace, name, monitorVersion, cpuLimit string, flags ...string) (*appsv1.Deployment, *corev1.Service) {
	labels := map[string]string{"app": name}
	metadata := metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: labels}
	deployment := &appsv1.Deployment{ObjectMeta: metadata, Spec: appsv1.DeploymentSpec{
		Selector: &metav1.LabelSelector{MatchLabels: labels},
		Template: monitorTemplate(labels, monitorVersion, cpuLimit, flags...),
	}}
	service := &corev1.Service{ObjectMeta: metadata, Spec: corev1.ServiceSpec{
		Selector: labels, Ports: []corev1.ServicePort{{Port: v1alpha1.PortMetrics, TargetPort: intstr.FromString("metrics")}},
	}}
	return deployment, service
}

// monitorTemplate is a pod of kube-state-metrics as in its own example, with a CPU limit unless that is empty.
func monitorTemplate(labels map[string]string, monitorVersion, cpuLimit string, flags ...string) corev1.PodTemplateSpec {
	probe := func(path, port string) *corev1.Probe {
		return &corev1.Probe{
			ProbeHandler:        corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: path, Port: intstr.FromString(port)}},
			InitialDelaySeconds: 5, TimeoutSeconds: 5,
		}
	}
	field := func(name, path string) corev1.EnvVar {
		return corev1.EnvVar{Name: name, ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: path}}}
	}
	var limits corev1.ResourceList
	if cpuLimit != "" {
		limits = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpuLimit)}
	}
	return corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{
		SecurityContext: &corev1.PodSecurityContext{
			RunAsNonRoot:   new(true),
			SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
		},
		TerminationGracePeriodSeconds: new(int64(1)),
		Containers: []corev1.Container{{
			Name:           "kube-state-metrics",
			Image:          monitorRepository + ":" + monitorVersion,
			Args:           flags,
			Env:            []corev1.EnvVar{field("POD_NAME", "metadata.name"), field("POD_NAMESPACE", "metadata.namespace")},
			Ports:          []corev1.ContainerPort{{Name: "metrics", ContainerPort: v1alpha1.PortMetrics}, {Name: "telemetry", ContainerPort: v1alpha1.PortTelemetry}},
			LivenessProbe:  probe("/livez", "metrics"),
			ReadinessProbe: probe("/readyz", "telemetry"),
			Resources:      corev1.ResourceRequirements{Limits: limits},
			SecurityContext: &corev1.SecurityContext{
				AllowPrivilegeEscalation: new(false), ReadOnlyRootFilesystem: new(true),
				Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
			},
		}},
	}}
}

// mayListNodes lets the default service account of a namespace do what metricsServer needs.
func mayListNodes(namespace string) (*rbacv1.ClusterRole, *rbacv1.ClusterRoleBinding) {
	metadata := metav1.ObjectMeta{Name: namespace + "-nodes"}
	role := &rbacv1.ClusterRole{ObjectMeta: metadata, Rules: []rbacv1.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"nodes"}, Verbs: []string{"list", "watch"}},
	}}
	return role, &rbacv1.ClusterRoleBinding{
		ObjectMeta: metadata,
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: metadata.Name},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: namespace, Name: "default"}},
	}
}

// awaitAvailable waits until a Deployment has all its replicas.
func awaitAvailable(t *testing.T, namespace, name string) {
	t.Helper()
	require.NoError(t, installation.AwaitDeployment(t.Context(), shared.clientset, namespace, name))
}

// changeController runs kubectl with arguments that change the pods of the controller. It returns once no pod from before is left: one that
// ends could still lead, and its successor would roll shards out again.
func changeController(t *testing.T, arguments ...string) {
	t.Helper()
	inSystem := func(arguments ...string) string {
		return kubectl(t, append([]string{"-n", systemNamespace}, arguments...)...)
	}
	before := strings.Fields(inSystem("get", "pods", "-l", "app.kubernetes.io/component=controller", "-o", "name"))
	inSystem(arguments...)
	inSystem("rollout", "status", "deployment/"+controllerName, "--timeout=2m")
	inSystem(append([]string{"wait", "--for=delete", "--timeout=2m"}, before...)...)
}

// pods returns the pods of an app in a namespace.
func pods(t *testing.T, namespace, selector string) []corev1.Pod {
	t.Helper()
	list, err := shared.clientset.CoreV1().Pods(namespace).List(t.Context(), metav1.ListOptions{LabelSelector: selector})
	require.NoError(t, err)
	return list.Items
}
