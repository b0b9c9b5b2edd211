// Package adapter serves the external metrics API (external.metrics.k8s.io): the plans of package plans as
// metrics that HorizontalPodAutoscalers read. It answers from memory, at a cost that does not grow with the
// cluster. The controller makes the HorizontalPodAutoscalers that ask.
package adapter
