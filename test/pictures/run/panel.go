package main

import (
	"cmp"
	"fmt"
	"image/color"
	"math"
	"slices"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/plotutil"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/example/ksmscale/test/panels"
)

const (
	small, large = 8, 20 // points of text
	// named is how many series have their names in a picture; a screen has room for all.
	named = 6
	// room is a factor of the highest value, and leaves room for the names.
	room = 1.5
)

var (
	background = color.Gray{Y: 0xf4}
	white      = color.Gray{Y: 0xff}
	black      = color.Gray{Y: 0x20}
	// colours are the colours of steps.
	colours = map[string]color.Color{
		"green": color.RGBA{R: 0x37, G: 0x87, B: 0x2d, A: 0xff}, "red": color.RGBA{R: 0xc4, G: 0x16, B: 0x2a, A: 0xff}, "text": black,
	}
)

func fill(on draw.Canvas, with color.Color) {
	on.FillPolygon(with, []vg.Point{
		on.Min, {X: on.Max.X, Y: on.Min.Y}, on.Max, {X: on.Min.X, Y: on.Max.Y},
	})
}

// style is of text of a size.
func style(size font.Length, ink color.Color, across text.XAlignment, up text.YAlignment) draw.TextStyle {
	return draw.TextStyle{
		Color: ink, Font: font.Font{Typeface: "Liberation", Variant: "Sans", Size: size}, XAlign: across, YAlign: up, Handler: plot.DefaultTextHandler,
	}
}

func drawTitle(on draw.Canvas, title string) {
	on.FillText(style(12, black, draw.XLeft, draw.YCenter), vg.Point{X: on.Min.X, Y: on.Center().Y}, title)
}

// drawPanel draws a panel in the way of its kind. A panel that is newer than the run has no data.
func drawPanel(on draw.Canvas, panel panels.Panel, series []panels.Series, seconds float64) error {
	fill(on, white)
	if len(series) == 0 {
		drawNumbers(on, panel, nil)
		on.FillText(style(small, black, draw.XCenter, draw.YCenter), on.Center(), "newer than this run")
		return nil
	}
	switch panel.Kind {
	case "stat":
		drawNumbers(on, panel, series)
		return nil
	case "state-timeline":
		return drawStates(on, panel, series, seconds)
	default:
		return drawLines(on, panel, series, seconds)
	}
}

// drawNumbers writes the last value of each series.
func drawNumbers(on draw.Canvas, panel panels.Panel, series []panels.Series) {
	on.FillText(style(small, black, draw.XLeft, draw.YTop), vg.Point{X: on.Min.X + space, Y: on.Max.Y - space}, panel.Title)
	for i, one := range series {
		value := one.Samples[len(one.Samples)-1][1]
		x := on.Min.X + (on.Max.X-on.Min.X)*vg.Length(2*i+1)/vg.Length(2*len(series))
		on.FillText(style(large, colourOf(panel, value), draw.XCenter, draw.YCenter), vg.Point{X: x, Y: on.Center().Y}, format(panel.Unit, value))
		on.FillText(style(small, black, draw.XCenter, draw.YBottom), vg.Point{X: x, Y: on.Min.Y + space}, one.Name)
	}
}

// colourOf is the colour of a value.
func colourOf(panel panels.Panel, value float64) color.Color {
	name := "text"
	for _, step := range panel.Steps {
		if step.Value == nil || value >= *step.Value {
			name = step.Color
		}
	}
	return colours[name]
}

// newPlot is an empty plot with time in minutes.
func newPlot(title string, seconds float64) *plot.Plot {
	picture := plot.New()
	picture.Title.Text = title
	picture.Title.TextStyle = style(small, black, draw.XCenter, draw.YTop)
	picture.BackgroundColor = white
	for _, axis := range []*plot.Axis{&picture.X, &picture.Y} {
		axis.Tick.Label.Font = style(small, black, 0, 0).Font
		axis.Width = vg.Points(0.3)
	}
	picture.X.Min, picture.X.Max = 0, seconds/60
	picture.X.Tick.Marker = labelled{plot.DefaultTicks{}, func(minutes float64) string { return fmt.Sprintf("%.0f min", minutes) }}
	picture.Legend.Top, picture.Legend.Left = true, true
	picture.Legend.TextStyle = style(small-1, black, 0, 0)
	return picture
}

