package main

import (
	"bytes"
	"context"
	_ "embed" // for the manifest
	"fmt"
	"net"
	"os"
	"path/filepath"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/example/ksmscale/deploy/prometheus"
	"github.com/example/ksmscale/test/installation"
)

const (
	prometheusName = "prometheus"
	prometheusPort = "9090"
	// interval is the time between two scrapes, and the timeout of a scrape. It is shorter than a user's, so that a lab shows
	// results soon. A machine of two cores stalls for longer than five seconds while pods start.
	interval = "10s"
)

// manifest has the Prometheus, with the rights of docs/prometheus.md.
//
//go:embed prometheus.yaml
var manifest string

// rules record the fake pods at each evaluation, from the moment when Prometheus has all of them.
//
//go:embed rules.yaml
var rules string

// startPrometheus runs a Prometheus with the shipped jobs and rules in a pod, and returns its address.
func (l *lab) startPrometheus(ctx context.Context) (string, error) {
	shipped, err := os.ReadFile(filepath.Join(l.root, "deploy", "prometheus", "prometheus.yaml"))
	if err != nil {
		return "", err
	}
	config, err := configuration(shipped)
	if err != nil {
		return "", err
	}
	if err := l.kubectl(ctx, manifest, "apply", "--server-side", "-f", "-"); err != nil {
		return "", err
	}
	_, err = l.client.CoreV1().ConfigMaps(prometheusName).Create(ctx, &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: prometheusName, Name: prometheusName},
		Data:       map[string]string{"prometheus.yaml": string(config), "rules.yaml": string(prometheus.Rules), "lab.yaml": rules},
	}, metav1.CreateOptions{})
	if err != nil {
		return "", fmt.Errorf("create the configuration of Prometheus: %w", err)
	}
	if err := installation.AwaitDeployment(ctx, l.client, prometheusName, prometheusName); err != nil {
		return "", err
	}
	service, err := l.client.CoreV1().Services(prometheusName).Get(ctx, prometheusName, metav1.GetOptions{})
	if err != nil {
		return "", err
	}
	return "http://" + net.JoinHostPort(service.Spec.ClusterIP, prometheusPort), nil
}

// configuration is the shipped one for a cluster without DNS, where a Service has only an address, with shorter intervals.
func configuration(shipped []byte) ([]byte, error) {
	var config struct {
		Global        map[string]any   `json:"global"`
		RuleFiles     []string         `json:"rule_files"`
		ScrapeConfigs []map[string]any `json:"scrape_configs"`
	}
	if err := yaml.UnmarshalStrict(shipped, &config); err != nil {
		return nil, fmt.Errorf("read prometheus.yaml: %w", err)
	}
	config.RuleFiles = append(config.RuleFiles, "lab.yaml")
	config.Global = map[string]any{"scrape_interval": interval, "evaluation_interval": interval}
	for _, job := range config.ScrapeConfigs {
		text, err := yaml.Marshal(job["kubernetes_sd_configs"])
		if err != nil {
			return nil, err
		}
		rules, _ := job["relabel_configs"].([]any)
		if bytes.Contains(text, []byte("role: service")) {
			job["relabel_configs"] = append(rules, map[string]any{
				"source_labels": []string{"__meta_kubernetes_service_cluster_ip", "__meta_kubernetes_service_port_number"},
				"separator":     ":", "regex": "(.+:.+)", "target_label": "__address__",
			})
		}
	}
	return yaml.Marshal(config)
}
