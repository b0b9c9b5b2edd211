// Package ksm has the requests of the gate to the kube-state-metrics of its pod: which process runs, and what it exposes. It
// decides nothing. Package gate/exposition reads the answers, and package gate compares them with the objects of the API server.
package ksm
