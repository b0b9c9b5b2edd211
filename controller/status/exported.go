package status

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/completeness"
	"github.com/example/ksmscale/controller/objects"
)

// exportedConditions has a condition that is False while the shards export fewer objects than the cluster has. It is empty until gates have
// counted for the first time. What cannot be compared is in its message, and does not make Ready Unknown.
func exportedConditions(in conditionInput) []metav1.Condition {
	condition := metav1.Condition{Type: v1alpha1.ConditionObjectsExported, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonAllObjectsExported}
	result, before := in.Snapshot.Completeness, meta.FindStatusCondition(in.KSMScale.Status.Conditions, condition.Type)
	missing, foreign := affected(result)
	switch {
	case !result.Known && before == nil:
		return nil
	case !result.Known && result.Waiting:
		return []metav1.Condition{*before} // A new leader, or a new partition, has no three rounds yet.
	case !result.Known:
		condition.Status, condition.Reason = metav1.ConditionUnknown, v1alpha1.ReasonNotCounted
		condition.Message = "The gates of all shards have not counted objects in the same rounds for ten minutes. Each shard needs a ready pod whose port 8082 the controller can reach"
	case len(foreign) > 0:
		condition.Status, condition.Reason = metav1.ConditionFalse, v1alpha1.ReasonForeignObjects
		condition.Message = fmt.Sprintf("kube-state-metrics exposes objects of other shards (%s): let its arguments --shard and --total-shards be those that KSMScale sets, "+
			"and delete the pods of the shard", strings.Join(foreign, "; "))
	case len(missing) > 0:
		condition.Status, condition.Reason = metav1.ConditionFalse, v1alpha1.ReasonObjectsMissing
		condition.Message = fmt.Sprintf("The shards export fewer objects than the cluster has, in %d counts in a row (%s): delete the pods of the shard one by one, so that "+
			"kube-state-metrics lists again. If they lose objects again, set spec.monitorImage to v2.20.0 or newer", completeness.Rounds, strings.Join(missing, "; "))
	case len(result.Resources) == 0:
		condition.Status, condition.Reason = metav1.ConditionUnknown, v1alpha1.ReasonNotCompared
		condition.Message = "No resource can be compared with the cluster"
	default:
		condition.Message = fmt.Sprintf("The shards export all objects of %s", plural(len(result.Resources), "resource", "resources"))
	}
	if skipped := notCompared(in.KSMScale, result); len(skipped) > 0 && result.Known {
		condition.Message += "; not compared: " + strings.Join(skipped, ", ")
	}
	return []metav1.Condition{condition}
}

// affected describes the missing and the foreign objects of each resource that has some.
func affected(result completeness.Result) (missing, foreign []string) {
	for _, name := range slices.Sorted(maps.Keys(result.Resources)) {
		one := result.Resources[name]
		if one.Objects > 0 {
			missing = append(missing, fmt.Sprintf("%s: at least %d%s", name, one.Objects, inShards(one.Shards)))
		}
		if one.Foreign > 0 {
			foreign = append(foreign, fmt.Sprintf("%s: %d%s", name, one.Foreign, inShards(one.ForeignShards)))
		}
	}
	return missing, foreign
}

// inShards names shards; empty if they are not known.
func inShards(shards []int32) string {
	if len(shards) == 0 {
		return ""
	}
	names := make([]string, len(shards))
	for i, shard := range shards {
		names[i] = fmt.Sprint(shard)
	}
	if len(names) == 1 {
		return " in shard " + names[0]
	}
	return " in shards " + strings.Join(names, ", ")
}

// notCompared has the resources that cannot be compared, by reason.
func notCompared(ksmScale *v1alpha1.KSMScale, result completeness.Result) []string {
	byReason := map[string][]string{}
	for name, reason := range result.NotCompared {
		byReason[reason] = append(byReason[reason], name)
	}
	var skipped []string
	for _, reason := range slices.Sorted(maps.Keys(byReason)) {
		slices.Sort(byReason[reason])
		skipped = append(skipped, fmt.Sprintf("%s (%s)", strings.Join(byReason[reason], ", "), reason))
	}
	if objects.ExportsCustomResources(ksmScale) {
		skipped = append(skipped, "custom resources")
	}
	return skipped
}

// missingObjects is the number of missing objects of all resources. Until it is known, the number before stays; nil if there is none.
func missingObjects(in Input) *int64 {
	result := in.Snapshot.Completeness
	switch {
	case result.Known && len(result.Resources) > 0:
		return new(result.Total())
	case !result.Known && result.Waiting:
		return in.KSMScale.Status.MissingObjects
	default:
		return nil
	}
}

// onlyFalse returns the conditions that are False.
func onlyFalse(conditions []metav1.Condition) []metav1.Condition {
	return slices.DeleteFunc(slices.Clone(conditions), func(one metav1.Condition) bool { return one.Status != metav1.ConditionFalse })
}
