// Package adapter serves the external metrics API (external.metrics.k8s.io). HorizontalPodAutoscalers read the plans of
// package plans from it as metrics. The adapter answers from memory, at a cost that does not grow with the cluster. The
// controller creates these HorizontalPodAutoscalers.
package adapter
