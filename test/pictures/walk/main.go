// Command walk draws the walk that `make demo` has recorded: as text, and as an SVG file next to the recording.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"

	"github.com/guptarohit/asciigraph"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/plotutil"
	"gonum.org/v1/plot/vg"
)

const (
	// textWidth and textHeight are the size of a plot in characters.
	textWidth, textHeight = 100, 8

	svgWidth, svgHeight = 24 * vg.Centimeter, 8 * vg.Centimeter
)

// recording is a recording of package walk.
type recording struct {
	Moments []struct{ Seconds, Nodes, Desired, Ready float64 }
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: walk RECORDING.json")
		os.Exit(2)
	}
	if err := draw(os.Stdout, os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "Error:", err)
		os.Exit(1)
	}
}

func draw(out io.Writer, file string) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var walked recording
	if err := json.Unmarshal(data, &walked); err != nil {
		return fmt.Errorf("read %s: %w", file, err)
	}
	if len(walked.Moments) < 2 {
		return errors.New("a walk has at least two moments: " + file)
	}
	fmt.Fprintln(out, walked.text())
	picture, err := walked.plot()
	if err != nil {
		return err
	}
	svg, err := filepath.Abs(strings.TrimSuffix(file, filepath.Ext(file)) + ".svg")
	if err != nil {
		return err
	}
	if err := picture.Save(svgWidth, svgHeight, svg); err != nil {
		return fmt.Errorf("draw %s: %w", svg, err)
	}
	recorded, err := filepath.Abs(file)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "\nThe same as a picture: %s\nThe data: %s\n", svg, recorded)
	return nil
}

// text draws nodes, and below them desired and ready pods, over the same time.
func (r recording) text() string {
	nodes, desired, ready := make([]float64, textWidth), make([]float64, textWidth), make([]float64, textWidth)
	next, end := 0, r.end()
	for column := range textWidth {
		for next+1 < len(r.Moments) && r.Moments[next+1].Seconds <= end*float64(column)/(textWidth-1) {
			next++
		}
		moment := r.Moments[next]
		nodes[column], desired[column], ready[column] = moment.Nodes, moment.Desired, moment.Ready
	}
	options := func(caption string) []asciigraph.Option {
		return []asciigraph.Option{
			asciigraph.Height(textHeight), asciigraph.Caption(caption), asciigraph.LowerBound(0), asciigraph.Precision(0),
			asciigraph.YAxisValueFormatter(func(value float64) string { return fmt.Sprintf("%4.0f", math.Round(value)) }),
			asciigraph.XAxisRange(0, end), asciigraph.XAxisTickCount(6),
			asciigraph.XAxisValueFormatter(func(seconds float64) string { return fmt.Sprintf("%.0fs", seconds) }),
		}
	}
	return asciigraph.Plot(nodes, options("nodes")...) + "\n\n" +
		asciigraph.PlotMany([][]float64{desired, ready}, append(options("pods of all shards: ··· desired, ─── ready"),
			asciigraph.SeriesChars(asciigraph.CreateCharSet("·"), asciigraph.DefaultCharSet))...)
}

func (r recording) end() float64 { return r.Moments[len(r.Moments)-1].Seconds }

// plot draws pods over time. The scale of the nodes, which are many more, is 15 nodes for each pod.
func (r recording) plot() (*plot.Plot, error) {
	picture := plot.New()
	picture.Title.Text = "A KSMScale follows the nodes"
	picture.X.Label.Text = "seconds"
	picture.Y.Label.Text = "pods"
	picture.Y.Min = 0
	picture.Legend.Top = true
	picture.Legend.Left = true
	picture.Add(plotter.NewGrid())
	for i, line := range []struct {
		name  string
		value func(int) float64
	}{
		{fmt.Sprintf("nodes / %d", nodesPerMonitor), func(i int) float64 { return r.Moments[i].Nodes / nodesPerMonitor }},
		{"desired pods", func(i int) float64 { return r.Moments[i].Desired }},
		{"ready pods", func(i int) float64 { return r.Moments[i].Ready }},
	} {
		points := make(plotter.XYs, len(r.Moments))
		for moment := range r.Moments {
			points[moment] = plotter.XY{X: r.Moments[moment].Seconds, Y: line.value(moment)}
		}
		drawn, err := plotter.NewLine(points)
		if err != nil {
			return nil, fmt.Errorf("draw %s: %w", line.name, err)
		}
		drawn.StepStyle = plotter.PostStep
		drawn.Color = plotutil.Color(i)
		drawn.Width = vg.Points(1.5)
		picture.Add(drawn)
		picture.Legend.Add(line.name, drawn)
	}
	return picture, nil
}

// nodesPerMonitor are the nodes for each pod in the sample that the demo applies.
const nodesPerMonitor = 15
