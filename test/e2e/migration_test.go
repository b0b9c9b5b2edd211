package e2e

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/test/e2e/audit"
	"github.com/example/ksmscale/test/prometheus/server"
)

// migration is another way to run kube-state-metrics, which a KSMScale replaces with the steps of docs/migration.md.
type migration struct {
	from string
	// start runs it in a namespace, and returns what to audit.
	start func(t *testing.T, namespace, speed string) audit.Options
	// full is for those that only the full run has, at full speed.
	full bool
}

var migrations = []migration{
	{from: "autosharding", start: autosharding(2)},
	{from: "a Deployment per shard", start: deployments, full: true},
	{from: "one kube-state-metrics", start: oneForAll, full: true},
}

// runs reports whether a run includes it at a speed.
func (m migration) runs(speed string) bool {
	if m.full {
		return full() && speed == ""
	}
	return full() || speed != ""
}

func (m migration) name() string { return "migration from " + m.from }

func (m migration) audited(t *testing.T, speed string) {
	old := restricted(t)
	create(t, baselineRights(old)...)
	options := m.start(t, old, speed)
	options.Namespace = old
	ksmScale := newKSMScale(func(spec *v1alpha1.KSMScaleSpec) {
		if speed != "" {
			spec.Resources.Limits = map[resourceName]resource.Quantity{"cpu": resource.MustParse(speed)}
		}
	})
	// The audit starts before the targets exist.
	ksmScale.Name, ksmScale.GenerateName = old, ""
	options.Also = &audit.Options{
		Namespace: monitoringNamespace, Selector: scraped(ksmScale), PartitionLabel: v1alpha1.LabelTotalShards,
	}
	machine := server.WatchMachine(t.Context())
	report := auditWhile(t, m.name(), speed, options, func() {
		create(t, ksmScale)
		awaitReady(t, ksmScale)
		awaitScraped(t, ksmScale)
		kubectl(t, "delete", "-n", old, "statefulset,deployment,service", "--all")
		awaitNoPods(t, old)
	})
	assert.Zero(t, report.MissingObjectSeconds, "object-seconds missing: %v", report.Problems)
	assert.Zero(t, report.Twice, "objects exported twice by one of both")
	neverUncovered(t, ksmScale, machine)
	noGateOpenedByDeadline(t, ksmScale)
}

// oneForAll is a single kube-state-metrics and its Service.
func oneForAll(t *testing.T, namespace, speed string) audit.Options {
	t.Helper()
	const name = "kube-state-metrics"
	deployment, service := monitorDeployment(namespace, name, baselineVersion, speed)
	create(t, deployment, service)
	awaitRollout(t, namespace, "deployment/"+name)
	return audit.Options{}
}

// awaitScraped waits until all pods have been ready for two scrape intervals.
func awaitScraped(t *testing.T, ksmScale *v1alpha1.KSMScale) {
	t.Helper()
	await(t, "pods to have been scraped", func(ctx context.Context) error {
		list, err := shared.clientset.CoreV1().Pods(monitoringNamespace).List(ctx, metav1.ListOptions{LabelSelector: v1alpha1.LabelKSMScale + "=" + ksmScale.Name})
		if err == nil && len(list.Items) == 0 {
			err = errors.New("there are none")
		}
		if err != nil {
			return err
		}
		for _, pod := range list.Items {
			if ready := readiness(pod); ready.Status != corev1.ConditionTrue || time.Since(ready.LastTransitionTime.Time) < 2*scrapeInterval {
				return fmt.Errorf("readiness of pod %s: %q since %s", pod.Name, ready.Status, ready.LastTransitionTime)
			}
		}
		return nil
	})
}

// readiness is the condition Ready; zero if a pod has none.
func readiness(pod corev1.Pod) corev1.PodCondition {
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodReady {
			return condition
		}
	}
	return corev1.PodCondition{}
}

func awaitNoPods(t *testing.T, namespace string) {
	t.Helper()
	await(t, "pods to be gone", func(ctx context.Context) error {
		list, err := shared.clientset.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{})
		if err == nil && len(list.Items) > 0 {
			err = fmt.Errorf("%d are there", len(list.Items))
		}
		return err
	})
}
