// Package apiserver has the requests of the gate to the API server: which objects exist, how many, and whether it answers. It reads
// metadata only, page by page, and decides nothing. Package gate compares the result with what kube-state-metrics exposes.
package apiserver
