package main

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/text/language"
	"golang.org/x/text/message"
)

// page is a page of the documentation with tables that this program writes. The line above the rows of a table is a comment
// with its name.
type page struct{ file string }

func begin(table string) string { return "<!-- measured: " + table + " -->" }

// add writes a row into a table, in the order of the size in its first cell. It replaces the row of the same size. Rows of
// other sizes stay, so a measurement of hours can have several parts.
func (p *page) add(table string, size int, cells string) error {
	content, err := os.ReadFile(p.file)
	if err != nil {
		return fmt.Errorf("read the page: %w", err)
	}
	written, err := withRow(string(content), table, size, cells)
	if err != nil {
		return fmt.Errorf("%s: %w", p.file, err)
	}
	progress("%s, %d: %s", table, size, cells)
	return os.WriteFile(p.file, []byte(written), 0o644) //nolint:gosec // The page is public.
}

// withRow is a page with a row in a table, which begins below its comment with a header and a rule.
func withRow(content, table string, size int, cells string) (string, error) {
	before, after, found := strings.Cut(content, begin(table)+"\n")
	if !found {
		return "", fmt.Errorf("the comment %s is missing", begin(table))
	}
	lines := strings.Split(strings.TrimLeft(after, "\n"), "\n")
	end := slices.IndexFunc(lines, func(line string) bool { return !strings.HasPrefix(line, "|") })
	if end < 2 {
		return "", fmt.Errorf("no table is below %s", begin(table))
	}
	rows := slices.DeleteFunc(slices.Clone(lines[2:end]), func(row string) bool { return sizeOf(row) == size })
	rows = append(rows, fmt.Sprintf("| %s | %s |", message.NewPrinter(language.English).Sprint(size), cells))
	slices.SortFunc(rows, func(a, b string) int { return sizeOf(a) - sizeOf(b) })
	all := slices.Concat(lines[:2], rows, lines[end:])
	return before + begin(table) + "\n\n" + strings.Join(all, "\n"), nil
}

// sizeOf is the number in the first cell of a row, or -1.
func sizeOf(row string) int {
	cell, _, _ := strings.Cut(strings.TrimPrefix(row, "| "), " |")
	size, err := strconv.Atoi(strings.ReplaceAll(cell, ",", ""))
	if err != nil {
		return -1
	}
	return size
}
