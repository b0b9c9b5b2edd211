package controller

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/runtime"
	appsv1ac "k8s.io/client-go/applyconfigurations/apps/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/controller/fixtures"
	"github.com/example/ksmscale/controller/fixtures/snapshots"
	"github.com/example/ksmscale/controller/observation"
	"github.com/example/ksmscale/controller/partition"
)

const correctedImage = "example.com/kube-state-metrics:v2.20.1"

// rolloutWorld has a KSMScale whose shards run the same image. The test is the Deployments' controller.
type rolloutWorld struct {
	*Reconciler
	t *testing.T
}

func newRolloutWorld(t *testing.T, shards int32) rolloutWorld {
	t.Helper()
	r, _ := newReconciler(t, planner{nodes: 15}, nil)
	r.Client = generational(r.Client.(client.WithWatch))
	w := rolloutWorld{Reconciler: r, t: t}
	w.change(func(spec *v1alpha1.KSMScaleSpec) { spec.Sharding.ShardCount = shards })
	w.reconcile()
	for id := range shards {
		w.observe(id, func(d *appsv1.Deployment) { d.Status.Conditions[0].Reason = observation.ReasonRolloutCompleted })
	}
	return w
}

// generational counts the generations of Deployments as an API server does; a fake client does not.
func generational(c client.WithWatch) client.Client {
	return interceptor.NewClient(c, interceptor.Funcs{
		Apply: func(ctx context.Context, c client.WithWatch, object runtime.ApplyConfiguration, options ...client.ApplyOption) error {
			if err := c.Apply(ctx, object, options...); err != nil {
				return err
			}
			applied, ok := object.(*appsv1ac.DeploymentApplyConfiguration)
			if !ok {
				return nil
			}
			deployment := &appsv1.Deployment{}
			if err := c.Get(ctx, client.ObjectKey{Namespace: *applied.GetNamespace(), Name: *applied.GetName()}, deployment); err != nil {
				return err
			}
			deployment.Generation++
			return c.Update(ctx, deployment)
		},
	})
}

func (w rolloutWorld) change(change func(*v1alpha1.KSMScaleSpec)) {
	w.t.Helper()
	ksmScale := readMain(w.t, w.Reconciler)
	change(&ksmScale.Spec)
	require.NoError(w.t, w.Client.Update(w.t.Context(), ksmScale))
}

func (w rolloutWorld) reconcile() {
	w.t.Helper()
	_, err := reconcileMain(w.t, w.Reconciler)
	require.NoError(w.t, err)
}

func (w rolloutWorld) deployment(id int32) *appsv1.Deployment {
	w.t.Helper()
	deployment := &appsv1.Deployment{}
	shard := v1alpha1.Shard{KSMScale: "main", ID: id, Total: readMain(w.t, w.Reconciler).Spec.Sharding.ShardCount}
	require.NoError(w.t, w.Client.Get(w.t.Context(), client.ObjectKey{Namespace: "monitoring", Name: shard.Name()}, deployment))
	return deployment
}

// observe has the Deployment of a shard be observed with one pod of its template, except for the overrides.
func (w rolloutWorld) observe(id int32, overrides ...func(*appsv1.Deployment)) {
	w.t.Helper()
	w.observeDeployment(w.deployment(id), overrides...)
}

func (w rolloutWorld) observeDeployment(deployment *appsv1.Deployment, overrides ...func(*appsv1.Deployment)) {
	w.t.Helper()
	deployment.Annotations = map[string]string{observation.AnnotationRevision: "2"}
	deployment.Status = snapshots.OwnedDeployment("main", 0).Status
	deployment.Status.ObservedGeneration = deployment.Generation
	for _, override := range overrides {
		override(deployment)
	}
	status := deployment.Status
	require.NoError(w.t, w.Client.Update(w.t.Context(), deployment))
	deployment.Status = status
	require.NoError(w.t, w.Client.Status().Update(w.t.Context(), deployment))
}

// with are the shards that have an image.
func (w rolloutWorld) with(image string) (ids []int32) {
	w.t.Helper()
	for id := range readMain(w.t, w.Reconciler).Spec.Sharding.ShardCount {
		if w.deployment(id).Spec.Template.Spec.Containers[0].Image == image {
			ids = append(ids, id)
		}
	}
	return ids
}

func (w rolloutWorld) progress() string {
	w.t.Helper()
	progressing := meta.FindStatusCondition(readMain(w.t, w.Reconciler).Status.Conditions, v1alpha1.ConditionProgressing)
	return progressing.Reason + ": " + progressing.Message
}

func image(reference string) func(*v1alpha1.KSMScaleSpec) {
	return func(spec *v1alpha1.KSMScaleSpec) { spec.MonitorImage = reference }
}

