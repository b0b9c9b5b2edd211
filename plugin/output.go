package plugin

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"

	"golang.org/x/term"
	"sigs.k8s.io/yaml"

	"github.com/example/ksmscale/plugin/printer"
)

// Formats of --output.
const (
	formatJSON = "json"
	formatYAML = "yaml"
)

func (o *options) validateOutput() error {
	switch o.output {
	case "", formatJSON, formatYAML:
		return nil
	default:
		return fmt.Errorf("--output is %q, and must be %s or %s", o.output, formatJSON, formatYAML)
	}
}

// print writes a result in the format of --output, or as text by a function.
func (o *options) print(result any, text func(*printer.Painter)) error {
	encoded, err := json.MarshalIndent(result, "", "    ")
	if err != nil {
		return fmt.Errorf("encode the result: %w", err)
	}
	switch o.output {
	case formatJSON:
		encoded = append(encoded, '\n')
	case formatYAML:
		if encoded, err = yaml.JSONToYAML(encoded); err != nil {
			return fmt.Errorf("encode the result: %w", err)
		}
	default:
		var page bytes.Buffer
		text(&printer.Painter{Writer: &page, Colored: o.colored()})
		encoded = page.Bytes()
	}
	_, err = o.Out.Write(encoded)
	return err
}

// colored reports whether text has colors: only on a terminal, and not if the user declines them.
func (o *options) colored() bool {
	file, isFile := o.Out.(*os.File)
	return isFile && !o.noColor && os.Getenv("NO_COLOR") == "" && term.IsTerminal(int(file.Fd()))
}
