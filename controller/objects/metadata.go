package objects

import (
	"encoding/json"
	"fmt"
	"maps"
	"strconv"

	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"

	"github.com/example/ksmscale/api/v1alpha1"
)

// FieldOwner is the field manager that the controller applies objects as.
const FieldOwner = "ksmscale"

// described is an apply configuration whose metadata can be set.
type described[C any] interface {
	WithLabels(labels map[string]string) C
	WithAnnotations(annotations map[string]string) C
	WithOwnerReferences(owners ...*metav1ac.OwnerReferenceApplyConfiguration) C
}

// describe adds the metadata of every object of a KSMScale: labels, annotations and the owner. A common label of the user never replaces a
// label of the object.
func describe[C described[C]](ksmScale *v1alpha1.KSMScale, object C, labels map[string]string) C {
	return object.
		WithLabels(asStrings(ksmScale.Spec.CommonLabels)).
		WithLabels(labels).
		WithAnnotations(asStrings(ksmScale.Spec.CommonAnnotations)).
		WithOwnerReferences(OwnerReference(ksmScale))
}

// asStrings converts values to strings.
func asStrings[Value ~string](values map[string]Value) map[string]string {
	converted := make(map[string]string, len(values))
	for key, value := range values {
		converted[key] = string(value)
	}
	return converted
}

// IdentityLabels returns the labels that identify the objects of a KSMScale.
func IdentityLabels(ksmScale *v1alpha1.KSMScale) map[string]string {
	return map[string]string{
		"app.kubernetes.io/name":      "kube-state-metrics",
		"app.kubernetes.io/instance":  ksmScale.Name,
		"app.kubernetes.io/component": "exporter",
		v1alpha1.LabelKSMScale:        ksmScale.Name,
	}
}

// ShardLabels returns the labels of the objects and the pods of a shard.
func ShardLabels(ksmScale *v1alpha1.KSMScale, shard v1alpha1.Shard) map[string]string {
	labels := IdentityLabels(ksmScale)
	maps.Copy(labels, shard.Selector())
	labels[v1alpha1.LabelShardingEnabled] = strconv.FormatBool(shard.Total > 1)
	return labels
}

func shardSelector(shard v1alpha1.Shard) *metav1ac.LabelSelectorApplyConfiguration {
	return metav1ac.LabelSelector().WithMatchLabels(shard.Selector())
}

// OwnerReference sets a KSMScale as the controller of an object, so the garbage collector deletes the object with the KSMScale. It does not
// block the deletion of the KSMScale, because that needs the right to change finalizers.
func OwnerReference(ksmScale *v1alpha1.KSMScale) *metav1ac.OwnerReferenceApplyConfiguration {
	return metav1ac.OwnerReference().
		WithAPIVersion(v1alpha1.GroupVersion.String()).WithKind("KSMScale").
		WithName(ksmScale.Name).WithUID(ksmScale.UID).WithController(true)
}

// As converts an API value to its apply configuration, which has the same JSON. It panics if the two types do not match.
func As[Configuration any](value any) *Configuration {
	configuration := new(Configuration)
	data, err := json.Marshal(value)
	if err == nil {
		err = json.Unmarshal(data, configuration)
	}
	if err != nil {
		panic(fmt.Sprintf("%T is not a %T: %v", value, configuration, err))
	}
	return configuration
}