// drawLines draws a line for each series.
func drawLines(on draw.Canvas, panel panels.Panel, series []panels.Series, seconds float64) error {
	picture := newPlot(panel.Title, seconds)
	highest := 0.0
	for i, one := range series {
		var line *plotter.Line
		for _, points := range pieces(one, seconds) {
			var err error
			if line, err = plotter.NewLine(points); err != nil {
				return err
			}
			line.Color, line.Width = plotutil.Color(i), vg.Points(1)
			picture.Add(line)
			_, _, _, top := plotter.XYRange(points)
			highest = math.Max(highest, top)
		}
		switch {
		case i < named:
			picture.Legend.Add(one.Name, line)
		case i == named:
			picture.Legend.Add(fmt.Sprintf("and %d more", len(series)-named))
		}
	}
	if highest == 0 {
		highest = 1
	}
	picture.Y.Min, picture.Y.Max = 0, room*highest
	picture.Y.Tick.Marker = labelled{plot.DefaultTicks{}, func(value float64) string { return format(panel.Unit, value) }}
	picture.Draw(on)
	return nil
}

// pieces are the parts of a series without a gap. A series has samples at a sixtieth of the time, unless it does not exist.
func pieces(series panels.Series, seconds float64) []plotter.XYs {
	const gap = 2.5 / 60
	var all []plotter.XYs
	for i, sample := range series.Samples {
		if i == 0 || sample[0]-series.Samples[i-1][0] > gap*seconds {
			all = append(all, nil)
		}
		last := &all[len(all)-1]
		*last = append(*last, plotter.XY{X: sample[0] / 60, Y: sample[1]})
	}
	return all
}

// drawStates draws a bar for each series, with the colour of its value at each time.
func drawStates(on draw.Canvas, panel panels.Panel, series []panels.Series, seconds float64) error {
	picture := newPlot(panel.Title, seconds)
	names := make([]plot.Tick, len(series))
	slices.SortFunc(series, func(a, b panels.Series) int { return cmp.Compare(b.Name, a.Name) })
	for i, one := range series {
		names[i] = plot.Tick{Value: float64(i), Label: one.Name}
		for begin := 0; begin < len(one.Samples); {
			end := begin
			for end+1 < len(one.Samples) && one.Samples[end+1][1] == one.Samples[begin][1] {
				end++
			}
			until := min(end+1, len(one.Samples)-1)
			bar, err := plotter.NewLine(plotter.XYs{
				{X: one.Samples[begin][0] / 60, Y: float64(i)}, {X: one.Samples[until][0] / 60, Y: float64(i)},
			})
			if err != nil {
				return err
			}
			bar.Width, bar.Color = vg.Points(6), colourOf(panel, one.Samples[begin][1])
			picture.Add(bar)
			begin = end + 1
		}
	}
	picture.Y.Min, picture.Y.Max = -1, float64(len(series))
	picture.Y.Tick.Marker = plot.ConstantTicks(names)
	picture.Draw(on)
	return nil
}

// labelled are ticks with labels of another format.
type labelled struct {
	ticks  plot.Ticker
	format func(float64) string
}

// Ticks are the ticks between two values.
func (l labelled) Ticks(least, most float64) []plot.Tick {
	ticks := l.ticks.Ticks(least, most)
	for i := range ticks {
		if !ticks[i].IsMinor() {
			ticks[i].Label = l.format(ticks[i].Value)
		}
	}
	return ticks
}

// format writes a value in Grafana's unit.
func format(unit string, value float64) string {
	switch {
	case unit == "percentunit":
		return fmt.Sprintf("%.0f %%", 100*value)
	case unit == "bytes":
		return fmt.Sprintf("%.3g MiB", value/(1<<20))
	case unit == "s" && value > 2*24*60*60:
		return fmt.Sprintf("%.0f days", value/(24*60*60))
	case unit == "s":
		return fmt.Sprintf("%.3g s", value)
	case unit == "reqps":
		return fmt.Sprintf("%.3g/s", value)
	}
	return strconv.FormatFloat(value, 'g', 4, 64)
}
