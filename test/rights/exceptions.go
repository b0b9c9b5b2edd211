package main

// The suites of tests, by their targets of make.
const (
	// integration runs controller and adapter as processes.
	integration = "integration"
	// endToEnd runs everything as pods.
	endToEnd = "e2e"
)

// exceptions have a reason for each entry. An entry is the text of a right.
type exceptions struct {
	// unused rights are needed, but no request to the API server shows it.
	unused map[string]string
	// seldom rights are needed, but only some runs of the tests use them.
	seldom map[string]string
	// pods are the rights of controller and adapter that they use only as pods.
	pods map[string]string
	// refused requests are no mistake: the program that asks goes on without an answer.
	refused map[string]string
}

// known are the exceptions of this project.
var known = exceptions{
	unused: map[string]string{
		// Both objects get an owner. TestOwnerReferencesPermissionEnforcement has an API server with such a plugin.
		"ClusterRole ksmscale-controller: delete serviceaccounts":                                                    "OwnerReferencesPermissionEnforcement asks for it",
		"ClusterRole ksmscale-controller: delete apiservices.apiregistration.k8s.io v1beta1.external.metrics.k8s.io": "OwnerReferencesPermissionEnforcement asks for it",
		// TestDelegate shows what happens without the right.
		"ClusterRole ksmscale-adapter-delegate: list *.external.metrics.k8s.io": "the delegate asks for it",
	},
	seldom: map[string]string{
		"ClusterRole ksmscale-controller: patch events.events.k8s.io": "the recorder counts an event that repeats while the object stays the same",
	},
	pods: map[string]string{
		"Role ksmscale-controller: get pods": "a process gets the image of the gate from --gate-image",
	},
	refused: map[string]string{
		// The role for counts of objects leaves Secrets out.
		"system:serviceaccount:ksmscale-system:ksmscale-controller: list secrets": "the controller estimates their number",
		// TestOptions exports KSMScales as custom resources. Once the test grants that, kube-state-metrics watches without a list.
		"system:serviceaccount:*:ksm-*: list ksmscales.monitor.example.com": "kube-state-metrics asks before the test grants it",
	},
}

// suiteOf returns the suite that has to use a right. Kube-state-metrics and gates run as pods only.
func (e exceptions) suiteOf(one right) string {
	if one.User == shards || e.pods[one.String()] != "" {
		return endToEnd
	}
	return integration
}
