package controller

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	appsv1ac "k8s.io/client-go/applyconfigurations/apps/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/example/ksmscale/controller/objects"
	"github.com/example/ksmscale/controller/observation"
	"github.com/example/ksmscale/controller/partition"
	"github.com/example/ksmscale/scaling"
)

// applyDeployment applies the Deployment of a shard. It returns true, and only adopts the Deployment if it is an orphan, if another pod
// template would start a rollout whose turn has not come.
func (a applier) applyDeployment(ctx context.Context, planned scaling.Shard, before *observation.Snapshot) (waits bool, err error) {
	desired, live := objects.Deployment(a.owner, planned, a.GateImage), before.Deployment(planned.Shard)
	send := func() error { return apply(ctx, a, desired, &appsv1.Deployment{}, appsv1ac.ExtractDeployment) }
	if live == nil {
		return false, send()
	}
	owned, err := appsv1ac.ExtractDeployment(live, objects.FieldOwner)
	if err != nil {
		return false, fmt.Errorf("read the managed fields of Deployment %s: %w", live.Name, err)
	}
	if a.isApplied(owned, desired) || !partition.HasOtherTemplate(owned, desired) || partition.ChangesTLS(live, desired) || !partition.NeedsTurn(live, partition.IsDown(live, before.PodsOf(planned.Shard), now(a.Clock))) {
		return false, send()
	}
	// No two reconciles take the last turn: the list has what the one before has applied, and waits for it in any case.
	a.turns.Lock()
	defer a.turns.Unlock()
	var all appsv1.DeploymentList
	if err := a.Client.List(ctx, &all, client.UnsafeDisableDeepCopy); err != nil {
		return false, fmt.Errorf("list the Deployments of all KSMScales: %w", err)
	}
	if live.Spec.Paused || !a.Rollouts.AllowAnother(a.owner, all.Items) {
		return true, adopt(ctx, a, live)
	}
	return false, send()
}
