package server

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/prometheus/client_golang/api"
	prometheusv1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	"github.com/example/ksmscale/test/cluster"
)

// Options configure a Prometheus.
type Options struct {
	// Jobs are its scrape jobs.
	Jobs []ScrapeConfig
	// Interval is the time between two scrapes of a target, and between two evaluations of the shipped rules.
	Interval time.Duration
	// Selector is the selector of its Rules.
	Selector string
	// ShippedRules are files of rules in deploy/prometheus.
	ShippedRules []string
}

// Start starts Debian's Prometheus. It ends with the test. It may not answer yet.
func Start(t *testing.T, options Options) prometheusv1.API {
	t.Helper()
	directory := t.TempDir()
	write := func(name string, data []byte) string {
		file := filepath.Join(directory, name)
		require.NoError(t, os.WriteFile(file, data, 0o600))
		return file
	}
	rules, err := yaml.Marshal(Rules(options.Selector))
	require.NoError(t, err)
	ruleFiles := []string{write("test.yaml", rules)}
	for _, name := range options.ShippedRules {
		ruleFiles = append(ruleFiles, Shipped(t, name))
	}
	program, err := exec.LookPath("prometheus")
	require.NoError(t, err, "`make prometheus-package` installs Debian's package")
	address := FreeAddress(t)
	RunProgram(t, "Prometheus", exec.Command(program,
		"--config.file="+write("prometheus.yaml", configuration(t, options.Interval, options.Jobs, ruleFiles)),
		"--storage.tsdb.path="+filepath.Join(directory, "data"),
		"--web.listen-address="+address,
		"--log.level=warn"))
	connection, err := api.NewClient(api.Config{Address: "http://" + address})
	require.NoError(t, err)
	return prometheusv1.NewAPI(connection)
}

// RunProgram runs a program until the test has ended, and shows its output if the test failed.
func RunProgram(t *testing.T, name string, command *exec.Cmd) {
	t.Helper()
	output := filepath.Join(t.TempDir(), "log")
	process, err := cluster.StartProcess(name, output, command)
	require.NoError(t, err)
	t.Cleanup(func() {
		assert.NoError(t, process.Terminate(context.WithoutCancel(t.Context())))
		if log, err := os.ReadFile(output); t.Failed() && err == nil {
			t.Logf("%s:\n%s", name, log)
		}
	})
}

// FreeAddress is a free address. It is not reserved.
func FreeAddress(t *testing.T) string {
	t.Helper()
	port, err := cluster.FreePort(t.Context())
	require.NoError(t, err)
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
}
