// Package ksm is what the gate asks the kube-state-metrics of its pod: which process runs, which objects it exposes, and how much. It
// decides nothing. Package gate/exposition reads the answers, and package gate compares them with the objects of the API server.
package ksm
