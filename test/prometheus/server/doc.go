// Package server runs a real Prometheus with what deploy/prometheus has until a test ends, and asks it, or one that is
// there already, whether it has always had each pod once.
package server
