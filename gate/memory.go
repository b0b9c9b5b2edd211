package gate

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/example/ksmscale/gate/ksm"
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
	// PeakMemoryBytes is the highest resident memory of the process.
	PeakMemoryBytes int64 `json:"peakMemoryBytes,omitempty"`
}

func remember(complete ksm.Process, peakMemory int64) remembered {
	return remembered{StartTimeSeconds: complete.Started, Version: complete.Version, PeakMemoryBytes: peakMemory}
}

func (r remembered) process() ksm.Process {
	return ksm.Process{Started: r.StartTimeSeconds, Version: r.Version}
}

// load returns the stored process, or an empty one. It returns an error if it cannot read the file.
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

// save replaces the whole file. A container that is killed during that leaves the old file or the new one. It returns an
// error if it cannot write the file.
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
