package status

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/controller/fixtures"
)

// The condition quotes who refuses the pods of a shard, and names the field to change.
func TestRefusedPods(t *testing.T) {
	const resources = "in spec.resources for container kube-state-metrics, and in spec.template.gate.resources for container gate"
	for _, test := range []struct {
		name, message string
		limitRanges   []string
		says          string
	}{
		{"a quota of limits", `pods "a" is forbidden: failed quota: small: must specify limits.cpu for: gate`, nil, "failed quota: small: must specify limits.cpu for: gate: set requests and limits " + resources},
		{"a quota that is used up", `pods "a" is forbidden: exceeded quota: small, requested: limits.cpu=1, used: limits.cpu=3, limited: limits.cpu=3`, nil, "raise that quota, or lower spec.resources"},
		{"a LimitRange", fixtures.RefusedByLimitRange, []string{"large", "small"}, "No limit is specified (LimitRange large, small): set requests and limits " + resources},
		{"a LimitRange that is not known", fixtures.RefusedByLimitRange, nil, "No limit is specified: set requests and limits " + resources},
		{"a policy", `pods "a" is forbidden: ValidatingAdmissionPolicy 'limits' with binding 'all' denied request: no limits`, nil, "denied request: no limits: if containers need requests or limits, set requests and limits " + resources},
		{"a webhook", `admission webhook "policy.example.com" denied the request: no limits`, nil, resources + "; spec.template has the other fields of the pods"},
		{"Pod Security", `pods "a" is forbidden: violates PodSecurity "restricted:latest": host namespaces`, nil, "change hostNetwork, volumes"},
		{"no priority", `pods "a" is forbidden: no PriorityClass with name high was found`, nil, "change spec.template.priorityClassName"},
		{"no service account", `pods "a" is forbidden: error looking up service account monitoring/own: serviceaccount "own" not found`, nil, "change spec.template.serviceAccountName"},
		{"anything else", `pods "a" is forbidden: no`, nil, `Deployment ksm-main-shard-1-of-3: pods "a" is forbidden: no`},
	} {
		t.Run(test.name, func(t *testing.T) {
			status := newWorld(func(w *world) {
				w.observed.Deployments[1].Status.Conditions = fixtures.ReplicaFailure(test.message)
				w.observed.LimitRanges = test.limitRanges
			}).status()
			condition := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionProgressing)
			assert.Equal(t, metav1.ConditionFalse, condition.Status)
			assert.Equal(t, "FailedCreate", condition.Reason)
			assert.Contains(t, condition.Message, test.says)
		})
	}
}

// A policy can refuse the Deployment too.
func TestRefusedDeployment(t *testing.T) {
	status := newWorld(func(w *world) {
		w.applyErr = errors.New("deployments.apps \"a\" is forbidden: ValidatingAdmissionPolicy 'limits' with binding 'all' denied request: no limits")
	}).status()
	condition := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionProgressing)
	assert.Contains(t, condition.Message, "spec.template.gate.resources")
}
