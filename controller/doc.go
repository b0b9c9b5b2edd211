// Package controller makes and keeps the objects of each KSMScale's shards, and reports on them in its status.
//
// Reconciler reads along the data: the plan of package plans; the wanted objects, each kind built by a pure
// function in a file of its own (deployment.go, service.go, autoscaler.go, disruptionbudget.go, access.go);
// apply.go sends just what differs; observe.go looks at what there is, and status.go and conditions.go turn that
// into the status, pure as well. The number of replicas is never sent: the HorizontalPodAutoscalers own it.
//
// apiservice.go registers the adapter with the API server, and certificate.go makes the certificate that it
// serves. Start at run.go for how they are put together.
package controller
