package server

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"
)

// ruleInterval is how often Rules are evaluated, whatever the interval of scrapes and of the rules that we ship.
const ruleInterval = 2 * time.Second

// shipped is deploy/prometheus, from the folder of any package of tests two levels below the root.
const shipped = "../../deploy/prometheus"

// ScrapeConfig is one of a configuration of Prometheus.
type ScrapeConfig = map[string]any

// Target is one as Prometheus reads it from HTTP service discovery.
type Target struct {
	Targets []string          `json:"targets"`
	Labels  map[string]string `json:"labels"`
}

// Shipped is the path of a file in deploy/prometheus.
func Shipped(t *testing.T, name string) string {
	t.Helper()
	file, err := filepath.Abs(filepath.Join(shipped, name))
	require.NoError(t, err)
	return file
}

// ScrapeConfigs are the jobs of a file in deploy/prometheus, by name.
func ScrapeConfigs(t *testing.T, file string) map[string]ScrapeConfig {
	t.Helper()
	data, err := os.ReadFile(Shipped(t, file))
	require.NoError(t, err)
	var config struct {
		ScrapeConfigs []ScrapeConfig `json:"scrape_configs"`
	}
	require.NoError(t, yaml.Unmarshal(data, &config))
	jobs := map[string]ScrapeConfig{}
	for _, job := range config.ScrapeConfigs {
		name, _ := job["job_name"].(string)
		require.NotEmpty(t, name)
		jobs[name] = job
	}
	return jobs
}

// Discovery is a kubernetes_sd_config. Debian's Prometheus is built without it, so only this type finds misspelled fields
// in the project's files.
type Discovery struct {
	Role       string
	Namespaces struct{ Names []string }
	Selectors  []struct{ Role, Label string }
}

// DiscoveryOf is the discovery of a job's targets in Kubernetes, with one selector for the objects of its role.
func DiscoveryOf(t *testing.T, job ScrapeConfig) Discovery {
	t.Helper()
	data, err := yaml.Marshal(job["kubernetes_sd_configs"])
	require.NoError(t, err)
	var discoveries []Discovery
	require.NoError(t, yaml.UnmarshalStrict(data, &discoveries))
	require.Len(t, discoveries, 1)
	require.Len(t, discoveries[0].Selectors, 1)
	require.Equal(t, discoveries[0].Role, discoveries[0].Selectors[0].Role)
	return discoveries[0]
}

// Led is a job that discovers its targets at a URL instead of Kubernetes, because Debian's Prometheus is built without
// Kubernetes.
func Led(job ScrapeConfig, url string) ScrapeConfig {
	led := maps.Clone(job)
	delete(led, "kubernetes_sd_configs")
	// It is also how long an answer may take.
	led["http_sd_configs"] = []any{map[string]any{"url": url, "refresh_interval": "2s"}}
	return led
}

// Rules record at each evaluation which pods Prometheus has, for the pods that kube_pod_info of a selector names, such as
// {namespace="shop"}. They record the number of series, and how many of them are duplicates. Later queries may show other
// values, so the rules record the values of each moment. They are evaluated every two seconds.
func Rules(selector string) map[string]any {
	info := "kube_pod_info" + selector
	return map[string]any{"groups": []any{map[string]any{"name": "test", "interval": ruleInterval.String(), "rules": []any{
		map[string]any{"record": "test:pods", "expr": fmt.Sprintf("count(%s) or vector(0)", info)},
		map[string]any{"record": "test:twice", "expr": fmt.Sprintf("(count(%s) or vector(0)) - (count(count by (uid) (%s)) or vector(0))", info, info)},
	}}}}
}

// configuration is the text of a configuration with these jobs and files of rules. Scrapes time out after an interval, or after
// the ten seconds that are Prometheus' default.
func configuration(t *testing.T, interval time.Duration, jobs []ScrapeConfig, ruleFiles []string) []byte {
	t.Helper()
	config, err := yaml.Marshal(map[string]any{
		"global":         map[string]any{"scrape_interval": interval.String(), "evaluation_interval": interval.String()},
		"rule_files":     ruleFiles,
		"scrape_configs": jobs,
	})
	require.NoError(t, err)
	return config
}
