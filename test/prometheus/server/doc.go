// Package server runs a real Prometheus with the configuration of deploy/prometheus until a test ends. It checks whether
// this Prometheus, or an existing one, has always had each pod exactly once.
package server
