package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"
)

// The lab's Prometheus has all shipped jobs. Only the job for Services leads to addresses, because the lab has no DNS.
func TestConfiguration(t *testing.T) {
	shipped, err := os.ReadFile(filepath.Join("..", "..", "deploy", "prometheus", "prometheus.yaml"))
	require.NoError(t, err)
	text, err := configuration(shipped)
	require.NoError(t, err)
	type file struct {
		Global        map[string]string `json:"global"`
		RuleFiles     []string          `json:"rule_files"`
		ScrapeConfigs []map[string]any  `json:"scrape_configs"`
	}
	var before, after file
	require.NoError(t, yaml.Unmarshal(shipped, &before))
	require.NoError(t, yaml.UnmarshalStrict(text, &after))
	assert.Equal(t, interval, after.Global["scrape_interval"])
	assert.Equal(t, append(before.RuleFiles, "lab.yaml"), after.RuleFiles)
	require.Len(t, after.ScrapeConfigs, len(before.ScrapeConfigs))
	for i, job := range after.ScrapeConfigs {
		if job["job_name"] != "kube-state-metrics" {
			assert.Equal(t, before.ScrapeConfigs[i], job)
			continue
		}
		assert.Len(t, job["relabel_configs"], 3)
	}
}
