package main

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"time"

	dto "github.com/prometheus/client_model/go"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/test/cluster"
	"github.com/example/ksmscale/test/cluster/audit"
	"github.com/example/ksmscale/test/installation"
)

// readyTimeout only bounds a run that fails.
const readyTimeout = 10 * time.Minute

// measureKSMScales creates KSMScales together, and measures the time until all are Ready, and requests while they exist.
func (b *bench) measureKSMScales(ctx context.Context, numbers []int, page *page) error {
	for _, number := range numbers {
		progress("%d KSMScales", number)
		names := make([]string, number)
		for i := range names {
			names[i] = fmt.Sprintf("%s%03d", manyPrefix, i)
		}
		made, err := b.measureCreation(ctx, names)
		if err != nil {
			return err
		}
		if err := b.measureRequests(ctx, "requests of many", names[number/2], number, page); err != nil {
			return err
		}
		objects, err := b.createdObjects(ctx)
		if err != nil {
			return err
		}
		if err := b.removeAll(ctx, names); err != nil {
			return err
		}
		alone, err := b.measureAlone(ctx, number, objects)
		if err != nil {
			return err
		}
		if err := page.add("ksmscales", number, made.cells(alone)); err != nil {
			return err
		}
	}
	return nil
}

// costs are what the controller and the adapter have used and done so far.
type costs struct {
	usages
	reconciles float64
}

func (b *bench) costs(ctx context.Context) (costs, error) {
	used, err := b.usages()
	if err != nil {
		return costs{}, err
	}
	reconciles, err := b.reconciles(ctx)
	return costs{used, reconciles}, err
}

// creation is what it took to create KSMScales.
type creation struct {
	took          time.Duration
	before, after costs
	writes        int
}

// cells are the cells of a line in the page, next to the creation of the same objects without KSMScale.
func (c creation) cells(alone creation) string {
	apiServer := func(c creation) time.Duration { return c.after.apiServer.CPU - c.before.apiServer.CPU }
	return fmt.Sprintf("%.0f s | %.0f s | %s | %.1f s | %.1f s | %d | %d | %.1f s | %s | %s",
		c.took.Seconds(), alone.took.Seconds(), ratio(c.took.Seconds(), alone.took.Seconds()), apiServer(c).Seconds(), apiServer(alone).Seconds(),
		int(c.after.reconciles-c.before.reconciles), c.writes, (c.after.controller.CPU - c.before.controller.CPU).Seconds(),
		mebibytes(c.after.controller), mebibytes(c.after.adapter))
}

// measureCreation creates KSMScales, and waits until they are Ready.
func (b *bench) measureCreation(ctx context.Context, names []string) (made creation, err error) {
	if made.before, err = b.costs(ctx); err != nil {
		return made, err
	}
	mark, err := audit.Mark(b.local.AuditLog())
	if err != nil {
		return made, err
	}
	started := time.Now()
	if err := inParallel(ctx, len(names), func(ctx context.Context, i int) error {
		return b.client.Create(ctx, ksmScale(names[i], v1alpha1.ModeHorizontalPodAutoscaler))
	}); err != nil {
		return made, err
	}
	half, err := b.awaitReady(ctx, names)
	if err != nil {
		return made, err
	}
	made.took = time.Since(started)
	progress("%d KSMScales: Ready after %s (half of them after %s)", len(names), made.took, half)
	if made.after, err = b.costs(ctx); err != nil {
		return made, err
	}
	events, err := audit.Since(b.local.AuditLog(), mark)
	if err != nil {
		return made, err
	}
	made.writes = len(audit.Writes(events, "system:serviceaccount:"+installation.Namespace+":"+installation.ControllerAccount))
	return made, nil
}

// pollInterval is the time between two lists of KSMScales, or of their Deployments. A list of many costs the API server time as well.
func pollInterval(ksmScales int) time.Duration {
	return max(500*time.Millisecond, time.Duration(ksmScales)*10*time.Millisecond)
}

