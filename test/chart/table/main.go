// Command table writes the table of values into the chart's README, from the comments of its values.yaml. It is run in
// the folder of its module.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v3"
)

const (
	values = "values.yaml"
	readme = "README.md"

	begin = "<!-- values -->\n"
	end   = "<!-- end of values -->\n"
	// described is what a comment begins with that is for the table.
	described = "# -- "
)

func main() {
	if err := write(filepath.Join("..", "..", "deploy", "chart")); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func write(chart string) error {
	files, err := os.OpenRoot(chart)
	if err != nil {
		return err
	}
	defer files.Close()
	source, err := files.ReadFile(values)
	if err != nil {
		return err
	}
	page, err := files.ReadFile(readme)
	if err != nil {
		return err
	}
	markdown, err := table(source)
	if err != nil {
		return fmt.Errorf("%s: %w", values, err)
	}
	before, rest, foundBegin := strings.Cut(string(page), begin)
	_, after, foundEnd := strings.Cut(rest, end)
	if !foundBegin || !foundEnd {
		return fmt.Errorf("%s has no place for the table: %q and %q", readme, begin, end)
	}
	return files.WriteFile(readme, []byte(before+begin+markdown+end+after), 0o600)
}

// table has a row for each value that is described. Every other is an object whose values have rows.
func table(source []byte) (string, error) {
	var document yaml.Node
	if err := yaml.Unmarshal(source, &document); err != nil {
		return "", err
	}
	var markdown bytes.Buffer
	markdown.WriteString("\n| value | default | |\n| --- | --- | --- |\n")
	if err := rows(&markdown, document.Content[0], ""); err != nil {
		return "", err
	}
	markdown.WriteString("\n")
	return markdown.String(), nil
}

func rows(markdown *bytes.Buffer, object *yaml.Node, prefix string) error {
	for i := 0; i < len(object.Content); i += 2 {
		key, value := object.Content[i], object.Content[i+1]
		name := prefix + key.Value
		text, isDescribed := description(key.HeadComment)
		switch {
		case !isDescribed && value.Kind == yaml.MappingNode:
			if err := rows(markdown, value, name+"."); err != nil {
				return err
			}
		case !isDescribed:
			return fmt.Errorf("%s has no description: write %q above it", name, described)
		default:
			var parsed any
			if err := value.Decode(&parsed); err != nil {
				return err
			}
			literal, err := json.Marshal(parsed)
			if err != nil {
				return err
			}
			fmt.Fprintf(markdown, "| `%s` | `%s` | %s |\n", name, literal, strings.ReplaceAll(text, "|", `\|`))
		}
	}
	return nil
}

// description is the line of a comment that is for the table.
func description(comment string) (string, bool) {
	for line := range strings.Lines(comment) {
		if text, isDescribed := strings.CutPrefix(strings.TrimSpace(line), described); isDescribed {
			return text, true
		}
	}
	return "", false
}
