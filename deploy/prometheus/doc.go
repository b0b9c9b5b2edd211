// Package prometheus has the rules of the PrometheusRules that the controller creates, next to the configuration for a
// Prometheus without the Prometheus Operator.
package prometheus

import _ "embed" // for the rules

// Rules are the recording rules and alerts of KSMScale, as a file of rules of Prometheus.
//
//go:embed rules.yaml
var Rules []byte

// DeduplicatingRules make one series of the series of all replicas of a shard, where every pod is scraped.
//
//go:embed deduplicate.yaml
var DeduplicatingRules []byte

// RecommendationRules are alerts about sizes that differ from the recommended sizes.
//
//go:embed recommendations.yaml
var RecommendationRules []byte
