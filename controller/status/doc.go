// Package status computes the status of a KSMScale. Its input is the plan, the Snapshot after a reconcile, the Decision and the errors
// of the reconcile. Compute returns the whole status. Each condition has a file of its own, and ready.go folds them to Ready. All
// wording that users read in conditions is here. All functions are pure.
//
// Package controller writes the status; its reconciler.go is where all packages meet.
package status
