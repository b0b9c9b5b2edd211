package docs

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/util/sets"
)

// The page on conditions has each condition and each reason of the API.
func TestConditionsAreDocumented(t *testing.T) {
	documented := sets.New(readPage(t, "docs/conditions.md").inlineCode(t)...)
	names := constants(t, "api/v1alpha1", "Condition", "Reason")
	require.NotEmpty(t, names)
	for _, name := range names {
		assert.True(t, documented.Has(name), "docs/conditions.md does not have %s", name)
	}
}

var metric = regexp.MustCompile(`^(ksmscale_[a-z_]+)(\{.*\})?$`)

// The metrics that the page on conditions names are in the code.
func TestDocumentedMetricsExist(t *testing.T) {
	var code strings.Builder
	for _, directory := range []string{"api/v1alpha1", "plans", "adapter", "gate", "measurements", "controller/metrics", "controller/registration"} {
		files, err := filepath.Glob(filepath.Join(root, directory, "*.go"))
		require.NoError(t, err)
		require.NotEmpty(t, files, directory)
		for _, file := range files {
			source, err := os.ReadFile(file)
			require.NoError(t, err)
			code.Write(source)
		}
	}
	count := 0
	for _, word := range readPage(t, "docs/conditions.md").inlineCode(t) {
		if name := metric.FindStringSubmatch(word); name != nil {
			count++
			assert.True(t, strings.Contains(code.String(), strconv.Quote(name[1])), "%s is in the code", name[1])
		}
	}
	assert.Positive(t, count)
}

// constants are the values of the string constants of a package whose names begin in one of these ways.
func constants(t *testing.T, directory string, prefixes ...string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, directory, "*.go"))
	require.NoError(t, err)
	var values []string
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		ast.Inspect(parsed, func(node ast.Node) bool {
			spec, ok := node.(*ast.ValueSpec)
			if !ok || len(spec.Values) != 1 || !hasAnyPrefix(spec.Names[0].Name, prefixes) {
				return true
			}
			if literal, ok := spec.Values[0].(*ast.BasicLit); ok && literal.Kind == token.STRING {
				value, err := strconv.Unquote(literal.Value)
				require.NoError(t, err)
				values = append(values, value)
			}
			return true
		})
	}
	return values
}

func hasAnyPrefix(name string, prefixes []string) bool {
	for _, prefix := range prefixes {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}
