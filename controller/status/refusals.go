package status

import (
	"strings"

	"github.com/example/ksmscale/controller/observation"
)

// withAdvice adds the fix to a message of the API server, if the fix is known. The argument limitRanges has the names of the LimitRanges of
// the namespace, because such a message does not name them.
func withAdvice(message string, limitRanges []string) string {
	for _, kind := range refusals {
		if !kind.matches(message) {
			continue
		}
		if len(limitRanges) > 0 && observation.IsRefusedByLimitRange(message) {
			message += " (LimitRange " + strings.Join(limitRanges, ", ") + ")"
		}
		return message + ": " + kind.advice
	}
	return message
}

// refusal is a kind of error with which the API server refuses pods or Deployments.
type refusal struct {
	// phrases has texts, of which each message contains at least one.
	phrases []string
	// advice names the fields to change.
	advice string
}

func (r refusal) matches(message string) bool {
	for _, phrase := range r.phrases {
		if strings.Contains(message, phrase) {
			return true
		}
	}
	return false
}

var refusals = []refusal{
	limitRangeRefusal,
	{[]string{"failed quota: "}, setResources},
	{[]string{"exceeded quota: "}, "raise that quota, or lower spec.resources and spec.template.gate.resources"},
	{[]string{"ValidatingAdmissionPolicy '", "admission webhook \""}, "if containers need requests or limits, " + setResources + "; spec.template has the other fields of the pods"},
	{[]string{"violates PodSecurity "}, "change hostNetwork, volumes, securityContext or containerSecurityContext of spec.template, or the namespace's label pod-security.kubernetes.io/enforce"},
	{[]string{"no PriorityClass with name "}, "create it, or change spec.template.priorityClassName"},
	{[]string{"error looking up service account "}, "create it, or change spec.template.serviceAccountName"},
}

const setResources = "set requests and limits in spec.resources for container kube-state-metrics, and in spec.template.gate.resources for container gate"

// limitRangeRefusal is the refusal by a LimitRange, which its messages do not name.
var limitRangeRefusal = refusal{
	observation.LimitRangePhrases,
	setResources,
}
