// Package scaling decides the desired replicas of each shard of a KSMScale. It is pure: its input is a KSMScale and a
// picture of the cluster, and its output is a Plan. It has no client, clock, log or other I/O, so the same input always
// has the same plan. A Pace limits how fast replicas follow a plan without a HorizontalPodAutoscaler; the time is an
// argument. The picture comes from package nodes. The adapter publishes the plan as external metrics, and the controller
// reports it in the status.
package scaling
