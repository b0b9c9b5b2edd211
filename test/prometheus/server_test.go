package prometheus

import (
	"testing"
	"time"

	"github.com/example/ksmscale/test/prometheus/server"
)

const (
	shipped = "../../deploy/prometheus"

	eventually = time.Minute
	poll       = 200 * time.Millisecond
)

// start starts a Prometheus that scrapes a cluster as jobs say, but for who tells of the targets and what leads to
// them, and has rules that we ship. It ends with the test.
func start(t *testing.T, in *cluster, jobs map[string]server.ScrapeConfig, rules ...string) server.Server {
	t.Helper()
	var all []server.ScrapeConfig
	for _, job := range jobs {
		all = append(all, in.lead(t, job))
	}
	is := server.Server{API: server.Start(t, all, "", rules...), Name: "Prometheus", Timeout: eventually}
	is.Await(t, "vector(1)", 1)
	return is
}
