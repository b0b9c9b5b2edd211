package plugin

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/liggitt/tabwriter"
	"golang.org/x/term"
	"k8s.io/cli-runtime/pkg/printers"
	"sigs.k8s.io/yaml"
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
func (o *options) print(result any, text func(*painter)) error {
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
		text(&painter{Writer: &page, colored: o.colored()})
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

// painter writes text. Colors only repeat what the words say.
type painter struct {
	io.Writer
	colored bool
}

const (
	green = "\x1b[32m"
	red   = "\x1b[31m"
	reset = "\x1b[0m"
)

// verdict colors a text by whether it is good news.
func (p *painter) verdict(good bool, text string) string {
	switch {
	case !p.colored:
		return text
	case good:
		return green + text + reset
	default:
		return red + text + reset
	}
}

func (p *painter) printf(format string, args ...any) { fmt.Fprintf(p, format, args...) }

// columns aligns columns that tabs separate. Flush it.
func (p *painter) columns() *tabwriter.Writer { return printers.GetNewTabWriter(p) }

// table writes rows below a header, in aligned columns.
func (p *painter) table(header []string, rows [][]string) {
	writer := p.columns()
	fmt.Fprintln(writer, strings.Join(header, "\t"))
	for _, row := range rows {
		fmt.Fprintln(writer, strings.Join(row, "\t"))
	}
	_ = writer.Flush() // The page is in memory.
}

// branch is a line of a tree with the lines below it.
type branch struct {
	text     string
	branches []branch
}

// tree writes a line and the lines below it, with lines that join them.
func (p *painter) tree(root branch) {
	p.printf("%s\n", root.text)
	p.below(root, "")
}

func (p *painter) below(parent branch, indent string) {
	for i, child := range parent.branches {
		joint, further := "├─ ", "│  "
		if i == len(parent.branches)-1 {
			joint, further = "└─ ", "   "
		}
		p.printf("%s%s%s\n", indent, joint, child.text)
		p.below(child, indent+further)
	}
}

// plural is a count with its noun.
func plural[N int | int32 | int64](count N, noun string) string {
	if count == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", count, noun)
}
