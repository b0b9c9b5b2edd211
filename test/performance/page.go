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

// replace writes all rows of a table, each without its first and last bar.
func (p *page) replace(table string, rows []string) error {
	return p.edit(table, func([]string) []string {
		var written []string
		for _, row := range rows {
			progress("%s: %s", table, row)
			written = append(written, fmt.Sprintf("| %s |", row))
		}
		return written
	})
}

// add writes a row into a table, in the order of the size in its first cell. It replaces the row of the same size. Rows of
// other sizes stay, so a measurement of hours can have several parts.
func (p *page) add(table string, size int, cells string) error {
	progress("%s, %d: %s", table, size, cells)
	return p.edit(table, withRow(size, cells))
}

// edit replaces the rows of a table.
func (p *page) edit(table string, edit func(rows []string) []string) error {
	content, err := os.ReadFile(p.file)
	if err != nil {
		return fmt.Errorf("read the page: %w", err)
	}
	written, err := edited(string(content), table, edit)
	if err != nil {
		return fmt.Errorf("%s: %w", p.file, err)
	}
	return os.WriteFile(p.file, []byte(written), 0o644) //nolint:gosec // The page is public.
}

// edited is a page with other rows in a table, which begins below its comment with a header and a rule.
func edited(content, table string, edit func(rows []string) []string) (string, error) {
	before, after, found := strings.Cut(content, begin(table)+"\n")
	if !found {
		return "", fmt.Errorf("the comment %s is missing", begin(table))
	}
	lines := strings.Split(strings.TrimLeft(after, "\n"), "\n")
	end := slices.IndexFunc(lines, func(line string) bool { return !strings.HasPrefix(line, "|") })
	if end < 2 {
		return "", fmt.Errorf("no table is below %s", begin(table))
	}
	all := slices.Concat(lines[:2], edit(slices.Clone(lines[2:end])), lines[end:])
	return before + begin(table) + "\n\n" + strings.Join(all, "\n"), nil
}

// withRow is an edit that adds a row, or replaces the row of the same size.
func withRow(size int, cells string) func(rows []string) []string {
	return func(rows []string) []string {
		rows = slices.DeleteFunc(rows, func(row string) bool { return sizeOf(row) == size })
		rows = append(rows, fmt.Sprintf("| %s | %s |", message.NewPrinter(language.English).Sprint(size), cells))
		slices.SortFunc(rows, func(a, b string) int { return sizeOf(a) - sizeOf(b) })
		return rows
	}
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
