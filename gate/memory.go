package gate

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// memory keeps which process of kube-state-metrics was complete where a restart of the gate's container does not lose it, so
// that such a restart takes no loaded pod away.
type memory struct {
	// file is the path of a file in a volume of the pod; empty to keep nothing.
	file string
}

// remembered is what the file has.
type remembered struct {
	// StartTimeSeconds and Version are those of the process.
	StartTimeSeconds float64 `json:"startTimeSeconds"`
	Version          string  `json:"version"`
	// PeakMemoryBytes is the highest resident memory of the process.
	PeakMemoryBytes int64 `json:"peakMemoryBytes,omitempty"`
}

func remember(complete process, peakMemory int64) remembered {
	return remembered{StartTimeSeconds: complete.started, Version: complete.version, PeakMemoryBytes: peakMemory}
}

func (r remembered) process() process {
	return process{started: r.StartTimeSeconds, version: r.Version}
}

// load returns the process that was complete, or none. It returns an error if the file cannot be read.
func (m memory) load() (remembered, error) {
	if m.file == "" {
		return remembered{}, nil
	}
	data, err := os.ReadFile(m.file)
	if errors.Is(err, fs.ErrNotExist) {
		return remembered{}, nil
	}
	if err != nil {
		return remembered{}, err
	}
	var kept remembered
	if err := json.Unmarshal(data, &kept); err != nil {
		return remembered{}, fmt.Errorf("%s: %w", m.file, err)
	}
	return kept, nil
}

// save replaces the file as a whole, so that a container that is killed meanwhile leaves the old one or the new one. It returns
// an error if the file cannot be written.
func (m memory) save(kept remembered) error {
	if m.file == "" {
		return nil
	}
	data, err := json.Marshal(kept)
	if err != nil {
		return err
	}
	temporary := filepath.Join(filepath.Dir(m.file), "."+filepath.Base(m.file))
	if err := os.WriteFile(temporary, data, 0o600); err != nil {
		return err
	}
	return os.Rename(temporary, m.file)
}
