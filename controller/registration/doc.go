// Package registration registers the adapter with the API server. Its Reconciler keeps the APIService of external metrics, which it never
// takes over from another adapter. The package also creates and renews the certificate that the adapter serves. A new CA is
// trusted before any adapter serves a certificate of it. State reports the error of the registration, for package status.
package registration
