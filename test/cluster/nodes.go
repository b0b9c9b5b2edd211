package cluster

import (
	"context"
	"fmt"
	"maps"
	"strconv"
	"strings"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	typedcoordinationv1 "k8s.io/client-go/kubernetes/typed/coordination/v1"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	ctrlclient "sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	fakeAnnotation = "kwok.x-k8s.io/node"
	fakeValue      = "fake"
	nodePrefix     = "fake-node-"
	// parallelRequests saturates an API server on a laptop; more only lengthens its queue.
	parallelRequests = 32
)

// SetNodes sets the number of fake nodes to exactly n. It returns once the nodes exist and are Ready, or are gone with
// their pods. They are called fake-node-00000 and so on, and the highest numbers go first. After an error, some of the
// work is done; another call does the rest.
func (c *Cluster) SetNodes(ctx context.Context, n int) error {
	if n < 0 {
		return fmt.Errorf("number of nodes %d is negative", n)
	}
	client, err := c.client()
	if err != nil {
		return err
	}
	list, err := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("list nodes: %w", err)
	}
	missing, surplus := changes(list.Items, n)
	if err := removeLeases(ctx, client.CoordinationV1(), missing); err != nil {
		return err
	}
	err = inParallel(ctx, missing, func(ctx context.Context, number int) error {
		_, err := client.CoreV1().Nodes().Create(ctx, c.fakeNode(number), metav1.CreateOptions{})
		return err
	})
	if err != nil {
		return fmt.Errorf("create nodes: %w", err)
	}
	return removeNodes(ctx, client.CoreV1(), surplus)
}

// changes compares the current nodes with the n desired ones. It returns the numbers of the nodes to create, and the names
// of the nodes to remove. It does not touch nodes that are not fake.
func changes(nodes []corev1.Node, n int) (missing []int, surplus []string) {
	exists := make([]bool, n)
	for _, node := range nodes {
		number, fake := nodeNumber(&node)
		switch {
		case !fake:
		case number < n:
			exists[number] = true
		default:
			surplus = append(surplus, node.Name)
		}
	}
	for number, there := range exists {
		if !there {
			missing = append(missing, number)
		}
	}
	return missing, surplus
}

func nodeName(number int) string { return fmt.Sprintf("%s%05d", nodePrefix, number) }

// nodeNumber is the inverse of nodeName; the result is false for nodes that SetNodes has not created.
func nodeNumber(node *corev1.Node) (int, bool) {
	digits, named := strings.CutPrefix(node.Name, nodePrefix)
	number, err := strconv.Atoi(digits)
	return number, named && err == nil && number >= 0 && node.Annotations[fakeAnnotation] == fakeValue
}

// fakeTaints are empty if no real nodes run pods here.
func (c *Cluster) fakeTaints() []corev1.Taint {
	if c.options.RealNodes == 0 {
		return nil
	}
	return []corev1.Taint{{Key: fakeAnnotation, Value: fakeValue, Effect: corev1.TaintEffectNoSchedule}}
}

func (c *Cluster) fakeNode(number int) *corev1.Node {
	resources := corev1.ResourceList{
		corev1.ResourceCPU:    resource.MustParse("32"),
		corev1.ResourceMemory: resource.MustParse("256Gi"),
		corev1.ResourcePods:   resource.MustParse("110"),
	}
	name := nodeName(number)
	labels := map[string]string{
		corev1.LabelHostname:     name,
		corev1.LabelOSStable:     string(corev1.Linux),
		corev1.LabelTopologyZone: "zone-" + string("abc"[number%3]),
	}
	maps.Copy(labels, c.options.NodeLabels)
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{
			Name:        name,
			Annotations: map[string]string{fakeAnnotation: fakeValue},
			Labels:      labels,
		},
		Spec: corev1.NodeSpec{Taints: c.fakeTaints()},
		// The nodes are Ready at their creation. KWOK would need minutes to mark thousands of them Ready one by one, and
		// the node controller would treat them as dead during that time.
		Status: corev1.NodeStatus{
			Capacity: resources, Allocatable: resources, Phase: "Running", Conditions: conditions(metav1.Now()),
		},
	}
}

// conditions are the conditions of a healthy node.
func conditions(now metav1.Time) []corev1.NodeCondition {
	healthy := []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "KubeletReady"}}
	for _, trouble := range []corev1.NodeConditionType{
		corev1.NodeMemoryPressure, corev1.NodeDiskPressure, corev1.NodePIDPressure, corev1.NodeNetworkUnavailable,
	} {
		healthy = append(healthy, corev1.NodeCondition{Type: trouble, Status: corev1.ConditionFalse, Reason: "Healthy"})
	}
	for i := range healthy {
		healthy[i].LastHeartbeatTime, healthy[i].LastTransitionTime = now, now
	}
	return healthy
}

// removeLeases removes leases of earlier nodes. KWOK would treat such a lease as the new node's and renew it. After the
// garbage collector has removed it with the earlier node, KWOK would run no pod for minutes.
func removeLeases(ctx context.Context, client typedcoordinationv1.CoordinationV1Interface, nodes []int) error {
	leases := client.Leases(corev1.NamespaceNodeLease)
	list, err := leases.List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("list leases of nodes: %w", err)
	}
	there := sets.New[string]()
	for _, lease := range list.Items {
		there.Insert(lease.Name)
	}
	err = inParallel(ctx, nodes, func(ctx context.Context, number int) error {
		if !there.Has(nodeName(number)) {
			return nil
		}
		return ctrlclient.IgnoreNotFound(leases.Delete(ctx, nodeName(number), metav1.DeleteOptions{}))
	})
	if err != nil {
		return fmt.Errorf("delete leases of nodes: %w", err)
	}
	return nil
}

// removeNodes removes the nodes before their pods, so the scheduler does not place pods there again. The garbage collector
// of pods removes a pod that is being placed at that moment.
func removeNodes(ctx context.Context, client typedcorev1.CoreV1Interface, names []string) error {
	if len(names) == 0 {
		return nil
	}
	err := inParallel(ctx, names, func(ctx context.Context, name string) error {
		return ctrlclient.IgnoreNotFound(client.Nodes().Delete(ctx, name, metav1.DeleteOptions{}))
	})
	if err != nil {
		return fmt.Errorf("delete nodes: %w", err)
	}
	return deletePods(ctx, client, names)
}

// deletePods deletes, without a grace period, the pods bound to the nodes.
func deletePods(ctx context.Context, client typedcorev1.CoreV1Interface, nodes []string) error {
	list, err := client.Pods(corev1.NamespaceAll).List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("list pods: %w", err)
	}
	going := make(map[string]bool, len(nodes))
	for _, name := range nodes {
		going[name] = true
	}
	var pods []types.NamespacedName
	for _, pod := range list.Items {
		if going[pod.Spec.NodeName] {
			pods = append(pods, types.NamespacedName{Namespace: pod.Namespace, Name: pod.Name})
		}
	}
	err = inParallel(ctx, pods, func(ctx context.Context, pod types.NamespacedName) error {
		return ctrlclient.IgnoreNotFound(client.Pods(pod.Namespace).Delete(ctx, pod.Name, *metav1.NewDeleteOptions(0)))
	})
	if err != nil {
		return fmt.Errorf("delete pods: %w", err)
	}
	return nil
}

// inParallel calls work for all items, a bounded number at a time, and returns its first error.
func inParallel[T any](ctx context.Context, items []T, work func(context.Context, T) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallelRequests)
	for _, item := range items {
		group.Go(func() error { return work(ctx, item) })
	}
	return group.Wait()
}
