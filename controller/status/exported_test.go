package status

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/completeness"
	"github.com/example/ksmscale/measurements"
)

func TestObjectsExported(t *testing.T) {
	counted := func(resources map[string]completeness.Missing, notCompared map[string]string) func(*world) {
		return func(w *world) {
			w.observed.Completeness = completeness.Result{Known: true, Resources: resources, NotCompared: notCompared}
		}
	}
	before := func(missing int64) func(*world) {
		return func(w *world) {
			w.ksmScale.Status.MissingObjects = &missing
			w.ksmScale.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionObjectsExported, Status: metav1.ConditionTrue, Reason: "Before"}}
		}
	}
	waiting := func(w *world) { w.observed.Completeness.Waiting = true }
	complete := map[string]completeness.Missing{"pods": {}, "nodes": {}}
	for _, test := range []struct {
		name                           string
		overrides                      []func(*world)
		status, reason, message, ready string
		missing                        *int64
	}{
		{"nothing is missing", []func(*world){counted(complete, nil)}, "True", v1alpha1.ReasonAllObjectsExported, "all objects of 2 resources", "True", new(int64(0))},
		{
			"some are not compared", []func(*world){counted(complete, map[string]string{"secrets": measurements.UncountedForbidden, "leases": measurements.UncountedUnidentified, "jobs": measurements.UncountedUnidentified})},
			"True", v1alpha1.ReasonAllObjectsExported, "; not compared: jobs, leases (no family for each object), secrets (not listable)", "True", new(int64(0)),
		},
		{
			"some are missing", []func(*world){counted(map[string]completeness.Missing{"pods": {Objects: 100, Shards: []int32{1}}, "jobs": {Objects: 7}, "nodes": {}}, nil)},
			"False", v1alpha1.ReasonObjectsMissing, "in 3 counts in a row (jobs: at least 7; pods: at least 100 in shard 1)", "False", new(int64(107)),
		},
		{
			"of other shards", []func(*world){counted(map[string]completeness.Missing{"pods": {Foreign: 3, ForeignShards: []int32{0, 2}}}, nil)},
			"False", v1alpha1.ReasonForeignObjects, "(pods: 3 in shards 0, 2)", "False", new(int64(0)),
		},
		{
			"nothing is compared", []func(*world){counted(nil, map[string]string{"pods": measurements.UncountedLimited})},
			"Unknown", v1alpha1.ReasonNotCompared, "not compared: pods (object limit)", "True", nil,
		},
		{"no rounds yet of a new leader", []func(*world){waiting, before(4)}, "True", "Before", "", "True", new(int64(4))},
		{"no rounds any more", []func(*world){before(4)}, "Unknown", v1alpha1.ReasonNotCounted, "for ten minutes", "True", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			computed := newWorld(test.overrides...).status()
			condition := meta.FindStatusCondition(computed.Conditions, v1alpha1.ConditionObjectsExported)
			require.NotNil(t, condition)
			assert.Equal(t, test.status+" "+test.reason, string(condition.Status)+" "+condition.Reason)
			assert.Contains(t, condition.Message, test.message)
			assert.Equal(t, test.missing, computed.MissingObjects)
			ready := meta.FindStatusCondition(computed.Conditions, v1alpha1.ConditionReady)
			assert.Equal(t, test.ready, string(ready.Status))
			if test.status == "False" {
				assert.Equal(t, test.reason, ready.Reason)
			}
		})
	}
}

// Pods of the local cluster only look as if they ran, so there are no gates.
func TestNoConditionBeforeGatesHaveCounted(t *testing.T) {
	computed := newWorld().status()
	assert.Nil(t, meta.FindStatusCondition(computed.Conditions, v1alpha1.ConditionObjectsExported))
	assert.Nil(t, computed.MissingObjects)
}