// awaitReady waits until KSMScales are Ready. It returns the time until half of them were.
func (b *bench) awaitReady(ctx context.Context, names []string) (half time.Duration, err error) {
	started, wanted := time.Now(), sets.New(names...)
	err = wait.PollUntilContextTimeout(ctx, pollInterval(len(names)), readyTimeout, true, func(ctx context.Context) (bool, error) {
		var list v1alpha1.KSMScaleList
		if err := b.client.List(ctx, &list); err != nil {
			return false, err
		}
		ready := 0
		for _, one := range list.Items {
			if wanted.Has(one.Name) && meta.IsStatusConditionTrue(one.Status.Conditions, v1alpha1.ConditionReady) {
				ready++
			}
		}
		if half == 0 && 2*ready >= len(names) {
			half = time.Since(started)
		}
		return ready == len(names), nil
	})
	if err != nil {
		return 0, fmt.Errorf("wait for %d KSMScales: %w", len(names), err)
	}
	return half, nil
}

// removeAll deletes KSMScales and waits until their pods are gone.
func (b *bench) removeAll(ctx context.Context, names []string) error {
	if err := inParallel(ctx, len(names), func(ctx context.Context, i int) error {
		return b.client.Delete(ctx, &v1alpha1.KSMScale{ObjectMeta: metav1.ObjectMeta{Name: names[i]}})
	}); err != nil {
		return err
	}
	return b.awaitRemoved(ctx)
}

// awaitRemoved waits until only the objects of the first KSMScale are left. The garbage collector deletes the others.
func (b *bench) awaitRemoved(ctx context.Context) error {
	return wait.PollUntilContextTimeout(ctx, time.Second, readyTimeout, true, func(ctx context.Context) (bool, error) {
		var pods corev1.PodList
		if err := b.client.List(ctx, &pods, client.InNamespace(namespace)); err != nil {
			return false, err
		}
		left, err := b.createdObjects(ctx)
		return len(left) == 0 && len(pods.Items) <= 3, err
	})
}

// kubeconfigFor returns the path of a kubeconfig for a service account with a cluster role.
func kubeconfigFor(ctx context.Context, local *cluster.Cluster, writer client.Client, name, clusterRole string) (string, error) {
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceDefault, Name: name}}
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: clusterRole},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: account.Namespace, Name: name}},
	}
	for _, object := range []client.Object{account, binding} {
		if err := client.IgnoreAlreadyExists(writer.Create(ctx, object)); err != nil {
			return "", err
		}
	}
	kubeconfig := filepath.Join(local.Dir(), name+".kubeconfig")
	return kubeconfig, local.KubeconfigFor(ctx, account.Namespace, name, kubeconfig)
}

// reconciles is how often the controller has reconciled a KSMScale.
func (b *bench) reconciles(ctx context.Context) (float64, error) {
	kubeconfig, err := kubeconfigFor(ctx, b.local, b.client, "performance", "system:monitoring")
	if err != nil {
		return 0, err
	}
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return 0, err
	}
	config.TLSClientConfig = rest.TLSClientConfig{Insecure: true}
	scraper, err := rest.HTTPClientFor(config)
	if err != nil {
		return 0, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, b.controller.MetricsURL, nil)
	if err != nil {
		return 0, err
	}
	response, err := scraper.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("scrape the controller: %s", response.Status)
	}
	families, err := parseMetrics(response.Body)
	if err != nil {
		return 0, fmt.Errorf("parse the metrics of the controller: %w", err)
	}
	return summed(families["controller_runtime_reconcile_total"], "controller", "ksmscale"), nil
}

// summed adds the values of all series of a counter with a label.
func summed(counter *dto.MetricFamily, label, value string) (sum float64) {
	for _, metric := range counter.GetMetric() {
		if labelsOf(metric)[label] == value {
			sum += metric.GetCounter().GetValue()
		}
	}
	return sum
}
