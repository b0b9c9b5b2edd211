// Package printer writes results for people: tables, trees, and colors that only repeat what the words say.
package printer

import (
	"fmt"
	"io"
	"strings"

	"github.com/liggitt/tabwriter"
	"k8s.io/cli-runtime/pkg/printers"
)

// Painter writes text. Colors only repeat what the words say.
type Painter struct {
	io.Writer
	Colored bool
}

const (
	green = "\x1b[32m"
	red   = "\x1b[31m"
	reset = "\x1b[0m"
)

// Verdict colors a text by whether it is good news.
func (p *Painter) Verdict(good bool, text string) string {
	switch {
	case !p.Colored:
		return text
	case good:
		return green + text + reset
	default:
		return red + text + reset
	}
}

// Printf writes a formatted text.
func (p *Painter) Printf(format string, args ...any) { fmt.Fprintf(p, format, args...) }

// Columns aligns columns that tabs separate. Flush it.
func (p *Painter) Columns() *tabwriter.Writer { return printers.GetNewTabWriter(p) }

// Table writes rows below a header, in aligned columns.
func (p *Painter) Table(header []string, rows [][]string) {
	writer := p.Columns()
	fmt.Fprintln(writer, strings.Join(header, "\t"))
	for _, row := range rows {
		fmt.Fprintln(writer, strings.Join(row, "\t"))
	}
	_ = writer.Flush() // The page is in memory.
}

// Branch is a line of a tree with the lines below it.
type Branch struct {
	Text     string
	Branches []Branch
}

// Tree writes a line and the lines below it, with lines that join them.
func (p *Painter) Tree(root Branch) {
	p.Printf("%s\n", root.Text)
	p.below(root, "")
}

func (p *Painter) below(parent Branch, indent string) {
	for i, child := range parent.Branches {
		joint, further := "├─ ", "│  "
		if i == len(parent.Branches)-1 {
			joint, further = "└─ ", "   "
		}
		p.Printf("%s%s%s\n", indent, joint, child.Text)
		p.below(child, indent+further)
	}
}

// Plural is a count with its noun.
func Plural[N int | int32 | int64](count N, noun string) string {
	if count == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", count, noun)
}

// FirstLine is a text up to its first line break.
func FirstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}
