package installation

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	"k8s.io/kube-aggregator/pkg/apis/apiregistration/v1/helper"

	"github.com/example/ksmscale/test/cluster"
	"github.com/example/ksmscale/test/cluster/image"
)

// AutoscalerSyncPeriod is how often the HorizontalPodAutoscalers of StartRealNodes act.
const AutoscalerSyncPeriod = 5 * time.Second

const (
	externalMetrics = "/apis/external.metrics.k8s.io/v1beta1"
	apiService      = "/apis/apiregistration.k8s.io/v1/apiservices/v1beta1.external.metrics.k8s.io"
	// parallelRequests saturates an API server on a small machine.
	parallelRequests = 16
	// podShare of all objects are pods: five of six.
	podShare = 6
)

// StartRealNodes starts a cluster whose two real nodes have all images of bin in root, for an installation as pods. The
// HorizontalPodAutoscalers act every AutoscalerSyncPeriod, and scale down without waiting. Call cluster.Isolate first.
func StartRealNodes(ctx context.Context, root string, progress io.Writer) (*cluster.Cluster, error) {
	started, err := cluster.Start(ctx, cluster.Options{
		RealNodes:                 cluster.MaxRealNodes,
		HPASyncPeriod:             AutoscalerSyncPeriod,
		HPADownscaleStabilization: new(time.Duration(0)),
		Progress:                  progress,
	})
	if err != nil {
		return nil, err
	}
	if err := loadImages(ctx, started, root, progress); err != nil {
		return nil, errors.Join(err, started.Stop())
	}
	return started, nil
}

// loadImages keeps the file of an image no longer than it takes.
func loadImages(ctx context.Context, into *cluster.Cluster, root string, progress io.Writer) error {
	images, err := image.All(root)
	if err != nil {
		return err
	}
	file := filepath.Join(into.Dir(), "image.tar")
	for _, archive := range images {
		fmt.Fprintln(progress, "loading image", archive.Name)
		if err := archive.Write(file); err != nil {
			return err
		}
		if err := into.LoadImage(ctx, file); err != nil {
			return err
		}
		if err := os.Remove(file); err != nil {
			return err
		}
	}
	return nil
}

// AwaitPods waits until the pods of controller and adapter are available, and external metrics are served.
func AwaitPods(ctx context.Context, client kubernetes.Interface) error {
	for _, name := range []string{ControllerAccount, AdapterAccount} {
		if err := AwaitDeployment(ctx, client, Namespace, name); err != nil {
			return err
		}
	}
	return await(ctx, "external metrics", func(ctx context.Context) error {
		data, err := client.CoreV1().RESTClient().Get().AbsPath(apiService).DoRaw(ctx)
		if err != nil {
			return err
		}
		var service apiregistrationv1.APIService
		if err := json.Unmarshal(data, &service); err != nil {
			return err
		}
		if condition := helper.GetAPIServiceConditionByType(&service, apiregistrationv1.Available); condition != nil && condition.Status != apiregistrationv1.ConditionTrue {
			return errors.New(condition.Message)
		}
		return client.CoreV1().RESTClient().Get().AbsPath(externalMetrics).Do(ctx).Error()
	})
}

// AwaitDeployment waits until a Deployment has all its replicas.
func AwaitDeployment(ctx context.Context, client kubernetes.Interface, namespace, name string) error {
	return await(ctx, "Deployment "+namespace+"/"+name, func(ctx context.Context) error {
		deployment, err := client.AppsV1().Deployments(namespace).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if deployment.Status.ObservedGeneration < deployment.Generation || deployment.Status.AvailableReplicas != *deployment.Spec.Replicas {
			return fmt.Errorf("%d of %d replicas are available", deployment.Status.AvailableReplicas, *deployment.Spec.Replicas)
		}
		return nil
	})
}

// CreateObjects creates that many objects in a namespace. Five of six are pods without work for a node, because the
// scheduler ignores them. The others are ConfigMaps. It returns before all clients have seen the objects.
func CreateObjects(ctx context.Context, client kubernetes.Interface, namespace string, count int) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallelRequests)
	for i := range count {
		metadata := metav1.ObjectMeta{Namespace: namespace, Name: fmt.Sprintf("object-%05d", i)}
		group.Go(func() error {
			if i%podShare == 0 {
				_, err := client.CoreV1().ConfigMaps(namespace).Create(ctx, &corev1.ConfigMap{ObjectMeta: metadata}, metav1.CreateOptions{})
				return err
			}
			_, err := client.CoreV1().Pods(namespace).Create(ctx, &corev1.Pod{ObjectMeta: metadata, Spec: corev1.PodSpec{
				SchedulingGates: []corev1.PodSchedulingGate{{Name: "example.com/never"}},
				Containers:      []corev1.Container{{Name: "none", Image: "none"}},
			}}, metav1.CreateOptions{})
			return err
		})
	}
	return group.Wait()
}
