package status

import (
	"strings"

	"github.com/example/ksmscale/controller/observation"
)

// refusal is a kind of answer of the API server that refuses pods, or Deployments.
type refusal struct {
	// phrases are in each of its messages, at least one of them.
	phrases []string
	// advice names the fields to change.
	advice string
}

const setResources = "set requests and limits in spec.resources for container kube-state-metrics, and in spec.template.gate.resources for container gate"

// limitRangeRefusal is the one whose messages do not name who refuses.
var limitRangeRefusal = refusal{
	observation.LimitRangePhrases,
	setResources,
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

func (r refusal) matches(message string) bool {
	for _, phrase := range r.phrases {
		if strings.Contains(message, phrase) {
			return true
		}
	}
	return false
}

// withAdvice is a message of the API server, followed by what to do if that is known. LimitRanges are the names of those in the
// namespace, because messages do not say which of them refuses.
func withAdvice(message string, limitRanges []string) string {
	for _, refusal := range refusals {
		if !refusal.matches(message) {
			continue
		}
		if len(limitRanges) > 0 && observation.IsRefusedByLimitRange(message) {
			message += " (LimitRange " + strings.Join(limitRanges, ", ") + ")"
		}
		return message + ": " + refusal.advice
	}
	return message
}
