package gate

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// memory stores the complete process of kube-state-metrics in a file that survives a restart of the gate's container. So
// such a restart does not make a loaded pod unready for long.
type memory struct {
	// file is the path of a file in a volume of the pod; empty for no file.
	file string
}

// remembered is the content of the file.
type remembered struct {
	// StartTimeSeconds and Version identify the process.
	StartTimeSeconds float64 `json:"startTimeSeconds"`
	Version          string  `json:"version"`
}

// load returns the stored process, or the empty process. It returns an error if it cannot read the file.
func (m memory) load() (process, error) {
	if m.file == "" {
		return process{}, nil
	}
	data, err := os.ReadFile(m.file)
	if errors.Is(err, fs.ErrNotExist) {
		return process{}, nil
	}
	if err != nil {
		return process{}, err
	}
	var kept remembered
	if err := json.Unmarshal(data, &kept); err != nil {
		return process{}, fmt.Errorf("%s: %w", m.file, err)
	}
	return process{started: kept.StartTimeSeconds, version: kept.Version}, nil
}

// save replaces the whole file. A container that is killed during that leaves the old file or the new one. It returns an
// error if it cannot write the file.
func (m memory) save(complete process) error {
	if m.file == "" {
		return nil
	}
	data, err := json.Marshal(remembered{StartTimeSeconds: complete.started, Version: complete.version})
	if err != nil {
		return err
	}
	temporary := filepath.Join(filepath.Dir(m.file), "."+filepath.Base(m.file))
	if err := os.WriteFile(temporary, data, 0o600); err != nil {
		return err
	}
	return os.Rename(temporary, m.file)
}
