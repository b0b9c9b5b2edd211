package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"gonum.org/v1/plot/plotter"
)

// table is a table of a page, with its header first.
type table [][]string

// tableOf returns the table below the comment with its name. See test/performance/page.go, which writes it.
func tableOf(page, name string) (table, error) {
	_, after, exists := strings.Cut(page, "<!-- measured: "+name+" -->\n\n")
	if !exists {
		return nil, fmt.Errorf("the page has no table %s", name)
	}
	var rows table
	for line := range strings.Lines(after) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "|") {
			break
		}
		cells := strings.Split(strings.Trim(line, "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		if len(rows) > 0 && len(cells) != len(rows[0]) {
			return nil, fmt.Errorf("table %s has %d columns, and a row with %d cells", name, len(rows[0]), len(cells))
		}
		rows = append(rows, cells)
	}
	if len(rows) < 4 {
		return nil, fmt.Errorf("table %s has fewer than two rows", name)
	}
	// The second line is a rule.
	return slices.Delete(rows, 1, 2), nil
}

// points are the values of a column over the values of the first column.
func (t table) points(curve curve) (plotter.XYs, error) {
	column := slices.Index(t[0], curve.column)
	if column < 0 {
		return nil, fmt.Errorf("there is no column %s", curve.column)
	}
	var points plotter.XYs
	for _, row := range t[1:] {
		x, err := number(row[0], "")
		if err != nil {
			return nil, err
		}
		y, err := number(row[column], curve.unit)
		if err != nil {
			return nil, fmt.Errorf("column %s: %w", curve.column, err)
		}
		points = append(points, plotter.XY{X: x, Y: y})
	}
	return points, nil
}

// number is the value of a cell, such as 1,000 or 0.2 s.
func number(cell, unit string) (float64, error) {
	value, hasUnit := strings.CutSuffix(strings.ReplaceAll(cell, ",", ""), unit)
	if !hasUnit {
		return 0, fmt.Errorf("%q has no unit %s", cell, unit)
	}
	return strconv.ParseFloat(strings.TrimSpace(value), 64)
}
