package main

import (
	"bufio"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/example/ksmscale/test/panels"
)

// root is the checkout.
const root = "../../.."

// others are the metrics of other programs than KSMScale that are not about objects: of Prometheus about its targets, of
// the client library in each program, and of the API server library in the adapter. The end-to-end tests see them.
var others = []string{"up", "scrape_duration_seconds", "process_cpu_seconds_total", "process_resident_memory_bytes", "apiserver_request_total"}

// parsed is the dashboard as it is in the repository.
func parsed(t *testing.T) []panels.Row {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "deploy", "grafana", "ksmscale.json"))
	require.NoError(t, err)
	rows, err := panels.Read(text)
	require.NoError(t, err)
	return rows
}

func TestDashboardIsGenerated(t *testing.T) {
	text, err := render()
	require.NoError(t, err)
	for _, file := range files {
		written, err := os.ReadFile(filepath.Join("..", file))
		require.NoError(t, err)
		assert.Equal(t, string(text), string(written), "%s differs: run `make generate`", file)
	}
}

func TestPanels(t *testing.T) {
	ids, titles := map[uint32]bool{}, map[string]bool{}
	for _, row := range parsed(t) {
		assert.NotEmpty(t, row.Panels, row.Title)
		for _, panel := range row.Panels {
			assert.False(t, ids[panel.ID], "panel %q has the identifier %d of another one", panel.Title, panel.ID)
			assert.False(t, titles[panel.Title], "two panels are called %q", panel.Title)
			ids[panel.ID], titles[panel.Title] = true, true
		}
	}
	for _, row := range rows {
		total := uint32(0)
		for _, panel := range row.panels {
			assert.NotEmpty(t, panel.description, panel.title)
			total += panel.width
		}
		assert.Zero(t, total%width, "the panels of row %q leave an empty place", row.title)
	}
}

// Each expression is one of PromQL, and selects metrics that exist.
func TestQueries(t *testing.T) {
	known := knownMetrics(t)
	values := panels.Variables{Namespace: ".+", KSMScale: ".+", RateInterval: "5m"}
	for _, row := range parsed(t) {
		for _, panel := range row.Panels {
			for _, query := range panel.Queries {
				expression := values.Fill(query.Expression)
				assert.NotContains(t, expression, "$", panel.Title)
				tree, err := parser.NewParser(parser.Options{}).ParseExpr(expression)
				require.NoError(t, err, panel.Title)
				names := metricsOf(tree)
				assert.NotEmpty(t, names, panel.Title)
				for _, name := range names {
					assert.True(t, known[name], "panel %q has %s, which no program exports", panel.Title, name)
				}
			}
		}
	}
}

// metricsOf returns the names of the metrics that an expression selects.
func metricsOf(tree parser.Expr) []string {
	var names []string
	for _, selectors := range parser.ExtractSelectors(tree) {
		for _, matcher := range selectors {
			if matcher.Name == model.MetricNameLabel && matcher.Type == labels.MatchEqual {
				names = append(names, matcher.Value)
			}
		}
	}
	return names
}

var (
	ownMetric = regexp.MustCompile(`"(ksmscale_[a-z_]+)"`)
	recorded  = regexp.MustCompile(`- record: (\S+)`)
)

// knownMetrics are those in the code of KSMScale, those that its rules record, and the families of kube-state-metrics.
func knownMetrics(t *testing.T) map[string]bool {
	t.Helper()
	known := map[string]bool{}
	for _, name := range others {
		known[name] = true
	}
	find := func(expression *regexp.Regexp, pattern string) {
		files, err := filepath.Glob(filepath.Join(root, pattern))
		require.NoError(t, err)
		require.NotEmpty(t, files, pattern)
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			for _, match := range expression.FindAllStringSubmatch(string(text), -1) {
				known[match[1]] = true
			}
		}
	}
	for _, folder := range []string{"api/v1alpha1", "plans", "gate", "measurements", "controller/metrics", "controller/registration"} {
		find(ownMetric, filepath.Join(folder, "*.go"))
	}
	find(recorded, filepath.Join("deploy", "prometheus", "rules.yaml"))
	families, err := os.Open(filepath.Join(root, "gate", "exposition", "families.txt"))
	require.NoError(t, err)
	defer families.Close()
	for lines := bufio.NewScanner(families); lines.Scan(); {
		if name, _, _ := strings.Cut(lines.Text(), " "); strings.HasPrefix(name, "kube_") {
			known[name] = true
		}
	}
	return known
}
