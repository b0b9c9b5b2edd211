package observation

import (
	"context"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/controller/objects"
)

// VerticalAutoscalerKind is the kind of VerticalPodAutoscalers, which a cluster may have or not.
var VerticalAutoscalerKind = schema.GroupVersionKind{Group: "autoscaling.k8s.io", Version: "v1", Kind: "VerticalPodAutoscaler"}

// VerticalAutoscalers lists the VerticalPodAutoscalers that change the resources of shards. All of them belong to others. Create it with
// NewVerticalAutoscalers, and start it with a manager.
type VerticalAutoscalers struct {
	// poller lists their names, by the Deployment whose pods they resize.
	*poller[map[client.ObjectKey][]string]
}

// NewVerticalAutoscalers returns a VerticalAutoscalers that has not polled yet. It reads KSMScales from a cache and VerticalPodAutoscalers
// from the API server, if that has the kind.
func NewVerticalAutoscalers(kinds Kinds, ksmScales, autoscalers client.Reader, source clock.WithTicker, notify func()) *VerticalAutoscalers {
	return &VerticalAutoscalers{&poller[map[client.ObjectKey][]string]{
		objects: "VerticalPodAutoscalers", interval: foreignInterval, clock: source, notify: notify,
		list: func(ctx context.Context) (map[client.ObjectKey][]string, error) {
			if installed, err := HasKind(kinds, VerticalAutoscalerKind); err != nil || !installed {
				return nil, err
			}
			return listVerticalAutoscalers(ctx, ksmScales, autoscalers)
		},
		equal: func(a, b map[client.ObjectKey][]string) bool { return maps.EqualFunc(a, b, slices.Equal[[]string]) },
	}}
}

// listVerticalAutoscalers lists the names of VerticalPodAutoscalers, in order, by the Deployment whose pods they resize.
func listVerticalAutoscalers(ctx context.Context, ksmScales, autoscalers client.Reader) (map[client.ObjectKey][]string, error) {
	resizing := map[client.ObjectKey][]string{}
	newList := func() *unstructured.UnstructuredList {
		list := &unstructured.UnstructuredList{}
		list.SetGroupVersionKind(VerticalAutoscalerKind.GroupVersion().WithKind(VerticalAutoscalerKind.Kind + "List"))
		return list
	}
	err := listInNamespaces(ctx, ksmScales, autoscalers, newList, func(namespace string, list *unstructured.UnstructuredList, _ []v1alpha1.KSMScale) {
		slices.SortFunc(list.Items, func(a, b unstructured.Unstructured) int { return strings.Compare(a.GetName(), b.GetName()) })
		for _, autoscaler := range list.Items {
			deployment, _, _ := unstructured.NestedString(autoscaler.Object, "spec", "targetRef", "name")
			if key := (client.ObjectKey{Namespace: namespace, Name: deployment}); resizes(autoscaler) && isShardName(deployment) {
				resizing[key] = append(resizing[key], autoscaler.GetName())
			}
		}
	})
	if IsGone(err) {
		return map[client.ObjectKey][]string{}, nil // The kind was removed after its discovery.
	}
	return resizing, err
}

// isShardName reports whether a Deployment of this name can be the Deployment of a shard, also of a KSMScale that does not exist yet.
func isShardName(deployment string) bool {
	prefix, suffix, _ := strings.Cut(v1alpha1.ShardNamePrefix("/"), "/")
	return strings.HasPrefix(deployment, prefix) && strings.Contains(deployment, suffix)
}

const verticalModeOff = "Off"

// resizes reports whether a VerticalPodAutoscaler changes the resources of kube-state-metrics in the pods of a Deployment. In mode Off it
// only recommends.
func resizes(autoscaler unstructured.Unstructured) bool {
	kind, _, _ := unstructured.NestedString(autoscaler.Object, "spec", "targetRef", "kind")
	updateMode, _, _ := unstructured.NestedString(autoscaler.Object, "spec", "updatePolicy", "updateMode")
	if kind != "Deployment" || updateMode == verticalModeOff || autoscaler.GetDeletionTimestamp() != nil {
		return false
	}
	policies, _, _ := unstructured.NestedSlice(autoscaler.Object, "spec", "resourcePolicy", "containerPolicies")
	modes := map[string]string{}
	for _, policy := range policies {
		if fields, ok := policy.(map[string]any); ok {
			name, _, _ := unstructured.NestedString(fields, "containerName")
			modes[name], _, _ = unstructured.NestedString(fields, "mode")
		}
	}
	// A policy for a container takes precedence over the policy for all containers.
	if mode, ok := modes[objects.ContainerName]; ok {
		return mode != verticalModeOff
	}
	return modes["*"] != verticalModeOff
}
