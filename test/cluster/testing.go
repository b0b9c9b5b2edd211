package cluster

import (
	"testing"
)

// StartT starts a cluster for one test and stops it at the test's end. If the test fails, the logs are kept
// in a temporary folder, whose path it logs.
func StartT(t testing.TB, options Options) *Cluster {
	t.Helper()
	c, err := Start(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			keepLogs(t, c)
		}
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func keepLogs(t testing.TB, c *Cluster) {
	t.Helper()
	dir, err := c.KeepLogs()
	if err != nil {
		t.Error(err)
		return
	}
	t.Logf("logs of the cluster are in %s", dir)
}
