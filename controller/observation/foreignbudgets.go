package observation

import (
	"context"
	"maps"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/example/ksmscale/api/v1alpha1"
)

// ForeignBudgets lists PodDisruptionBudgets of others in the namespaces of shards. Create it with NewForeignBudgets, and
// start it with a manager.
type ForeignBudgets struct {
	// poller lists them by their namespace, in the order of their names.
	*poller[map[string][]foreignBudget]
}

// foreignBudget is a PodDisruptionBudget that no KSMScale owns.
type foreignBudget struct {
	name     string
	selector labels.Selector
}

// NewForeignBudgets returns a ForeignBudgets that has not polled yet. It reads KSMScales from a cache and PodDisruptionBudgets from the API
// server.
func NewForeignBudgets(ksmScales, budgets client.Reader, source clock.WithTicker, notify func()) *ForeignBudgets {
	sameBudgets := func(a, b []foreignBudget) bool {
		return slices.EqualFunc(a, b, func(a, b foreignBudget) bool { return a.name == b.name && a.selector.String() == b.selector.String() })
	}
	return &ForeignBudgets{&poller[map[string][]foreignBudget]{
		objects: "PodDisruptionBudgets of others", interval: foreignInterval, clock: source, notify: notify,
		list: func(ctx context.Context) (map[string][]foreignBudget, error) {
			return listForeignBudgets(ctx, ksmScales, budgets)
		},
		equal: func(a, b map[string][]foreignBudget) bool { return maps.EqualFunc(a, b, sameBudgets) },
	}}
}

// listForeignBudgets lists the PodDisruptionBudgets of others by their namespace.
func listForeignBudgets(ctx context.Context, ksmScales, budgets client.Reader) (map[string][]foreignBudget, error) {
	foreign := map[string][]foreignBudget{}
	newList := func() *policyv1.PodDisruptionBudgetList { return &policyv1.PodDisruptionBudgetList{} }
	err := listInNamespaces(ctx, ksmScales, budgets, newList, func(namespace string, list *policyv1.PodDisruptionBudgetList, all []v1alpha1.KSMScale) {
		foreign[namespace] = nil
		for _, budget := range SortedByName(list.Items) {
			// An empty selector selects every pod. The API server accepts only valid selectors.
			selector, err := metav1.LabelSelectorAsSelector(budget.Spec.Selector)
			if err == nil && !isOwnedByAny(budget, all) && budget.DeletionTimestamp == nil {
				foreign[namespace] = append(foreign[namespace], foreignBudget{budget.Name, selector})
			}
		}
	})
	return foreign, err
}

// foreignBudgets returns the PodDisruptionBudgets of others that select the pods of some of the Deployments, in order. They are unknown in a
// namespace that got its first KSMScale after the last poll.
func foreignBudgets(deployments []appsv1.Deployment, latest result[map[string][]foreignBudget]) Foreign {
	foreign := Foreign{Names: map[string][]string{}, Unknown: !latest.known, Err: latest.err}
	for i := range deployments {
		deployment := &deployments[i]
		budgets, listed := latest.Objects[deployment.Namespace]
		foreign.Unknown = foreign.Unknown || !listed
		for _, budget := range budgets {
			if budget.selector.Matches(labels.Set(deployment.Spec.Template.Labels)) {
				foreign.Names[deployment.Name] = append(foreign.Names[deployment.Name], budget.name)
			}
		}
	}
	return foreign
}
