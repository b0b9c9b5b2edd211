package observation

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/example/ksmscale/api/v1alpha1"
)

// ForeignAutoscalers looks for HorizontalPodAutoscalers that others have made for shards' Deployments. Such of KEDA's
// ScaledObjects are among them. Create it with NewForeignAutoscalers, and have a manager start it.
type ForeignAutoscalers struct {
	// poller finds their names, by the Deployment that they scale.
	*poller[map[client.ObjectKey][]string]
}

// NewForeignAutoscalers returns one that has not looked yet. It reads KSMScales from a cache, and autoscalers from the API server.
func NewForeignAutoscalers(ksmScales, autoscalers client.Reader, clock clock.WithTicker, notify func()) *ForeignAutoscalers {
	return &ForeignAutoscalers{&poller[map[client.ObjectKey][]string]{
		objects: "HorizontalPodAutoscalers of others", interval: ForeignInterval, clock: clock, notify: notify,
		find: func(ctx context.Context) (map[client.ObjectKey][]string, error) {
			return findForeignAutoscalers(ctx, ksmScales, autoscalers)
		},
		equal: func(a, b map[client.ObjectKey][]string) bool { return maps.EqualFunc(a, b, slices.Equal[[]string]) },
	}}
}

func findForeignAutoscalers(ctx context.Context, ksmScales, autoscalers client.Reader) (map[client.ObjectKey][]string, error) {
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

// foreignTarget is the Deployment of some KSMScale's shard that an autoscaler scales which was not made for it.
func foreignTarget(autoscaler *autoscalingv2.HorizontalPodAutoscaler, ksmScales []v1alpha1.KSMScale) (client.ObjectKey, bool) {
	target := autoscaler.Spec.ScaleTargetRef
	key := client.ObjectKey{Namespace: autoscaler.Namespace, Name: target.Name}
	if target.Kind != "Deployment" || autoscaler.DeletionTimestamp != nil {
		return key, false
	}
	foreign := false
	for i := range ksmScales {
		// The names of two KSMScales can be such that those of both ones' shards begin alike.
		ksmScale := &ksmScales[i]
		if IsOwnedBy(autoscaler, ksmScale) {
			return key, false
		}
		foreign = foreign || ksmScale.Spec.Namespace == autoscaler.Namespace && strings.HasPrefix(target.Name, v1alpha1.ShardNamePrefix(ksmScale.Name))
	}
	return key, foreign
}

// knownAs names an autoscaler by what it was made for, if anything: people know KEDA's ScaledObject, and have to change
// that.
func knownAs(autoscaler *autoscalingv2.HorizontalPodAutoscaler) string {
	name := "HorizontalPodAutoscaler " + autoscaler.Name
	if owner := metav1.GetControllerOf(autoscaler); owner != nil {
		return fmt.Sprintf("%s %s (%s)", owner.Kind, owner.Name, name)
	}
	return name
}

// foreignAutoscalers are those of others that scale some of the Deployments, as people know them, in order.
func foreignAutoscalers(deployments []appsv1.Deployment, latest result[map[client.ObjectKey][]string]) Foreign {
	foreign := Foreign{Names: map[string][]string{}, Unknown: !latest.known, Err: latest.err}
	for i := range deployments {
		if names := latest.Found[client.ObjectKeyFromObject(&deployments[i])]; len(names) > 0 {
			foreign.Names[deployments[i].Name] = names
		}
	}
	return foreign
}