func TestOneShardAfterTheOtherGetsTheCurrentTemplate(t *testing.T) {
	w := newRolloutWorld(t, 5)
	w.change(image(correctedImage))
	for id := range int32(5) {
		var upTo []int32
		for shard := range id + 1 {
			upTo = append(upTo, shard)
		}
		w.reconcile()
		assert.Equal(t, upTo, w.with(correctedImage))
		w.reconcile()
		assert.Equal(t, upTo, w.with(correctedImage), "its Deployment has not seen it yet")
		w.observe(id, snapshots.Surging)
		w.reconcile()
		assert.Equal(t, upTo, w.with(correctedImage), "its pods are being replaced")
		assert.Equal(t, fmt.Sprintf("RollingOut: %d of 5 shards have the current template; shard %d replaces its pods", id, id), w.progress())
		w.observe(id)
	}
	w.reconcile()
	assert.NotContains(t, w.progress(), "RollingOut")
}

// With many KSMScales, most turns end while nobody waits: each change of replicas looks like one.
func TestTheEndOfATurnIsForThoseThatWait(t *testing.T) {
	w := newRolloutWorld(t, 3)
	assert.Empty(t, w.waitingKSMScales(t.Context(), nil))
	w.change(image(correctedImage))
	w.reconcile()
	require.Equal(t, []int32{0}, w.with(correctedImage))
	assert.Equal(t, []reconcile.Request{requestFor("main")}, w.waitingKSMScales(t.Context(), nil))
	for id := range int32(3) {
		w.observe(id, func(d *appsv1.Deployment) { d.Status.Conditions[0].Reason = observation.ReasonRolloutCompleted })
		w.reconcile()
	}
	require.Len(t, w.with(correctedImage), 3)
	assert.Empty(t, w.waitingKSMScales(t.Context(), nil))
}

// The gate's image comes with KSMScale, so that an upgrade changes the template of all shards.
func TestAnUpgradeIsARolloutOfOneShardAfterTheOther(t *testing.T) {
	w := newRolloutWorld(t, 3)
	w.GateImage = "example.com/ksmscale:v2"
	w.reconcile()
	images := map[string]int{}
	for id := range int32(3) {
		images[w.deployment(id).Spec.Template.Spec.Containers[1].Image]++
	}
	assert.Equal(t, map[string]int{fixtures.GateImage: 2, "example.com/ksmscale:v2": 1}, images)
}

// A correction must not wait behind the mistake, and what is stuck must not hold up the others for ever.
func TestShardsThatAreStuckGetACorrectionAtOnce(t *testing.T) {
	w := newRolloutWorld(t, 4)
	w.change(image("example.com/mistake:v1"))
	for id := range int32(2) {
		w.reconcile()
		w.observe(id, snapshots.PastDeadline)
	}
	w.reconcile()
	assert.Equal(t, []int32{0, 1, 2}, w.with("example.com/mistake:v1"), "two are past their deadline")
	w.observe(2, snapshots.Surging)
	w.change(image(correctedImage))
	w.reconcile()
	assert.Equal(t, []int32{0, 1, 2}, w.with(correctedImage))
	for id := range int32(3) {
		w.reconcile()
		assert.Equal(t, []int32{0, 1, 2}, w.with(correctedImage), "shard 3 has nothing to correct, and waits")
		w.observe(id)
	}
	w.reconcile()
	assert.Equal(t, []int32{0, 1, 2, 3}, w.with(correctedImage))
}

func TestShardsThatAreDownGetTheCurrentTemplateAtOnce(t *testing.T) {
	w := newRolloutWorld(t, 3)
	for id := range int32(3) {
		killed := fixtures.Pod(id, "a", fixtures.Failing(5), func(p *corev1.Pod) { fixtures.OwnedByDeployment(p, fixtures.Shard(id)) })
		require.NoError(t, w.Client.Create(t.Context(), &killed))
		w.observe(id, func(d *appsv1.Deployment) { d.Status.AvailableReplicas = 0 })
	}
	w.change(func(spec *v1alpha1.KSMScaleSpec) {
		spec.Resources.Limits = corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("2Gi")}
	})
	w.reconcile()
	for id := range int32(3) {
		assert.Equal(t, "2Gi", w.deployment(id).Spec.Template.Spec.Containers[0].Resources.Limits.Memory().String(), "shard %d", id)
	}
}

// Until the last shard has changed, some are not scraped.
func TestAChangeOfTLSIsARolloutOfAllShardsAtOnce(t *testing.T) {
	w := newRolloutWorld(t, 3)
	secure := func(d *appsv1.Deployment) bool {
		return d.Spec.Template.Annotations[v1alpha1.AnnotationWebConfig] != ""
	}
	for _, tls := range []v1alpha1.TLSConfig{{SecretName: "certificate"}, {}} {
		w.change(func(spec *v1alpha1.KSMScaleSpec) { spec.Metrics.TLS = tls })
		w.reconcile()
		for id := range int32(3) {
			assert.Equal(t, tls.SecretName != "", secure(w.deployment(id)), "shard %d", id)
			w.observe(id)
		}
	}
	w.change(func(spec *v1alpha1.KSMScaleSpec) { spec.Metrics.TLS = v1alpha1.TLSConfig{SecretName: "certificate"} })
	w.reconcile()
	for id := range int32(3) {
		w.observe(id)
	}
	w.change(func(spec *v1alpha1.KSMScaleSpec) { spec.Metrics.TLS.SecretName = "another" })
	w.reconcile()
	var changed []int32
	for id := range int32(3) {
		if w.deployment(id).Generation > w.deployment(id).Status.ObservedGeneration {
			changed = append(changed, id)
		}
	}
	assert.Equal(t, []int32{0}, changed, "another certificate is none")
}

