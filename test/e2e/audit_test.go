package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/test/cluster/image"
	"github.com/example/ksmscale/test/e2e/audit"
	"github.com/example/ksmscale/test/installation"
)

const (
	monitorRepository = "registry.k8s.io/kube-state-metrics/kube-state-metrics"
	auditorName       = "auditor"
	// tail is how long an audit continues after an event.
	tail = 10 * time.Second
	// scrapeInterval is short, which keeps the events short. The audit does not depend on it.
	scrapeInterval = 5 * time.Second

	ciObjects, fullObjects = 3000, 20_000
)

// full reports whether to run all events at both speeds, and the baselines.
func full() bool { return os.Getenv("E2E_FULL") != "" }

// objectCount is how many objects to create: E2E_OBJECTS if that is set, for machines that cannot do with as many.
func objectCount() int {
	if set, err := strconv.Atoi(os.Getenv("E2E_OBJECTS")); err == nil {
		return set
	}
	if full() {
		return fullObjects
	}
	return ciObjects
}

type resourceName = corev1.ResourceName

// newKSMScale has three shards of one replica each.
func newKSMScale(overrides ...func(*v1alpha1.KSMScaleSpec)) *v1alpha1.KSMScale {
	ksmScale := &v1alpha1.KSMScale{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "e2e-"},
		Spec: v1alpha1.KSMScaleSpec{
			NodesPerMonitor: 1,
			MonitorImage:    monitorRepository + ":v2.20.0",
			Sharding:        &v1alpha1.ShardingConfig{Enabled: true, ShardCount: 3, MinReplicasPerShard: 1},
			Monitoring:      v1alpha1.MonitoringConfig{Interval: metav1.Duration{Duration: scrapeInterval}},
		},
	}
	for _, override := range overrides {
		override(&ksmScale.Spec)
	}
	return ksmScale
}

// makeObjects creates that many objects in a namespace that ends with the test, and returns its name.
func makeObjects(t *testing.T, count int) string {
	t.Helper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "e2e-objects-"}}
	create(t, namespace)
	require.NoError(t, installation.CreateObjects(t.Context(), shared.clientset, namespace.Name, count))
	return namespace.Name
}

// auditor is one that runs as a pod.
type auditor struct{ namespace string }

// startAuditor runs an auditor until the end of the test.
func startAuditor(t *testing.T, options audit.Options) auditor {
	t.Helper()
	what, err := json.Marshal(options)
	require.NoError(t, err)
	namespace := restricted(t)
	role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: namespace}, Rules: []rbacv1.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"configmaps", "pods", "services"}, Verbs: []string{"list", "watch"}},
		{NonResourceURLs: []string{"/metrics"}, Verbs: []string{"get"}},
	}}
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: namespace},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: namespace},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: namespace, Name: "default"}},
	}
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: auditorName, Labels: map[string]string{"app": auditorName}},
		Spec: corev1.PodSpec{
			TerminationGracePeriodSeconds: new(int64(1)),
			SecurityContext: &corev1.PodSecurityContext{
				RunAsNonRoot:   new(true),
				SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
			},
			Containers: []corev1.Container{{
				Name:  auditorName,
				Image: image.AuditorReference,
				Args:  []string{"--options=" + string(what)},
				// Without a request it gets what all others leave, and reads so slowly on a busy node that scrapes fail.
				Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("500m")}},
				SecurityContext: &corev1.SecurityContext{
					AllowPrivilegeEscalation: new(false), ReadOnlyRootFilesystem: new(true),
					Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
				},
			}},
		},
	}
	create(t, role, binding)
	// The namespace gets its service account a moment later.
	require.NoError(t, retry.OnError(retry.DefaultBackoff, func(error) bool { return true }, func() error {
		return shared.client.Create(t.Context(), pod.DeepCopy())
	}))
	return auditor{namespace}
}

