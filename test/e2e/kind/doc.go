// Package kind has the configuration of the kind cluster of `make kind-e2e`, and kind itself as a tool in a separate
// module. So KSMScale does not depend on it.
package kind
