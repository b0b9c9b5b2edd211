// Package walk takes a cluster through numbers of nodes, and waits at each until the replicas of KSMScales are what
// someone expects: as metrics, as what HorizontalPodAutoscalers want, and as what Deployments have. The demo and
// the integration tests walk.
package walk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/metrics/pkg/apis/external_metrics/v1beta1"

	"github.com/example/ksmscale/api/v1alpha1"
)

const pollInterval = 200 * time.Millisecond

// Replicas are those of a KSMScale's shards, in order, as each part of the chain has them.
type Replicas struct {
	// Metrics are the values of ksmscale_desired_replicas.
	Metrics []int32
	// Autoscalers are what the HorizontalPodAutoscalers want.
	Autoscalers []int32
	// Deployments are what the Deployments are set to.
	Deployments []int32
	// Ready are the pods that are ready.
	Ready []int32
}

// Agree tells whether all are as expected.
func (r Replicas) Agree(expected []int32) bool {
	return slices.Equal(r.Metrics, expected) && slices.Equal(r.Autoscalers, expected) &&
		slices.Equal(r.Deployments, expected) && slices.Equal(r.Ready, expected)
}

// Walker looks at the KSMScales of a cluster.
type Walker struct {
	client kubernetes.Interface
}

// New returns a Walker with the rights of a client configuration.
func New(config *rest.Config) (*Walker, error) {
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("create a client: %w", err)
	}
	return &Walker{client: client}, nil
}

// Await waits until the shards of a KSMScale have the expected replicas, and returns what they had last. It
// returns an error if they do not before the timeout.
func (w *Walker) Await(ctx context.Context, ksmScale *v1alpha1.KSMScale, expected []int32, timeout time.Duration) (Replicas, error) {
	var replicas Replicas
	var last error
	err := wait.PollUntilContextTimeout(ctx, pollInterval, timeout, true, func(ctx context.Context) (bool, error) {
		var now Replicas
		if now, last = w.Replicas(ctx, ksmScale); last == nil {
			replicas = now
		}
		return last == nil && replicas.Agree(expected), nil
	})
	if err != nil {
		return replicas, errors.Join(fmt.Errorf("replicas of KSMScale %s are %+v, and not %v: %w", ksmScale.Name, replicas, expected, err), last)
	}
	return replicas, nil
}

// Replicas returns what there is of a KSMScale's shards.
func (w *Walker) Replicas(ctx context.Context, ksmScale *v1alpha1.KSMScale) (Replicas, error) {
	total := ksmScale.Spec.TotalShards()
	replicas := Replicas{
		Metrics: make([]int32, total), Autoscalers: make([]int32, total), Deployments: make([]int32, total), Ready: make([]int32, total),
	}
	values, err := w.metrics(ctx, ksmScale)
	if err != nil {
		return replicas, err
	}
	for id := range total {
		shard := v1alpha1.Shard{KSMScale: ksmScale.Name, ID: id, Total: total}
		autoscaler, err := w.client.AutoscalingV2().HorizontalPodAutoscalers(ksmScale.Spec.Namespace).Get(ctx, shard.Name(), metav1.GetOptions{})
		if err != nil {
			return replicas, err
		}
		deployment, err := w.client.AppsV1().Deployments(ksmScale.Spec.Namespace).Get(ctx, shard.Name(), metav1.GetOptions{})
		if err != nil {
			return replicas, err
		}
		replicas.Metrics[id] = values[strconv.Itoa(int(id))]
		replicas.Autoscalers[id] = autoscaler.Status.DesiredReplicas
		if deployment.Spec.Replicas != nil {
			replicas.Deployments[id] = *deployment.Spec.Replicas
		}
		replicas.Ready[id] = deployment.Status.ReadyReplicas
	}
	return replicas, nil
}

// metrics returns the wanted replicas under the number of each shard, as the API server passes them on.
func (w *Walker) metrics(ctx context.Context, ksmScale *v1alpha1.KSMScale) (map[string]int32, error) {
	selector := url.Values{"labelSelector": {v1alpha1.MetricLabelKSMScale + "=" + ksmScale.Name}}
	path := fmt.Sprintf("/apis/external.metrics.k8s.io/v1beta1/namespaces/%s/%s?%s",
		ksmScale.Spec.Namespace, v1alpha1.MetricDesiredReplicas, selector.Encode())
	data, err := w.client.CoreV1().RESTClient().Get().RequestURI(path).DoRaw(ctx)
	if err != nil {
		return nil, fmt.Errorf("get %s: %w", path, err)
	}
	var list v1beta1.ExternalMetricValueList
	if err := json.Unmarshal(data, &list); err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	values := map[string]int32{}
	for _, item := range list.Items {
		values[item.MetricLabels[v1alpha1.MetricLabelShard]] += int32(item.Value.Value())
	}
	return values, nil
}
