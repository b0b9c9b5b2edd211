package prometheus

import (
	"context"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/api"
	prometheusv1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"
)

const (
	shipped = "../../deploy/prometheus"

	// interval is that of scrapes and rules. Prometheus takes up to ten seconds to see new targets, whatever it is.
	interval = 2 * time.Second

	eventually = time.Minute
	poll       = 200 * time.Millisecond
	// stopTimeout is how long a Prometheus has to end before it is killed.
	stopTimeout = 10 * time.Second
)

// testRules record what Prometheus says at each evaluation, however it looks in retrospect.
const testRules = `
groups:
  - name: test
    rules:
      - record: test:pods
        expr: count(kube_pod_info)
      - record: test:twice
        expr: count(kube_pod_info) - count(count by (uid) (kube_pod_info))
`

// scrapeConfig is one of a configuration of Prometheus.
type scrapeConfig = map[string]any

// scrapeConfigs are those of a file that we ship, by their names.
func scrapeConfigs(t *testing.T, file string) map[string]scrapeConfig {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(shipped, file))
	require.NoError(t, err)
	var config struct {
		ScrapeConfigs []scrapeConfig `json:"scrape_configs"`
	}
	require.NoError(t, yaml.Unmarshal(data, &config))
	jobs := map[string]scrapeConfig{}
	for _, job := range config.ScrapeConfigs {
		jobs[job["job_name"].(string)] = job
	}
	return jobs
}

// server is a real Prometheus.
type server struct {
	prometheusv1.API
}

// start starts a Prometheus that scrapes a cluster as jobs say, but for who tells of the targets and what leads to
// them, and has rules that we ship. It ends with the test.
func start(t *testing.T, in *cluster, jobs map[string]scrapeConfig, rules ...string) server {
	t.Helper()
	directory := t.TempDir()
	write := func(name string, data []byte) string {
		file := filepath.Join(directory, name)
		require.NoError(t, os.WriteFile(file, data, 0o600))
		return file
	}
	ruleFiles := []string{write("test.yaml", []byte(testRules))}
	for _, name := range rules {
		file, err := filepath.Abs(filepath.Join(shipped, name))
		require.NoError(t, err)
		ruleFiles = append(ruleFiles, file)
	}
	var all []scrapeConfig
	for _, job := range jobs {
		all = append(all, in.lead(t, job))
	}
	config, err := yaml.Marshal(map[string]any{
		"global":         map[string]any{"scrape_interval": interval.String(), "evaluation_interval": interval.String()},
		"rule_files":     ruleFiles,
		"scrape_configs": all,
	})
	require.NoError(t, err)

	address := freeAddress(t)
	run(t, directory,
		"--config.file="+write("prometheus.yaml", config),
		"--storage.tsdb.path="+filepath.Join(directory, "data"),
		"--web.listen-address="+address,
		"--log.level=warn")
	client, err := api.NewClient(api.Config{Address: "http://" + address})
	require.NoError(t, err)
	is := server{prometheusv1.NewAPI(client)}
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+"/-/ready", nil)
		require.NoError(c, err)
		response, err := http.DefaultClient.Do(request)
		require.NoError(c, err)
		require.NoError(c, response.Body.Close())
		assert.Equal(c, http.StatusOK, response.StatusCode)
	}, eventually, poll, "Prometheus does not start")
	return is
}

// run runs Prometheus until the test has ended, and shows what it has said if that failed.
func run(t *testing.T, directory string, args ...string) {
	t.Helper()
	program, err := exec.LookPath("prometheus")
	require.NoError(t, err, "`make rules` installs Debian's package")
	output, err := os.Create(filepath.Join(directory, "log"))
	require.NoError(t, err)
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	command := exec.CommandContext(ctx, program, args...)
	command.Stdout, command.Stderr = output, output
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) }
	command.WaitDelay = stopTimeout
	require.NoError(t, command.Start())
	t.Cleanup(func() {
		stop()
		_ = command.Wait() // It was told to end.
		_ = output.Close()
		if said, err := os.ReadFile(output.Name()); t.Failed() && err == nil {
			t.Logf("Prometheus:\n%s", said)
		}
	})
}

// freeAddress is one that nobody listens on. Nothing reserves it.
func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	return listener.Addr().String()
}

// vector is the present value of an expression.
func (s server) vector(ctx context.Context, t require.TestingT, expression string) model.Vector {
	value, _, err := s.Query(ctx, expression, time.Time{})
	require.NoError(t, err, expression)
	vector, ok := value.(model.Vector)
	require.True(t, ok, expression)
	return vector
}

// await waits until an expression has one value, and that is the one given.
func (s server) await(t *testing.T, expression string, wanted int) {
	t.Helper()
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		vector := s.vector(t.Context(), c, expression)
		require.Len(c, vector, 1)
		assert.EqualValues(c, wanted, vector[0].Value)
	}, eventually, poll, expression)
}

// awaitNone waits until an expression has no value.
func (s server) awaitNone(t *testing.T, expression string) {
	t.Helper()
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		assert.Empty(c, s.vector(t.Context(), c, expression))
	}, eventually, poll, expression)
}

// awaitEvaluations waits until the rules have been evaluated twice more.
func (s server) awaitEvaluations(t *testing.T) {
	t.Helper()
	const count = `count_over_time(test:twice[1h])`
	before := s.vector(t.Context(), t, count)
	require.Len(t, before, 1)
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		assert.GreaterOrEqual(c, s.vector(t.Context(), c, count)[0].Value, before[0].Value+2)
	}, eventually, poll)
}

// assertConstant asserts that since a time there have always been all pods, and none of them twice: as it was
// recorded at each evaluation, and as a graph shows it now.
func (s server) assertConstant(t *testing.T, since time.Time) {
	t.Helper()
	for expression, wanted := range map[string]int{"test:pods": objects, "test:twice": 0} {
		value, _, err := s.Query(t.Context(), expression+"[1h]", time.Time{})
		require.NoError(t, err)
		matrix, ok := value.(model.Matrix)
		require.True(t, ok)
		require.Len(t, matrix, 1, expression)
		for _, sample := range matrix[0].Values {
			if sample.Timestamp.Time().After(since) {
				assert.EqualValues(t, wanted, sample.Value, "%s %s after", expression, sample.Timestamp.Time().Sub(since))
			}
		}
	}
	steps := prometheusv1.Range{Start: since, End: time.Now(), Step: 100 * time.Millisecond}
	value, _, err := s.QueryRange(t.Context(), "count(kube_pod_info)", steps)
	require.NoError(t, err)
	matrix, ok := value.(model.Matrix)
	require.True(t, ok)
	require.Len(t, matrix, 1)
	assert.Len(t, matrix[0].Values, int(steps.End.Sub(since)/steps.Step)+1, "there are moments without any pod")
	for _, sample := range matrix[0].Values {
		assert.EqualValues(t, objects, sample.Value, "in retrospect %s after", sample.Timestamp.Time().Sub(since))
	}
}
