package replica

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"

	"github.com/example/ksmscale/test/cluster"
)

const (
	// PodsPerNode is what many clusters have.
	PodsPerNode = 30
	// fillTimeout only bounds a run that fails.
	fillTimeout = 30 * time.Minute
)

// Filler adds nodes and pods to a cluster.
type Filler struct {
	// Client is a client of the cluster's administrator.
	Client *kubernetes.Clientset

	local *cluster.Cluster
	// pods are how many there are.
	pods int
}

// NewFiller returns a filler of a cluster that has no pods.
func NewFiller(local *cluster.Cluster) (*Filler, error) {
	client, err := kubernetes.NewForConfig(local.Config())
	if err != nil {
		return nil, fmt.Errorf("create client: %w", err)
	}
	return &Filler{Client: client, local: local}, nil
}

// NodesFor is the number of nodes for a number of pods.
func NodesFor(pods int) int { return (pods + PodsPerNode - 1) / PodsPerNode }

// Fill adds nodes and pods until there are that many of the latter, and returns once all of them run.
func (f *Filler) Fill(ctx context.Context, pods int) error {
	if err := f.local.SetNodes(ctx, NodesFor(pods)); err != nil {
		return err
	}
	group, creating := errgroup.WithContext(ctx)
	group.SetLimit(16)
	for number := f.pods; number < pods; number++ {
		group.Go(func() error {
			pod := NewPod(number)
			_, err := f.Client.CoreV1().Pods(pod.Namespace).Create(creating, pod, metav1.CreateOptions{})
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return fmt.Errorf("create pods: %w", err)
	}
	f.pods = max(f.pods, pods)
	err := wait.PollUntilContextTimeout(ctx, time.Second, fillTimeout, true, func(ctx context.Context) (bool, error) {
		waiting, err := f.Client.CoreV1().Pods(metav1.NamespaceDefault).List(ctx, metav1.ListOptions{FieldSelector: "status.phase!=Running", Limit: 1})
		return err == nil && len(waiting.Items) == 0, err
	})
	if err != nil {
		return fmt.Errorf("wait for pods to run: %w", err)
	}
	return nil
}

// NewPod returns a pod of a usual size. It has a node, so it is no work for the scheduler.
func NewPod(number int) *corev1.Pod {
	name := fmt.Sprintf("shop-backend-5d8f7c9b6d-%05d", number)
	probe := &corev1.Probe{ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/healthz", Port: intstr.FromInt32(8080)}}}
	container := corev1.Container{
		Name:  "backend",
		Image: "registry.example.com/shop/backend@sha256:4c1fd6d2ee7c5b8c6d9f0a7f4e2b3a1d5c6e7f8091a2b3c4d5e6f708192a3b4c",
		Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 8080}},
		Resources: corev1.ResourceRequirements{
			Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("10m"), corev1.ResourceMemory: resource.MustParse("64Mi")},
			Limits:   corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("128Mi")},
		},
		LivenessProbe: probe, ReadinessProbe: probe,
	}
	for variable := range 10 {
		container.Env = append(container.Env, corev1.EnvVar{Name: fmt.Sprintf("SHOP_BACKEND_SETTING_%d", variable), Value: "a value of some length"})
	}
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: metav1.NamespaceDefault, Name: name,
			Labels: map[string]string{
				"app.kubernetes.io/name": "backend", "app.kubernetes.io/instance": "shop", "app.kubernetes.io/version": "1.2.3",
				"app.kubernetes.io/part-of": "shop", "pod-template-hash": "5d8f7c9b6d",
			},
			Annotations: map[string]string{"example.com/config-checksum": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"},
		},
		Spec: corev1.PodSpec{
			NodeName:   fmt.Sprintf("fake-node-%05d", number/PodsPerNode),
			Containers: []corev1.Container{container},
		},
	}
}