// Others' rollouts count in another namespace too, and what is no rollout is not held up by them.
func TestRolloutsOfOtherKSMScalesCount(t *testing.T) {
	w := newRolloutWorld(t, 3)
	var others []appsv1.Deployment
	for _, name := range []string{"b", "c", "d"} {
		other := snapshots.OwnedDeployment(name, 0, snapshots.Surging, func(d *appsv1.Deployment) { d.Namespace = name })
		require.NoError(t, w.Client.Create(t.Context(), &other))
		others = append(others, other)
	}
	w.change(image(correctedImage))
	w.reconcile()
	assert.Empty(t, w.with(correctedImage))
	assert.Equal(t, "RollingOut: 0 of 3 shards have the current template; the next waits for rollouts of other KSMScales", w.progress())

	w.change(func(spec *v1alpha1.KSMScaleSpec) {
		spec.MonitorImage, spec.Monitoring.Interval.Duration = fixtures.Image, time.Minute
	})
	w.reconcile()
	for id := range int32(3) {
		assert.EqualValues(t, 60, w.deployment(id).Spec.MinReadySeconds, "shard %d", id)
		w.observe(id)
	}
	w.change(image(correctedImage))
	w.reconcile()
	assert.Empty(t, w.with(correctedImage))
	require.NoError(t, w.Client.Delete(t.Context(), &others[0]))
	w.reconcile()
	assert.Equal(t, []int32{0}, w.with(correctedImage))
}

// Who pauses a Deployment has a reason, and others do not wait for it.
func TestAPausedDeploymentKeepsItsTemplate(t *testing.T) {
	w := newRolloutWorld(t, 2)
	w.observe(0, snapshots.Paused)
	w.change(image(correctedImage))
	w.reconcile()
	assert.Equal(t, []int32{1}, w.with(correctedImage))
	w.observe(1)
	w.reconcile()
	assert.Equal(t, "DeploymentPaused: Deployment ksm-main-shard-0-of-2 is paused, so its pods do not get its current template: kubectl -n monitoring rollout resume deployment ksm-main-shard-0-of-2", w.progress())
	w.observe(0, func(d *appsv1.Deployment) { d.Spec.Paused = false })
	w.reconcile()
	assert.Equal(t, []int32{0, 1}, w.with(correctedImage))
}

// A shard whose Deployment the API server refuses does not take the turn of the next one.
func TestAShardThatIsRefusedDoesNotHoldUpTheNext(t *testing.T) {
	w := newRolloutWorld(t, 3)
	inner := w.Client.(client.WithWatch)
	w.Client = interceptor.NewClient(inner, interceptor.Funcs{
		Apply: func(ctx context.Context, c client.WithWatch, object runtime.ApplyConfiguration, options ...client.ApplyOption) error {
			if applied, ok := object.(*appsv1ac.DeploymentApplyConfiguration); ok && *applied.GetName() == fixtures.Shard(0).Name() {
				return errors.New("refused")
			}
			return c.Apply(ctx, object, options...)
		},
	})
	w.change(image(correctedImage))
	_, err := reconcileMain(t, w.Reconciler)
	require.ErrorContains(t, err, "refused")
	assert.Equal(t, []int32{1}, w.with(correctedImage))
}

// Of KSMScales that are reconciled at the same time, only as many start as may.
func TestTheLastTurnIsTakenOnce(t *testing.T) {
	w := newRolloutWorld(t, 2)
	names := []string{"main", "b", "c"}
	for _, name := range names[1:] {
		require.NoError(t, w.Client.Create(t.Context(), fixtures.KSMScale(func(k *v1alpha1.KSMScale) { k.Name, k.UID = name, snapshots.UIDOf(name) })))
		_, err := w.Reconcile(t.Context(), requestFor(name))
		require.NoError(t, err)
	}
	var all appsv1.DeploymentList
	require.NoError(t, w.Client.List(t.Context(), &all))
	for i := range all.Items {
		w.observeDeployment(&all.Items[i])
	}
	w.GateImage, w.Rollouts = "example.com/ksmscale:v2", partition.RolloutLimits{PerKSMScale: 1, Total: 1}
	group, ctx := errgroup.WithContext(t.Context())
	for _, name := range names {
		group.Go(func() error {
			_, err := w.Reconcile(ctx, requestFor(name))
			return err
		})
	}
	require.NoError(t, group.Wait())
	require.NoError(t, w.Client.List(t.Context(), &all))
	started := 0
	for i := range all.Items {
		if all.Items[i].Spec.Template.Spec.Containers[1].Image == w.GateImage {
			started++
		}
	}
	assert.Equal(t, 1, started)
}
