package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/example/ksmscale/api/v1alpha1"
)

const (
	directName = "direct"
	// directLabel is on the nodes that this KSMScale counts.
	directLabel = "example.com/direct"
	// directNodes is the number of nodes that come, one after the other.
	directNodes = 100
	// scaleTimeout only bounds a run that fails.
	scaleTimeout = time.Minute
)

// measureDirect measures the time from the creation of a node until a Deployment is scaled in mode Direct.
func (b *bench) measureDirect(ctx context.Context, nodes int, page *page) (err error) {
	defer func() { err = errors.Join(err, b.removeDirect(context.WithoutCancel(ctx))) }()
	one := ksmScale(directName, v1alpha1.ModeDirect)
	one.Spec.NodesPerMonitor = 1
	one.Spec.Nodes.Selector = &v1alpha1.NodeSelector{MatchLabels: map[string]v1alpha1.LabelValue{directLabel: "true"}}
	// The default policies allow four pods in 15 seconds to a small shard.
	one.Spec.Autoscaling.Behavior = &v1alpha1.ScalingBehavior{ScaleUp: &v1alpha1.ScalingRules{
		Policies: []v1alpha1.ScalingPolicy{{Type: "Pods", Value: directNodes, PeriodSeconds: 15}},
	}}
	if err := b.client.Create(ctx, one); err != nil {
		return err
	}
	if _, err := b.awaitReady(ctx, []string{one.Name}); err != nil {
		return err
	}
	watched, err := b.client.Watch(ctx, &appsv1.DeploymentList{}, client.InNamespace(namespace), client.MatchingLabels{v1alpha1.LabelKSMScale: one.Name})
	if err != nil {
		return err
	}
	defer watched.Stop()
	replicas := map[types.UID]int32{}
	var took []time.Duration
	for node := int32(1); node <= directNodes; node++ {
		// The nodes come at any time between two looks of anything that looks at an interval.
		if err := pause(ctx, rand.N(time.Second)); err != nil { //nolint:gosec // The pauses are no secret.
			return err
		}
		started := time.Now()
		if err := b.client.Create(ctx, directNode(node)); err != nil {
			return err
		}
		if err := awaitReplicas(ctx, watched, replicas, node); err != nil {
			return fmt.Errorf("wait for %d replicas: %w", node, err)
		}
		// The first nodes are below the minimum of one replica for each of three shards.
		if node > one.Spec.Sharding.ShardCount {
			took = append(took, time.Since(started))
		}
	}
	slices.Sort(took)
	return page.add("direct", nodes, fmt.Sprintf("%.2f s | %.2f s", took[len(took)/2].Seconds(), took[len(took)-1].Seconds()))
}

func directNode(number int32) *corev1.Node {
	return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("direct-node-%03d", number), Labels: map[string]string{directLabel: "true"}}}
}

// awaitReplicas waits until the Deployments of a watch have that many replicas together. It keeps the replicas of each.
func awaitReplicas(ctx context.Context, watched watch.Interface, replicas map[types.UID]int32, wanted int32) error {
	ctx, cancel := context.WithTimeout(ctx, scaleTimeout)
	defer cancel()
	for {
		var sum int32
		for _, one := range replicas {
			sum += one
		}
		if sum >= wanted {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("there are %d: %w", sum, ctx.Err())
		case event, open := <-watched.ResultChan():
			deployment, ok := event.Object.(*appsv1.Deployment)
			if !open || !ok {
				return fmt.Errorf("the watch of Deployments has ended: %v", event)
			}
			replicas[deployment.UID] = *deployment.Spec.Replicas
		}
	}
}

// removeDirect deletes what measureDirect has created.
func (b *bench) removeDirect(ctx context.Context) error {
	labeled := client.MatchingLabels{directLabel: "true"}
	if err := b.client.DeleteAllOf(ctx, &corev1.Node{}, labeled); err != nil {
		return err
	}
	if err := client.IgnoreNotFound(b.client.Delete(ctx, &v1alpha1.KSMScale{ObjectMeta: metav1.ObjectMeta{Name: directName}})); err != nil {
		return err
	}
	return b.awaitRemoved(ctx)
}
