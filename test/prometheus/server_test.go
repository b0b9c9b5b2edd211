package prometheus

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/example/ksmscale/test/prometheus/server"
)

const (
	shipped = "../../deploy/prometheus"

	// interval is short, which keeps the tests short. Targets here answer immediately.
	interval = 2 * time.Second
	// eventually is how long anything that must come may take, on a slow machine that does other things too.
	eventually = 5 * time.Minute
	poll       = 200 * time.Millisecond
)

// machine is the machine of all tests.
var machine *server.Machine

func TestMain(m *testing.M) {
	machine = server.WatchMachine(context.Background())
	os.Exit(m.Run())
}

// start starts a Prometheus that scrapes a cluster with the given jobs and the shipped rules. It discovers the targets
// from the cluster, and reaches them through it. It ends with the test.
func start(t *testing.T, in *cluster, jobs map[string]server.ScrapeConfig, rules ...string) server.Server {
	t.Helper()
	options := server.Options{Interval: interval, ShippedRules: rules}
	for _, job := range jobs {
		options.Jobs = append(options.Jobs, in.lead(t, job))
	}
	prometheus := server.Server{
		API: server.Start(t, options), Name: "Prometheus", Interval: interval, Machine: machine, Timeout: eventually,
	}
	prometheus.Await(t, "vector(1)", 1)
	return prometheus
}
