package main

import (
	"encoding/json"
	"fmt"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/cog/variants"
	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/grafana/grafana-foundation-sdk/go/stat"
	"github.com/grafana/grafana-foundation-sdk/go/statetimeline"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"
)

const (
	uid   = "ksmscale"
	title = "KSMScale"

	// width is the width of a row in the grid of Grafana, and height the height of a panel.
	width, height = 24, 8
	statHeight    = 4
)

// kind is how a panel shows its values.
type kind int

const (
	lines  kind = iota // a line for each series
	number             // the last value of each query
	states             // a bar for each series, with a colour for 0 and for others
)

// row is a row of the dashboard.
type row struct {
	title  string
	panels []panel
}

// panel is one panel.
type panel struct {
	title, description string
	kind               kind
	// unit is Grafana's name of a unit; empty for numbers.
	unit string
	// width is a part of 24.
	width   uint32
	queries []query
	// red is from which value on a number or a state is red. By default a number has no colour.
	red *float64
	// redBelow turns it round: all below that value is red.
	redBelow bool
}

// query is an expression, and the name of its series.
type query struct{ expression, legend string }

// datasource is the Prometheus that the user chooses.
var datasource = common.DataSourceRef{Type: new("prometheus"), Uid: new("$datasource")}

// render returns the dashboard as JSON.
func render() ([]byte, error) {
	//nolint:staticcheck // Every Grafana and its sidecar read this form; only new ones read its successor.
	builder := dashboard.NewDashboardBuilder(title).
		Uid(uid).
		Description("Whether all objects have metrics, and what the shards of KSMScale do. Generated: change test/pictures/dashboard.").
		Tags([]string{"kube-state-metrics", "ksmscale"}).
		Refresh("30s").Time("now-3h", "now").Timezone("browser").
		Tooltip(dashboard.DashboardCursorSyncCrosshair)
	for _, variable := range variables() {
		builder.WithVariable(variable)
	}
	id := uint32(0)
	for _, row := range rows {
		id++
		builder.WithRow(dashboard.NewRowBuilder(row.title).Id(id))
		for _, panel := range row.panels {
			id++
			builder.WithPanel(panel.builder(id))
		}
	}
	built, err := builder.Build()
	if err != nil {
		return nil, fmt.Errorf("build the dashboard: %w", err)
	}
	text, err := json.MarshalIndent(built, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write the dashboard: %w", err)
	}
	return append(text, '\n'), nil
}

// variables are chosen at the top of the dashboard. Names of KSMScales are those in the chosen namespaces.
func variables() []cog.Builder[dashboard.VariableModel] {
	labels := func(name, label, expression string) cog.Builder[dashboard.VariableModel] {
		return dashboard.NewQueryVariableBuilder(name).Label(label).Datasource(datasource).
			Query(dashboard.StringOrMap{String: &expression}).
			Refresh(dashboard.VariableRefreshOnTimeRangeChanged).Sort(dashboard.VariableSortAlphabeticalAsc).
			Multi(true).IncludeAll(true).AllValue(".+").
			Current(dashboard.VariableOption{Text: dashboard.StringOrArrayOfString{String: new("All")}, Value: dashboard.StringOrArrayOfString{String: new("$__all")}})
	}
	return []cog.Builder[dashboard.VariableModel]{
		dashboard.NewDatasourceVariableBuilder("datasource").Label("Prometheus").Type("prometheus"),
		labels("namespace", "Namespace", `label_values(up{job="kube-state-metrics-pods"}, namespace)`),
		labels("ksmscale", "KSMScale", `label_values(up{job="kube-state-metrics-pods", namespace=~"$namespace"}, ksmscale)`),
	}
}

func (p panel) builder(id uint32) cog.Builder[dashboard.Panel] {
	switch p.kind {
	case number:
		builder := stat.NewPanelBuilder().Id(id).Title(p.title).Description(p.description).Datasource(datasource).
			Unit(p.unit).Span(p.width).Height(statHeight).Thresholds(p.thresholds()).GraphMode(common.BigValueGraphModeNone)
		return withTargets(builder, p)
	case states:
		builder := statetimeline.NewPanelBuilder().Id(id).Title(p.title).Description(p.description).Datasource(datasource).
			Unit(p.unit).Span(p.width).Height(height).Thresholds(p.thresholds()).
			ColorScheme(dashboard.NewFieldColorBuilder().Mode(dashboard.FieldColorModeIdThresholds)).
			ShowValue(common.VisibilityModeNever).MergeValues(true)
		return withTargets(builder, p)
	default:
		builder := timeseries.NewPanelBuilder().Id(id).Title(p.title).Description(p.description).Datasource(datasource).
			Unit(p.unit).Span(p.width).Height(height).Min(0).
			Legend(common.NewVizLegendOptionsBuilder().ShowLegend(true).
				DisplayMode(common.LegendDisplayModeList).Placement(common.LegendPlacementBottom))
		return withTargets(builder, p)
	}
}

// withTargets adds the queries to the builder of a panel.
func withTargets[B interface {
	WithTarget(cog.Builder[variants.Dataquery]) B
}](builder B, p panel) B {
	for i, query := range p.queries {
		target := prometheus.NewDataqueryBuilder().Datasource(datasource).RefId(string(rune('A' + i))).
			Expr(query.expression).LegendFormat(query.legend)
		if p.kind == number {
			target.Instant()
		} else {
			target.Range()
		}
		builder = builder.WithTarget(target)
	}
	return builder
}

// thresholds colour a number or a state.
func (p panel) thresholds() *dashboard.ThresholdsConfigBuilder {
	base, other := "green", "red"
	if p.redBelow {
		base, other = other, base
	}
	steps := []dashboard.Threshold{{Color: base}}
	if p.red != nil {
		steps = append(steps, dashboard.Threshold{Value: p.red, Color: other})
	} else {
		steps[0].Color = "text"
	}
	return dashboard.NewThresholdsConfigBuilder().Mode(dashboard.ThresholdsModeAbsolute).Steps(steps)
}
