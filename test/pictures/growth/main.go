// Command growth draws how the costs in docs/performance.md grow, from the tables of that page.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/plotutil"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

const (
	docs                = "../../docs"
	svgWidth, svgHeight = 28 * vg.Centimeter, 9 * vg.Centimeter
)

// curve is a column of a table. Its unit is part of the cells.
type curve struct{ column, unit string }

// charts are what the picture shows, from left to right.
var charts = []struct {
	table, title, x, y string
	curves             []curve
}{
	{"memory", "Memory", "nodes", "MiB", []curve{{"adapter", "MiB"}, {"controller", "MiB"}, {"informer", "MiB"}}},
	{"requests of many", "CPU time of a metric request", "KSMScales", "µs", []curve{{"adapter, CPU", "µs"}, {"test adapter, CPU", "µs"}}},
	{"ksmscales", "Creation of all", "KSMScales", "s", []curve{
		{"all Ready after", "s"}, {"CPU time of the controller", "s"}, {"the same objects without KSMScale", "s"},
	}},
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "Error:", err)
		os.Exit(1)
	}
}

func run() error {
	page, err := os.ReadFile(filepath.Join(docs, "performance.md"))
	if err != nil {
		return err
	}
	canvas := vgsvg.New(svgWidth, svgHeight)
	plots := [][]*plot.Plot{make([]*plot.Plot, len(charts))}
	for i, chart := range charts {
		rows, err := tableOf(string(page), chart.table)
		if err != nil {
			return err
		}
		if plots[0][i], err = plotOf(rows, chart.title, chart.x, chart.y, chart.curves); err != nil {
			return fmt.Errorf("draw table %s: %w", chart.table, err)
		}
	}
	tiles := draw.Tiles{Rows: 1, Cols: len(charts), PadX: 8 * vg.Millimeter, PadTop: 2 * vg.Millimeter, PadBottom: 2 * vg.Millimeter, PadRight: 4 * vg.Millimeter}
	for i, canvases := range plot.Align(plots, tiles, draw.New(canvas))[0] {
		plots[0][i].Draw(canvases)
	}
	file, err := os.Create(filepath.Join(docs, "performance.svg"))
	if err != nil {
		return err
	}
	if _, err := canvas.WriteTo(file); err != nil {
		return fmt.Errorf("write the picture: %w", err)
	}
	return file.Close()
}

// plotOf draws columns of a table over its first column.
func plotOf(rows table, title, x, y string, curves []curve) (*plot.Plot, error) {
	picture := plot.New()
	picture.Title.Text, picture.X.Label.Text, picture.Y.Label.Text = title, x, y
	picture.Y.Min = 0
	picture.Legend.Top, picture.Legend.Left = true, true
	picture.Add(plotter.NewGrid())
	for i, curve := range curves {
		points, err := rows.points(curve)
		if err != nil {
			return nil, err
		}
		line, dots, err := plotter.NewLinePoints(points)
		if err != nil {
			return nil, err
		}
		line.Color, dots.Color = plotutil.Color(i), plotutil.Color(i)
		dots.Shape = draw.CircleGlyph{}
		picture.Add(line, dots)
		picture.Legend.Add(curve.column, line)
	}
	// The legend is above all curves.
	picture.Y.Max *= 1.4
	return picture, nil
}
