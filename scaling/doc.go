// Package scaling decides how many replicas each shard of a KSMScale is wanted to have. It is pure: a KSMScale
// and a picture of the cluster go in, a Plan comes out; there is no client, clock, log or other I/O, so that
// whoever plans from the same input plans the same. A Pace says how fast who scales without a HorizontalPodAutoscaler may
// follow it; the time is an argument. The picture comes from package nodes; the adapter publishes
// the plan as external metrics, and the controller reports it in the status.
package scaling
