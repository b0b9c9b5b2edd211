package cluster

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// record is what another program needs to find a process of a cluster.
type record struct {
	Name    string
	PID     int
	Started string // see startTime
	Log     string
}

// Open returns the cluster of another program in dir, whether it still runs or not. Check reports that, and Stop removes it. Without
// a cluster, the error is fs.ErrNotExist.
func Open(dir string) (*Cluster, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("find folder of cluster: %w", err)
	}
	c := &Cluster{dir: dir}
	text, err := os.ReadFile(c.recordFile())
	if err != nil {
		return nil, fmt.Errorf("open cluster: %w", err)
	}
	var records []record
	if err := json.Unmarshal(text, &records); err != nil {
		return nil, fmt.Errorf("read %s: %w", c.recordFile(), err)
	}
	for _, r := range records {
		c.processes = append(c.processes, findProcess(r.Name, r.Log, r.PID, r.Started))
		if strings.HasPrefix(r.Name, kubeletName) {
			c.options.RealNodes++ // SetNodes taints fake nodes only next to real ones.
		}
	}
	if _, err := os.Stat(c.Kubeconfig()); err == nil {
		if c.config, err = loadConfig(c.Kubeconfig()); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func (c *Cluster) recordFile() string { return c.path("processes.json") }

// writeRecord is called after every start, so Stop also finds the processes of an interrupted start.
func (c *Cluster) writeRecord() error {
	var records []record
	for _, p := range c.started() {
		records = append(records, record{Name: p.name, PID: p.pid, Started: p.started, Log: p.logFile})
	}
	text, err := json.MarshalIndent(records, "", "  ")
	if err != nil {
		return fmt.Errorf("encode processes: %w", err)
	}
	if err := os.WriteFile(c.recordFile(), text, 0o600); err != nil {
		return fmt.Errorf("record processes: %w", err)
	}
	return nil
}
