// Package observation reads the objects of a KSMScale into one Snapshot: Deployments, pods, Services and autoscalers from the cache,
// the versions of kube-state-metrics, and objects of others from pollers. It also interprets single pods, Deployments and
// Services, with functions such as IsActive, IsRollingOut and IsRetired.
//
// Package partition decides from a Snapshot; read it next.
package observation
