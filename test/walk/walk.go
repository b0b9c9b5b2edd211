// Package walk changes the number of nodes of a cluster in steps. At each step it waits until the metrics, the
// HorizontalPodAutoscalers and the Deployments of a KSMScale all have the expected replicas. The demo and the integration
// tests use it.
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

// Replicas are the replicas of a KSMScale's shards, in order, in each part of the chain.
type Replicas struct {
	// Nodes is the value of ksmscale_nodes: how many nodes the others are for.
	Nodes int
	// Metrics are the values of ksmscale_desired_replicas.
	Metrics []int32
	// Autoscalers are the desired replicas of the HorizontalPodAutoscalers.
	Autoscalers []int32
	// Deployments are what the Deployments are set to.
	Deployments []int32
	// Ready are the pods that are ready.
	Ready []int32
}

// Agree reports whether all parts have the expected replicas for that many nodes.
func (r Replicas) Agree(nodes int, expected []int32) bool {
	return r.Nodes == nodes && slices.Equal(r.Metrics, expected) && slices.Equal(r.Autoscalers, expected) &&
		slices.Equal(r.Deployments, expected) && slices.Equal(r.Ready, expected)
}

// Walker looks at the KSMScales of a cluster.
type Walker struct {
	client kubernetes.Interface
	// Observe is called with the replicas of each look of Await, if set.
	Observe func(Replicas)
}

// New returns a Walker with the rights of a client configuration.
func New(config *rest.Config) (*Walker, error) {
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("create a client: %w", err)
	}
	return &Walker{client: client}, nil
}

// Await waits until that many nodes are counted and the shards of a KSMScale have the expected replicas. It returns their
// last replicas, and an error if the timeout passes before.
func (w *Walker) Await(ctx context.Context, ksmScale *v1alpha1.KSMScale, nodes int, expected []int32, timeout time.Duration) (Replicas, error) {
	var replicas Replicas
	var last error
	err := wait.PollUntilContextTimeout(ctx, pollInterval, timeout, true, func(ctx context.Context) (bool, error) {
		var now Replicas
		if now, last = w.Replicas(ctx, ksmScale); last == nil {
			replicas = now
			if w.Observe != nil {
				w.Observe(now)
			}
		}
		return last == nil && replicas.Agree(nodes, expected), nil
	})
	if err != nil {
		return replicas, errors.Join(fmt.Errorf("replicas of KSMScale %s are %+v, and not %v for %d nodes: %w", ksmScale.Name, replicas, expected, nodes, err), last)
	}
	return replicas, nil
}

// Replicas returns the current replicas of a KSMScale's shards.
func (w *Walker) Replicas(ctx context.Context, ksmScale *v1alpha1.KSMScale) (Replicas, error) {
	total := ksmScale.TotalShards()
	replicas := Replicas{
		Metrics: make([]int32, total), Autoscalers: make([]int32, total), Deployments: make([]int32, total), Ready: make([]int32, total),
	}
	// Nodes are read first, so all other values are at least as recent.
	nodes, err := w.metric(ctx, ksmScale, v1alpha1.MetricNodes)
	if err != nil {
		return replicas, err
	}
	wanted, err := w.metric(ctx, ksmScale, v1alpha1.MetricDesiredReplicas)
	if err != nil {
		return replicas, err
	}
	for _, item := range nodes {
		replicas.Nodes += int(item.Value.Value())
	}
	for _, item := range wanted {
		id, err := strconv.Atoi(item.MetricLabels[v1alpha1.MetricLabelShard])
		if err != nil || id < 0 || id >= int(total) {
			return replicas, fmt.Errorf("the metric has shard %q of %d", item.MetricLabels[v1alpha1.MetricLabelShard], total)
		}
		replicas.Metrics[id] += int32(item.Value.Value())
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
		replicas.Autoscalers[id] = autoscaler.Status.DesiredReplicas
		if deployment.Spec.Replicas != nil {
			replicas.Deployments[id] = *deployment.Spec.Replicas
		}
		replicas.Ready[id] = deployment.Status.ReadyReplicas
	}
	return replicas, nil
}

// metric returns the values of one metric of a KSMScale through the API server.
func (w *Walker) metric(ctx context.Context, ksmScale *v1alpha1.KSMScale, name string) ([]v1beta1.ExternalMetricValue, error) {
	selector := url.Values{"labelSelector": {v1alpha1.MetricLabelKSMScale + "=" + ksmScale.Name}}
	path := fmt.Sprintf("/apis/external.metrics.k8s.io/v1beta1/namespaces/%s/%s?%s", ksmScale.Spec.Namespace, name, selector.Encode())
	data, err := w.client.CoreV1().RESTClient().Get().RequestURI(path).DoRaw(ctx)
	if err != nil {
		return nil, fmt.Errorf("get %s: %w", path, err)
	}
	var list v1beta1.ExternalMetricValueList
	if err := json.Unmarshal(data, &list); err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return list.Items, nil
}
