package observation

import (
	"context"
	"fmt"
	"maps"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/example/ksmscale/api/v1alpha1"
)

// ForeignAutoscalers lists HorizontalPodAutoscalers of others that scale Deployments of shards. This includes HorizontalPodAutoscalers of
// KEDA's ScaledObjects. Create it with NewForeignAutoscalers, and start it with a manager.
type ForeignAutoscalers struct{ *poller[foreignTargets] }

// foreignTargets has what autoscalers of others scale.
type foreignTargets struct {
	// names has the names by which people know the autoscalers, in order, by the Deployment that they scale.
	names map[client.ObjectKey][]string
	// namespaces are the namespaces that the list covers.
	namespaces sets.Set[string]
}

// equal also compares the namespaces, because the first KSMScale of a namespace waits for a list that covers it.
func (f foreignTargets) equal(other foreignTargets) bool {
	return f.namespaces.Equal(other.namespaces) && maps.EqualFunc(f.names, other.names, slices.Equal[[]string])
}

// NewForeignAutoscalers returns a ForeignAutoscalers that has not polled yet. It reads KSMScales from a cache and autoscalers from the API
// server.
func NewForeignAutoscalers(ksmScales, autoscalers client.Reader, source clock.WithTicker, notify func()) *ForeignAutoscalers {
	return &ForeignAutoscalers{&poller[foreignTargets]{
		objects: "HorizontalPodAutoscalers of others", interval: foreignInterval, clock: source, notify: notify,
		list: func(ctx context.Context) (foreignTargets, error) {
			return listForeignAutoscalers(ctx, ksmScales, autoscalers)
		},
		equal: foreignTargets.equal,
	}}
}

// listForeignAutoscalers lists the autoscalers of others.
func listForeignAutoscalers(ctx context.Context, ksmScales, autoscalers client.Reader) (foreignTargets, error) {
	foreign := foreignTargets{names: map[client.ObjectKey][]string{}, namespaces: sets.New[string]()}
	newList := func() *autoscalingv2.HorizontalPodAutoscalerList { return &autoscalingv2.HorizontalPodAutoscalerList{} }
	err := listInNamespaces(ctx, ksmScales, autoscalers, newList, func(namespace string, list *autoscalingv2.HorizontalPodAutoscalerList, all []v1alpha1.KSMScale) {
		foreign.namespaces.Insert(namespace)
		for _, autoscaler := range SortedByName(list.Items) {
			if deployment, isForeign := foreignTarget(autoscaler, all); isForeign {
				foreign.names[deployment] = append(foreign.names[deployment], knownAs(autoscaler))
			}
		}
	})
	return foreign, err
}

// foreignTarget returns the Deployment that an autoscaler scales, and whether it is a shard's Deployment and the autoscaler belongs to
// others.
func foreignTarget(autoscaler *autoscalingv2.HorizontalPodAutoscaler, ksmScales []v1alpha1.KSMScale) (client.ObjectKey, bool) {
	target := autoscaler.Spec.ScaleTargetRef
	key := client.ObjectKey{Namespace: autoscaler.Namespace, Name: target.Name}
	isOurs := isOwnedByAny(autoscaler, ksmScales)
	return key, target.Kind == "Deployment" && autoscaler.DeletionTimestamp == nil && !isOurs && isShardName(target.Name)
}

// knownAs names the owner of an autoscaler, if it has one, because people know and change the owner, such as KEDA's ScaledObject.
func knownAs(autoscaler *autoscalingv2.HorizontalPodAutoscaler) string {
	name := "HorizontalPodAutoscaler " + autoscaler.Name
	if owner := metav1.GetControllerOf(autoscaler); owner != nil {
		return fmt.Sprintf("%s %s (%s)", owner.Kind, owner.Name, name)
	}
	return name
}

// foreignAutoscalers returns the autoscalers of others that scale some of the Deployments of a KSMScale. They are unknown in a namespace
// that got its first KSMScale after the last poll.
func foreignAutoscalers(namespace string, deployments []appsv1.Deployment, latest result[foreignTargets]) Foreign {
	return Foreign{Names: namesOf(deployments, latest.Objects.names), Unknown: !latest.Objects.namespaces.Has(namespace), Err: latest.err}
}

// namesOf returns the names of the autoscalers of some Deployments, by the name of the Deployment.
func namesOf(deployments []appsv1.Deployment, all map[client.ObjectKey][]string) map[string][]string {
	byDeployment := map[string][]string{}
	for i := range deployments {
		if names := all[client.ObjectKeyFromObject(&deployments[i])]; len(names) > 0 {
			byDeployment[deployments[i].Name] = names
		}
	}
	return byDeployment
}
