package replica

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/example/ksmscale/test/cluster"
)

const (
	// openTimeout only bounds a run that fails.
	openTimeout  = 10 * time.Minute
	pollInterval = 200 * time.Millisecond
)

// Options of a replica.
type Options struct {
	// Version is the version of kube-state-metrics, such as v2.20.0, whose binary is in bin.
	Version string
	// Kubeconfig is the path of the kubeconfig of both programs; empty for the kubeconfig of the administrator.
	Kubeconfig string
	// Monitor and Gate are the arguments of both programs. Ports, URLs and the kubeconfig are added, and override these.
	Monitor, Gate []string
	// Ungated leaves out the gate.
	Ungated bool
}

// Replica is a running kube-state-metrics with its gate.
type Replica struct {
	// Monitor is the process of kube-state-metrics. Gate is nil without a gate.
	Monitor, Gate *cluster.Process
	// MetricsURL is where the metrics of objects are.
	MetricsURL string
	// readyURL is where the gate answers the readiness probe.
	readyURL string
}

// Start starts both programs, and returns before they are ready. The caller calls Stop.
func Start(ctx context.Context, local *cluster.Cluster, options Options) (*Replica, error) {
	ports, err := cluster.FreePorts(ctx, 3)
	if err != nil {
		return nil, err
	}
	metrics, telemetry, gate := ports[0], ports[1], ports[2]
	url := func(port int, path string) string { return fmt.Sprintf("http://127.0.0.1:%d/%s", port, path) }
	kubeconfig := options.Kubeconfig
	if kubeconfig == "" {
		kubeconfig = local.Kubeconfig()
	}
	running := &Replica{MetricsURL: url(metrics, "metrics"), readyURL: url(gate, "readyz")}
	running.Monitor, err = launch(local, "kube-state-metrics-"+options.Version, options.Monitor,
		"--kubeconfig="+kubeconfig, "--host=127.0.0.1", fmt.Sprintf("--port=%d", metrics),
		"--telemetry-host=127.0.0.1", fmt.Sprintf("--telemetry-port=%d", telemetry))
	if err != nil {
		return nil, err
	}
	if options.Ungated {
		return running, nil
	}
	running.Gate, err = launch(local, "gate", options.Gate,
		"--kubeconfig="+kubeconfig, fmt.Sprintf("--bind-address=127.0.0.1:%d", gate), "--state-file=",
		"--metrics-url="+running.MetricsURL, "--telemetry-url="+url(telemetry, "metrics"))
	if err != nil {
		running.Monitor.Kill()
		return nil, err
	}
	return running, nil
}

func launch(local *cluster.Cluster, name string, args []string, last ...string) (*cluster.Process, error) {
	kube, err := cluster.FindBinary()
	if err != nil {
		return nil, err
	}
	command := exec.Command(filepath.Join(filepath.Dir(kube), name), slices.Concat(args, last)...)
	return cluster.StartProcess(name, filepath.Join(local.Logs(), name+".log"), command)
}

// AwaitOpen waits until the gate is open: kube-state-metrics exposes all objects of the shard.
func (r *Replica) AwaitOpen(ctx context.Context) error {
	err := wait.PollUntilContextTimeout(ctx, pollInterval, openTimeout, true, func(ctx context.Context) (bool, error) {
		return isOpen(ctx, r.readyURL), r.Check()
	})
	if err != nil {
		return fmt.Errorf("wait for all objects of the shard: %w", err)
	}
	return nil
}

// isOpen is also false before the gate answers.
func isOpen(ctx context.Context, url string) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return false
	}
	defer response.Body.Close()
	return response.StatusCode == http.StatusOK
}

// Check returns an error if a process has ended.
func (r *Replica) Check() error {
	for _, process := range []*cluster.Process{r.Monitor, r.Gate} {
		if process != nil && !process.Running() {
			return errors.Join(errors.New("a process has ended"), process.Err())
		}
	}
	return nil
}

// StopGate ends the gate alone.
func (r *Replica) StopGate() {
	if r.Gate != nil {
		r.Gate.Kill()
		r.Gate = nil
	}
}

// Stop ends both processes.
func (r *Replica) Stop() {
	r.StopGate()
	r.Monitor.Kill()
}

// Scrape returns how many series a target exposes, and in how many bytes.
func Scrape(ctx context.Context, url string) (series, size int, err error) {
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
