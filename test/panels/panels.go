package panels

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// Row is a row of a dashboard with its panels.
type Row struct {
	Title string
	// Y is the place of the title, like the Y of a panel.
	Y      int
	Panels []Panel
}

// Panel is one panel of a row.
type Panel struct {
	// ID is unique in the dashboard.
	ID uint32
	// Kind is the type of Grafana's panel, such as timeseries.
	Kind  string
	Title string
	// Unit is Grafana's name of the unit of all values, such as bytes; empty for numbers.
	Unit string
	// Grid is the place of the panel in the dashboard.
	Grid Grid
	// Steps are the colours of values, in the order of the values.
	Steps []Step
	// Queries are the expressions of the panel, in order.
	Queries []Query
}

// Query is an expression of Prometheus with variables of Grafana.
type Query struct {
	Expression string
	// Legend is the name of a series, in which {{label}} stands for the value of a label.
	Legend string
	// Instant reports whether the panel shows the last value only.
	Instant bool
}

// Grid is a place in a dashboard that is 24 units wide, from its upper left corner.
type Grid struct {
	X, Y int
	// W and H are width and height.
	W, H int
}

// Step is the colour of all values from a value on.
type Step struct {
	Color string `json:"color"`
	// Value is nil for the lowest step.
	Value *float64 `json:"value"`
}

// panelJSON is a panel or a row, as Grafana writes it.
type panelJSON struct {
	ID          uint32 `json:"id"`
	Type        string `json:"type"`
	Title       string `json:"title"`
	GridPos     Grid   `json:"gridPos"`
	FieldConfig struct {
		Defaults struct {
			Unit       string `json:"unit"`
			Thresholds struct {
				Steps []Step `json:"steps"`
			} `json:"thresholds"`
		} `json:"defaults"`
	} `json:"fieldConfig"`
	Targets []struct {
		Expr         string `json:"expr"`
		LegendFormat string `json:"legendFormat"`
		Instant      bool   `json:"instant"`
	} `json:"targets"`
}

// Read returns the rows of a dashboard. It returns an error if the dashboard is not JSON, or if a panel is in no row or has
// no query.
func Read(dashboard []byte) ([]Row, error) {
	var document struct {
		Panels []panelJSON `json:"panels"`
	}
	if err := json.Unmarshal(dashboard, &document); err != nil {
		return nil, fmt.Errorf("read the dashboard: %w", err)
	}
	var rows []Row
	for _, one := range document.Panels {
		if one.Type == "row" {
			rows = append(rows, Row{Title: one.Title, Y: one.GridPos.Y})
			continue
		}
		if len(rows) == 0 {
			return nil, fmt.Errorf("panel %q is in no row", one.Title)
		}
		panel := Panel{ID: one.ID, Kind: one.Type, Title: one.Title, Unit: one.FieldConfig.Defaults.Unit,
			Grid: one.GridPos, Steps: one.FieldConfig.Defaults.Thresholds.Steps}
		for _, target := range one.Targets {
			panel.Queries = append(panel.Queries, Query{Expression: target.Expr, Legend: target.LegendFormat, Instant: target.Instant})
		}
		if len(panel.Queries) == 0 {
			return nil, fmt.Errorf("panel %q has no query", one.Title)
		}
		last := &rows[len(rows)-1]
		last.Panels = append(last.Panels, panel)
	}
	if len(rows) == 0 {
		return nil, errors.New("the dashboard has no rows")
	}
	return rows, nil
}

// Variables are the values of Grafana's variables in queries.
type Variables struct {
	// Namespace and KSMScale are regular expressions, like the values that Grafana fills in.
	Namespace, KSMScale string
	// RateInterval is the range of rates, such as 5m.
	RateInterval string
}

// Fill replaces the variables in an expression by their values.
func (v Variables) Fill(expression string) string {
	return strings.NewReplacer(
		"$__rate_interval", v.RateInterval, "$namespace", v.Namespace, "$ksmscale", v.KSMScale,
	).Replace(expression)
}

// Run is what the queries of a dashboard returned for some time.
type Run struct {
	// Seconds is how long that time was.
	Seconds float64 `json:"seconds"`
	// Panels are the series of each panel, by the title of the panel.
	Panels map[string][]Series `json:"panels"`
}

// Series is one line of a panel.
type Series struct {
	Name string `json:"name"`
	// Samples are pairs of a time, in seconds since the beginning of the run, and a value.
	Samples [][2]float64 `json:"samples"`
}

// Name is the name of a series with these labels. It is empty for a query without a legend.
func (q Query) Name(labels map[string]string) string {
	name := q.Legend
	for label, value := range labels {
		name = strings.ReplaceAll(name, "{{"+label+"}}", value)
	}
	return name
}
