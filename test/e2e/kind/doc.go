// Package kind has the configuration of the kind cluster that `make kind-e2e` makes, and kind itself as a tool of a
// module of its own, so that KSMScale does not depend on it.
package kind
