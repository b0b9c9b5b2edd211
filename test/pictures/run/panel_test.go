package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"gonum.org/v1/plot/plotter"

	"github.com/example/ksmscale/test/panels"
)

// A line ends where its series ends, and begins again.
func TestPieces(t *testing.T) {
	series := panels.Series{Samples: [][2]float64{{0, 1}, {60, 2}, {300, 3}}}
	assert.Equal(t, []plotter.XYs{{{X: 0, Y: 1}, {X: 1, Y: 2}}, {{X: 5, Y: 3}}}, pieces(series, 3600))
}

func TestFormat(t *testing.T) {
	for text, value := range map[string]struct {
		unit  string
		value float64
	}{
		"95 %": {"percentunit", 0.95}, "64 MiB": {"bytes", 64 << 20}, "90 days": {"s", 90 * 24 * 60 * 60},
		"1.5 s": {"s", 1.5}, "2/s": {"reqps", 2}, "0.05": {"", 0.05},
	} {
		assert.Equal(t, text, format(value.unit, value.value))
	}
}

func TestColourOf(t *testing.T) {
	panel := panels.Panel{Steps: []panels.Step{{Color: "green"}, {Color: "red", Value: new(1.0)}}}
	assert.Equal(t, colours["green"], colourOf(panel, 0))
	assert.Equal(t, colours["red"], colourOf(panel, 1))
	assert.Equal(t, colours["text"], colourOf(panels.Panel{}, 1))
}
