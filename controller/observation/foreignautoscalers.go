package observation

import (
	"context"
	"fmt"
	"maps"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/example/ksmscale/api/v1alpha1"
)

// ForeignAutoscalers lists HorizontalPodAutoscalers of others that scale Deployments of shards. This includes HorizontalPodAutoscalers of
// KEDA's ScaledObjects. Create it with NewForeignAutoscalers, and start it with a manager.
type ForeignAutoscalers struct {
	// poller lists their names, by the Deployment that they scale.
	*poller[map[client.ObjectKey][]string]
}

// NewForeignAutoscalers returns a ForeignAutoscalers that has not polled yet. It reads KSMScales from a cache and autoscalers from the API
// server.
func NewForeignAutoscalers(ksmScales, autoscalers client.Reader, source clock.WithTicker, notify func()) *ForeignAutoscalers {
	return &ForeignAutoscalers{&poller[map[client.ObjectKey][]string]{
		objects: "HorizontalPodAutoscalers of others", interval: foreignInterval, clock: source, notify: notify,
		list: func(ctx context.Context) (map[client.ObjectKey][]string, error) {
			return listForeignAutoscalers(ctx, ksmScales, autoscalers)
		},
		equal: func(a, b map[client.ObjectKey][]string) bool { return maps.EqualFunc(a, b, slices.Equal[[]string]) },
	}}
}

// listForeignAutoscalers lists the names by which people know the autoscalers of others, in order, by the Deployment that they scale.
func listForeignAutoscalers(ctx context.Context, ksmScales, autoscalers client.Reader) (map[client.ObjectKey][]string, error) {
	foreign := map[client.ObjectKey][]string{}
	newList := func() *autoscalingv2.HorizontalPodAutoscalerList { return &autoscalingv2.HorizontalPodAutoscalerList{} }
	err := listInNamespaces(ctx, ksmScales, autoscalers, newList, func(_ string, list *autoscalingv2.HorizontalPodAutoscalerList, all []v1alpha1.KSMScale) {
		for _, autoscaler := range SortedByName(list.Items) {
			if deployment, isForeign := foreignTarget(autoscaler, all); isForeign {
				foreign[deployment] = append(foreign[deployment], knownAs(autoscaler))
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
	// A name of a shard can begin like the names of two KSMScales, so all KSMScales are compared.
	isOurs := isOwnedByAny(autoscaler, ksmScales)
	return key, target.Kind == "Deployment" && autoscaler.DeletionTimestamp == nil && !isOurs && isShardName(key, ksmScales)
}

// knownAs names the owner of an autoscaler, if it has one, because people know and change the owner, such as KEDA's ScaledObject.
func knownAs(autoscaler *autoscalingv2.HorizontalPodAutoscaler) string {
	name := "HorizontalPodAutoscaler " + autoscaler.Name
	if owner := metav1.GetControllerOf(autoscaler); owner != nil {
		return fmt.Sprintf("%s %s (%s)", owner.Kind, owner.Name, name)
	}
	return name
}

// foreignAutoscalers returns the autoscalers of others that affect some of the Deployments.
func foreignAutoscalers(deployments []appsv1.Deployment, latest result[map[client.ObjectKey][]string]) Foreign {
	foreign := Foreign{Names: map[string][]string{}, Unknown: !latest.known, Err: latest.err}
	for i := range deployments {
		if names := latest.Objects[client.ObjectKeyFromObject(&deployments[i])]; len(names) > 0 {
			foreign.Names[deployments[i].Name] = names
		}
	}
	return foreign
}
