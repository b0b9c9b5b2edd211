// Command dashboard writes the Grafana dashboard to deploy/grafana, and to the chart. Package panels reads it. It is run in the
// folder of its module.
package main

import (
	"fmt"
	"os"
	"path/filepath"
)

// files are where the dashboard goes: Helm reads files of the chart only.
var files = []string{
	filepath.Join("..", "..", "deploy", "grafana", "ksmscale.json"),
	filepath.Join("..", "..", "deploy", "chart", "files", "dashboard.json"),
}

func main() {
	if err := write(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func write() error {
	text, err := render()
	if err != nil {
		return err
	}
	for _, file := range files {
		if err := os.WriteFile(file, text, 0o600); err != nil {
			return err
		}
	}
	return nil
}
