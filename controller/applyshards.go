package controller

import (
	"context"
	"errors"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	appsv1ac "k8s.io/client-go/applyconfigurations/apps/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	policyv1ac "k8s.io/client-go/applyconfigurations/policy/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/controller/objects"
	"github.com/example/ksmscale/controller/observation"
	"github.com/example/ksmscale/controller/partition"
	"github.com/example/ksmscale/scaling"
)

// applyShards applies the objects of shards. It returns the shards whose Deployment has to wait for its turn to start a rollout. An error
// of one shard does not stop the others, and all errors are joined.
func (r *Reconciler) applyShards(ctx context.Context, ksmScale *v1alpha1.KSMScale, before observation.Snapshot, shards []scaling.Shard) (outdated sets.Set[v1alpha1.Shard], err error) {
	outdated = sets.New[v1alpha1.Shard]()
	a := applier{Reconciler: r, Client: r.Client, owner: ksmScale}
	var errs []error
	// A shard without urgency would take the turn before an urgent one, and both would replace their pods at the same time.
	for _, planned := range partition.UrgentFirst(shards, objects.MonitorResources(ksmScale), &before, wholeSeconds(r.Clock)) {
		shard := planned.Shard
		waits, err := a.applyDeployment(ctx, planned, &before)
		if waits {
			outdated.Insert(shard)
		}
		errs = append(errs, err,
			apply(ctx, a, objects.Service(ksmScale, shard), &corev1.Service{}, corev1ac.ExtractService),
			applyForDeployment(ctx, a, shard))
	}
	return outdated, errors.Join(errs...)
}

// applyDeployment applies the Deployment of a shard. If another pod template would start a rollout out of turn, it returns true and only
// adopts an orphaned Deployment.
func (a applier) applyDeployment(ctx context.Context, planned scaling.Shard, before *observation.Snapshot) (waits bool, err error) {
	desired, live := objects.Deployment(a.owner, planned, objects.GateOptions{Image: a.GateImage, MeasureInterval: a.MeasureInterval, CountInterval: a.CountInterval}), before.Deployment(planned.Shard)
	send := func() error { return apply(ctx, a, desired, &appsv1.Deployment{}, appsv1ac.ExtractDeployment) }
	if live == nil {
		return false, send()
	}
	owned, err := appsv1ac.ExtractDeployment(live, objects.FieldOwner)
	if err != nil {
		return false, fmt.Errorf("read the managed fields of Deployment %s: %w", live.Name, err)
	}
	if a.isApplied(owned, desired) || !partition.HasOtherTemplate(owned, desired) || partition.ChangesTLS(live, desired) {
		return false, send()
	}
	urgent := partition.IsUrgent(live, objects.MonitorResources(a.owner), before.PodsOf(planned.Shard), wholeSeconds(a.Clock))
	if !partition.NeedsTurn(live, urgent) {
		return false, send()
	}
	// The lock keeps two reconciles from taking the last turn. The list waits until it has the writes of the previous holder.
	a.turns.Lock()
	defer a.turns.Unlock()
	// The end of a turn after the list requests a reconcile of those that wait.
	a.outdated.renew(a.owner.Name, func(before sets.Set[v1alpha1.Shard]) sets.Set[v1alpha1.Shard] {
		return before.Clone().Insert(planned.Shard)
	})
	var all appsv1.DeploymentList
	if err := a.Client.List(ctx, &all, client.UnsafeDisableDeepCopy); err != nil {
		return false, fmt.Errorf("list the Deployments of all KSMScales: %w", err)
	}
	if live.Spec.Paused || !a.Rollouts.AllowAnother(a.owner, all.Items) {
		return true, adopt(ctx, a, live)
	}
	return false, send()
}

// applyForDeployment applies the objects that accompany a Deployment: a PodDisruptionBudget and, depending on the mode, a
// HorizontalPodAutoscaler.
func applyForDeployment(ctx context.Context, a applier, shard v1alpha1.Shard) error {
	err := apply(ctx, a, objects.DisruptionBudget(a.owner, shard), &policyv1.PodDisruptionBudget{}, policyv1ac.ExtractPodDisruptionBudget)
	if a.owner.Spec.AutoscalingMode() != v1alpha1.ModeHorizontalPodAutoscaler {
		return err
	}
	return errors.Join(err, applyAutoscaler(ctx, a, shard))
}

// applyOtherShards applies the objects around the kept shards that applyShards skips, such as the shards of the previous partition. They
// keep serving until the takeover, so lost objects are created again and the mode can change. Their Deployments stay as they are, unless
// kube-state-metrics was killed for its memory. A retired shard gets only its retired Service.
func (r *Reconciler) applyOtherShards(ctx context.Context, ksmScale *v1alpha1.KSMScale, observed observation.Snapshot, decision partition.Decision) error {
	a := applier{Reconciler: r, Client: r.Client, owner: ksmScale}
	applied := sets.New[v1alpha1.Shard]()
	for _, shard := range decision.Apply {
		applied.Insert(shard.Shard)
	}
	var errs []error
	for _, shard := range observed.Shards() {
		if applied.Has(shard) || !decision.Keep.Has(shard.Total) {
			continue
		}
		if decision.Retired.Has(shard.Total) {
			if observed.Service(shard) != nil {
				errs = append(errs, apply(ctx, a, objects.RetiredService(ksmScale, shard), &corev1.Service{}, corev1ac.ExtractService))
			}
			continue
		}
		errs = append(errs, apply(ctx, a, objects.Service(ksmScale, shard), &corev1.Service{}, corev1ac.ExtractService))
		if deployment := observed.Deployment(shard); deployment != nil {
			errs = append(errs, a.keepServing(ctx, shard, deployment, &observed), applyForDeployment(ctx, a, shard))
		}
	}
	return errors.Join(errs...)
}

// keepServing adopts an orphaned Deployment of a previous partition. If it lacks memory, it gets the current resources and keeps the rest of
// its template, with which its pods have served.
func (a applier) keepServing(ctx context.Context, shard v1alpha1.Shard, live *appsv1.Deployment, observed *observation.Snapshot) error {
	if observation.IsOrphan(live, a.owner) || !partition.LacksMemory(live, objects.MonitorResources(a.owner), observed.PodsOf(shard)) {
		return adopt(ctx, a, live)
	}
	desired, err := appsv1ac.ExtractDeployment(live, objects.FieldOwner)
	if err != nil {
		return fmt.Errorf("read the managed fields of Deployment %s: %w", live.Name, err)
	}
	if !objects.WithMonitorResources(a.owner, desired) {
		return nil
	}
	return apply(ctx, a, desired, &appsv1.Deployment{}, appsv1ac.ExtractDeployment)
}

// adopt sets a KSMScale as the owner of an orphaned Deployment, and changes no other field.
func adopt(ctx context.Context, a applier, deployment *appsv1.Deployment) error {
	if !observation.IsOrphan(deployment, a.owner) {
		return nil
	}
	adopted := deployment.DeepCopy()
	adopted.OwnerReferences = []metav1.OwnerReference{*objects.As[metav1.OwnerReference](objects.OwnerReference(a.owner))}
	patch := client.MergeFromWithOptions(deployment, client.MergeFromWithOptimisticLock{})
	if err := a.Client.Patch(ctx, adopted, patch, client.FieldOwner(objects.FieldOwner)); err != nil {
		return fmt.Errorf("adopt Deployment %s: %w", deployment.Name, err)
	}
	return nil
}