func auditorNode(t *testing.T) string {
	t.Helper()
	var list corev1.PodList
	require.NoError(t, shared.client.List(t.Context(), &list, client.MatchingLabels{"app": auditorName}))
	require.NotEmpty(t, list.Items)
	// The auditor of an earlier event may not have ended yet.
	return slices.MaxFunc(list.Items, func(a, b corev1.Pod) int { return a.CreationTimestamp.Compare(b.CreationTimestamp.Time) }).Spec.NodeName
}

func (a auditor) report(ctx context.Context) (audit.Report, error) {
	var report audit.Report
	text, err := shared.clientset.CoreV1().RESTClient().Get().Namespace(a.namespace).Resource("pods").
		Name(auditorName + ":8080").SubResource("proxy").Suffix("report").DoRaw(ctx)
	if err != nil {
		return report, err
	}
	return report, json.Unmarshal(text, &report)
}

func (a auditor) reset(t *testing.T) {
	t.Helper()
	require.NoError(t, a.tryReset(t.Context()))
}

func (a auditor) tryReset(ctx context.Context) error {
	return shared.clientset.CoreV1().RESTClient().Post().Namespace(a.namespace).Resource("pods").
		Name(auditorName + ":8080").SubResource("proxy").Suffix("reset").Do(ctx).Error()
}

// awaitComplete waits until all objects have existed for long enough to count, and several looks in a row have found all
// of them.
func (a auditor) awaitComplete(t *testing.T) {
	t.Helper()
	const looks = 3
	await(t, "an audit without a gap", func(ctx context.Context) error {
		report, err := a.report(ctx)
		switch {
		case err != nil:
			return err
		case report.MissingObjectSeconds > 0:
			return errors.Join(fmt.Errorf("missing: %v", report.Problems), a.tryReset(ctx))
		case report.Ticks < looks || report.Objects < objectCount():
			return fmt.Errorf("%d objects in %d looks", report.Objects, report.Ticks)
		}
		return nil
	})
}

// reportAfter returns the report at some time from now, with a look for each second of it: a machine that stalls makes looks take longer.
func (a auditor) reportAfter(t *testing.T, pause time.Duration) audit.Report {
	t.Helper()
	before, err := a.report(t.Context())
	require.NoError(t, err)
	var report audit.Report
	await(t, "the end of the audit", func(ctx context.Context) error {
		if report, err = a.report(ctx); err != nil {
			return err
		}
		seconds, looks := report.Seconds-before.Seconds, report.Ticks-before.Ticks
		if seconds < pause.Seconds() || looks < int(pause.Seconds()) {
			return fmt.Errorf("%.0f s with %d looks are over", seconds, looks)
		}
		return nil
	})
	return report
}

// noGateOpenedByDeadline checks the metrics of each gate.
func noGateOpenedByDeadline(t *testing.T, ksmScale *v1alpha1.KSMScale) {
	t.Helper()
	const metric = "ksmscale_gate_opened_by_deadline_total"
	for _, pod := range shardPods(t, ksmScale) {
		if pod.DeletionTimestamp != nil {
			continue
		}
		families := gateMetrics(t, pod)
		require.NotNil(t, families[metric], pod.Name)
		require.Zero(t, families[metric].GetMetric()[0].GetCounter().GetValue(), pod.Name)
	}
}

// gateMetrics are the metrics of a pod's gate.
func gateMetrics(t *testing.T, pod corev1.Pod) map[string]*dto.MetricFamily {
	t.Helper()
	body, err := shared.clientset.CoreV1().RESTClient().Get().Namespace(pod.Namespace).Resource("pods").
		Name(fmt.Sprintf("%s:%d", pod.Name, v1alpha1.PortGate)).SubResource("proxy").Suffix("metrics").Stream(t.Context())
	require.NoError(t, err)
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(io.Reader(body))
	require.NoError(t, err)
	require.NoError(t, body.Close())
	return families
}
