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

	// interval is short, so that the tests are: targets here answer at once.
	interval = 2 * time.Second
	// eventually is how long anything that must come may take, on a slow machine that does other things too.
	eventually = 5 * time.Minute
	poll       = 200 * time.Millisecond
)

// machine is that of all tests.
var machine *server.Machine

func TestMain(m *testing.M) {
	machine = server.WatchMachine(context.Background())
	os.Exit(m.Run())
}

// start starts a Prometheus that scrapes a cluster as jobs say, but for who tells of the targets and what leads to
// them, and has rules that we ship. It ends with the test.
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
