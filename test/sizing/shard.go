package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"

	"github.com/example/ksmscale/test/cluster"
)

// resources are those that the cluster has many of.
const resources = "--resources=leases,namespaces,nodes,pods"

// shard is a kube-state-metrics with its gate.
type shard struct {
	monitor, gate       *cluster.Process
	metricsURL, gateURL string
}

func start(ctx context.Context, local *cluster.Cluster, version string, shards int) (*shard, error) {
	return startFor(ctx, local, version, shards, resources)
}

// startFor starts shard 0 of several with a flag for the exported resources.
func startFor(ctx context.Context, local *cluster.Cluster, version string, shards int, resources string) (*shard, error) {
	ports, err := cluster.FreePorts(ctx, 3)
	if err != nil {
		return nil, err
	}
	metrics, telemetry, gate := ports[0], ports[1], ports[2]
	url := func(port int, path string) string { return fmt.Sprintf("http://127.0.0.1:%d/%s", port, path) }
	both := []string{"--kubeconfig=" + local.Kubeconfig(), resources, "--shard=0", fmt.Sprintf("--total-shards=%d", shards)}
	running := &shard{metricsURL: url(metrics, "metrics"), gateURL: url(gate, "readyz")}
	running.monitor, err = launch(local, "kube-state-metrics-"+version, append([]string{
		"--host=127.0.0.1", fmt.Sprintf("--port=%d", metrics),
		"--telemetry-host=127.0.0.1", fmt.Sprintf("--telemetry-port=%d", telemetry),
	}, both...))
	if err != nil {
		return nil, err
	}
	running.gate, err = launch(local, "gate", append([]string{
		fmt.Sprintf("--bind-address=127.0.0.1:%d", gate),
		"--metrics-url=" + running.metricsURL, "--telemetry-url=" + url(telemetry, "metrics"),
	}, both...))
	if err != nil {
		running.monitor.Kill()
		return nil, err
	}
	return running, nil
}

func launch(local *cluster.Cluster, name string, args []string) (*cluster.Process, error) {
	path, err := binary(name)
	if err != nil {
		return nil, err
	}
	return cluster.StartProcess(name, filepath.Join(local.Logs(), name+".log"), exec.Command(path, args...))
}

// check returns how one of both has ended, if it has.
func (s *shard) check() error {
	for _, process := range []*cluster.Process{s.monitor, s.gate} {
		if !process.Running() {
			return errors.Join(errors.New("a process has ended"), process.Err())
		}
	}
	return nil
}

func (s *shard) stop() {
	s.gate.Kill()
	s.monitor.Kill()
}

// scrape returns how many series a target exposes, and in how many bytes.
func scrape(ctx context.Context, url string) (series, size int, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, 0, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, 0, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return 0, 0, fmt.Errorf("scrape: %s", response.Status)
	}
	lines := bufio.NewScanner(response.Body)
	for lines.Scan() {
		size += len(lines.Bytes()) + 1
		if line := lines.Bytes(); len(line) > 0 && !bytes.HasPrefix(line, []byte("#")) {
			series++
		}
	}
	return series, size, lines.Err()
}
