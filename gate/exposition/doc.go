// Package exposition reads the text that kube-state-metrics exposes. Its input is that text, and the lists of metrics that
// kube-state-metrics has. It returns which objects the text names, how many it names, and which resources must have any
// family. It has no client and no clock. Package gate compares its output with the objects of the API server.
package exposition
