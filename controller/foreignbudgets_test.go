package controller

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/controller/fixtures"
	"github.com/example/ksmscale/controller/observation"
)

// budgetOver is someone else's PodDisruptionBudget in the namespace of the shards.
func budgetOver(selector *metav1.LabelSelector, overrides ...func(*policyv1.PodDisruptionBudget)) *policyv1.PodDisruptionBudget {
	budget := &policyv1.PodDisruptionBudget{
		ObjectMeta: metav1.ObjectMeta{Namespace: "monitoring", Name: "own"},
		Spec:       policyv1.PodDisruptionBudgetSpec{Selector: selector},
	}
	for _, override := range overrides {
		override(budget)
	}
	return budget
}

func evictableOf(t *testing.T, r *Reconciler) *metav1.Condition {
	t.Helper()
	return meta.FindStatusCondition(readMain(t, r).Status.Conditions, v1alpha1.ConditionEvictable)
}

func TestSecondPodDisruptionBudget(t *testing.T) {
	matching := func(labels map[string]string) *metav1.LabelSelector {
		return &metav1.LabelSelector{MatchLabels: labels}
	}
	component := map[string]string{"app.kubernetes.io/name": "kube-state-metrics"}
	for _, test := range []struct {
		name    string
		budget  *policyv1.PodDisruptionBudget
		refused bool
	}{
		{"over every kube-state-metrics", budgetOver(matching(component)), true},
		{"over one shard", budgetOver(matching(fixtures.Shard(1).Selector())), true},
		{"over a label of the user's", budgetOver(matching(map[string]string{"team": "a"})), true},
		{"over every pod of the namespace", budgetOver(&metav1.LabelSelector{}), true},
		{"over no pod", budgetOver(nil), false},
		{"over others' pods", budgetOver(matching(map[string]string{"app": "grafana"})), false},
		{"in another namespace", budgetOver(matching(component), func(b *policyv1.PodDisruptionBudget) { b.Namespace = "other" }), false},
	} {
		t.Run(test.name, func(t *testing.T) {
			r, _ := newReconciler(t, planner{nodes: 45}, nil)
			labelled := readMain(t, r)
			labelled.Spec.Template = &v1alpha1.PodTemplate{Labels: map[string]v1alpha1.LabelValue{"team": "a"}}
			require.NoError(t, r.Client.Update(t.Context(), labelled))
			_, err := reconcileMain(t, r)
			require.NoError(t, err)
			changed := newChanges()
			r.Budgets = observation.NewForeignBudgets(r.Client, r.Client, clocktesting.NewFakeClock(fixtures.Time), changed.notify)
			require.NoError(t, r.Budgets.Poll(t.Context()))
			<-changed
			require.NoError(t, r.Budgets.Poll(t.Context()))
			assert.Empty(t, changed, "those of the shards are not of others")
			require.NoError(t, r.Client.Create(t.Context(), test.budget))
			require.NoError(t, r.Budgets.Poll(t.Context()))
			_, err = reconcileMain(t, r)
			require.NoError(t, err)
			condition := evictableOf(t, r)
			if !test.refused {
				assert.Equal(t, "True SinglePodDisruptionBudget", string(condition.Status)+" "+condition.Reason)
				return
			}
			assert.Len(t, changed, 1)
			assert.Equal(t, "False MultiplePodDisruptionBudgets", string(condition.Status)+" "+condition.Reason)
			assert.Contains(t, condition.Message, "PodDisruptionBudget own selects the pods of Deployment ksm-main-shard-")
			ready := meta.FindStatusCondition(readMain(t, r).Status.Conditions, v1alpha1.ConditionReady)
			assert.NotEqual(t, condition.Reason, ready.Reason, "it is a warning")
		})
	}
}

func TestPodDisruptionBudgetsThatCannotBeListed(t *testing.T) {
	r, _ := newReconciler(t, planner{nodes: 45}, nil)
	var refusal error
	r.Budgets = observation.NewForeignBudgets(r.Client, refusable{r.Client, &refusal}, clocktesting.NewFakeClock(fixtures.Time), func() {})
	see := func(status metav1.ConditionStatus, reason, message string) {
		t.Helper()
		_, err := reconcileMain(t, r)
		require.NoError(t, err)
		assert.Equal(t, string(status)+" "+reason, string(evictableOf(t, r).Status)+" "+evictableOf(t, r).Reason)
		assert.Contains(t, evictableOf(t, r).Message, message)
	}
	see(metav1.ConditionUnknown, v1alpha1.ReasonStarting, "")
	refusal = apierrors.NewForbidden(schema.GroupResource{Resource: "poddisruptionbudgets"}, "", errors.New("no"))
	require.Error(t, r.Budgets.Poll(t.Context()))
	see(metav1.ConditionUnknown, v1alpha1.ReasonForbidden, "poddisruptionbudgets is forbidden")
	refusal = errors.New("timeout")
	require.Error(t, r.Budgets.Poll(t.Context()))
	see(metav1.ConditionUnknown, v1alpha1.ReasonListFailed, "timeout")
	refusal = nil
	require.NoError(t, r.Budgets.Poll(t.Context()))
	see(metav1.ConditionTrue, v1alpha1.ReasonSinglePodDisruptionBudget, "one PodDisruptionBudget")
	refusal = errors.New("timeout")
	require.Error(t, r.Budgets.Poll(t.Context()))
	see(metav1.ConditionTrue, v1alpha1.ReasonSinglePodDisruptionBudget, "it does not notice a new one: list in namespace monitoring: timeout")
}

// A PodDisruptionBudget of a shard that was restored without owner references is ours before it is adopted.
func TestOrphanedPodDisruptionBudget(t *testing.T) {
	r, _ := newReconciler(t, planner{nodes: 45}, nil)
	_, err := reconcileMain(t, r)
	require.NoError(t, err)
	var orphan policyv1.PodDisruptionBudget
	require.NoError(t, r.Client.Get(t.Context(), client.ObjectKey{Namespace: "monitoring", Name: fixtures.Shard(0).Name()}, &orphan))
	orphan.OwnerReferences = nil
	require.NoError(t, r.Client.Update(t.Context(), &orphan))
	changed := newChanges()
	r.Budgets = observation.NewForeignBudgets(r.Client, r.Client, clocktesting.NewFakeClock(fixtures.Time), changed.notify)
	require.NoError(t, r.Budgets.Poll(t.Context()))
	<-changed
	for namespace, foreign := range r.Budgets.Latest().Objects {
		assert.Empty(t, foreign, namespace)
	}
}
