// Command run draws docs/dashboard.svg: the Grafana dashboard, with what its queries returned in an end-to-end test, which is
// in run.json. `make dashboard-run` saves that. The command is run in the folder of its module.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"

	"github.com/example/ksmscale/test/panels"
)

var (
	saved     = filepath.Join("run", "run.json")
	dashboard = filepath.Join("..", "..", "deploy", "grafana", "ksmscale.json")
	picture   = filepath.Join("..", "..", "docs", "dashboard.svg")
)

// The size of one unit of Grafana's grid. A dashboard is 24 units wide.
const (
	unitWidth, unitHeight = 1.2 * vg.Centimeter, 0.7 * vg.Centimeter
	gridWidth             = 24
	// space is left between panels.
	space = 0.15 * vg.Centimeter
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "Error:", err)
		os.Exit(1)
	}
}

func run() error {
	text, err := os.ReadFile(dashboard)
	if err != nil {
		return err
	}
	rows, err := panels.Read(text)
	if err != nil {
		return err
	}
	data, err := os.ReadFile(saved)
	if err != nil {
		return err
	}
	var was panels.Run
	if err := json.Unmarshal(data, &was); err != nil {
		return fmt.Errorf("read %s: %w", saved, err)
	}
	return drawAll(rows, was)
}

// drawAll draws all panels at their places.
func drawAll(rows []panels.Row, was panels.Run) error {
	bottom := 0
	for _, row := range rows {
		for _, panel := range row.Panels {
			bottom = max(bottom, panel.Grid.Y+panel.Grid.H)
		}
	}
	height := vg.Length(bottom) * unitHeight
	canvas := vgsvg.New(gridWidth*unitWidth, height)
	all := draw.New(canvas)
	fill(all, background)
	// place is a part of the picture. Grafana counts from the top, and plots from the bottom.
	place := func(grid panels.Grid) draw.Canvas {
		top := height - vg.Length(grid.Y)*unitHeight
		return draw.Canvas{Canvas: canvas, Rectangle: vg.Rectangle{
			Min: vg.Point{X: vg.Length(grid.X)*unitWidth + space, Y: top - vg.Length(grid.H)*unitHeight + space},
			Max: vg.Point{X: vg.Length(grid.X+grid.W)*unitWidth - space, Y: top - space},
		}}
	}
	for _, row := range rows {
		drawTitle(place(panels.Grid{Y: row.Y, W: gridWidth, H: 1}), row.Title)
		for _, panel := range row.Panels {
			if err := drawPanel(place(panel.Grid), panel, was.Panels[panel.Title], was.Seconds); err != nil {
				return fmt.Errorf("draw panel %s: %w", panel.Title, err)
			}
		}
	}
	file, err := os.OpenFile(picture, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = canvas.WriteTo(file)
	return errors.Join(err, file.Close())
}
