// Package check reads the external metrics of all KSMScales through the API server, as HorizontalPodAutoscalers do. `helm test` runs it as
// `adapter check`. Run is the way in.
package check
