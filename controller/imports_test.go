package controller

import (
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/util/sets"
)

// Data flows through the packages in this order, and no package imports one that comes after it.
func TestImportsFollowTheData(t *testing.T) {
	const module = "github.com/example/ksmscale/"
	for folder, allowed := range map[string][]string{
		"objects":      {"api/v1alpha1", "scaling", "ksmflags", "deploy/prometheus"},
		"observation":  {"api/v1alpha1", "telemetry", "measurements", "completeness", "shardpods", "controller/objects"},
		"partition":    {"api/v1alpha1", "plans", "scaling", "sizing", "controller/objects", "controller/observation"},
		"status":       {"api/v1alpha1", "completeness", "plans", "scaling", "controller/objects", "controller/observation", "controller/partition"},
		"registration": {"api/v1alpha1", "controller/objects"},
		// The gate is another program, and reads expositions in a package of their own.
		"../gate/exposition": {"ksmflags"},
	} {
		t.Run(folder, func(t *testing.T) {
			imported := importsOf(t, folder)
			for path := range imported {
				if ours, isOurs := strings.CutPrefix(path, module); isOurs {
					assert.Contains(t, allowed, ours)
				}
			}
			switch folder {
			case "objects", "partition", "status":
				assert.NotContains(t, imported, "sigs.k8s.io/controller-runtime/pkg/client", "pure functions have no client")
			}
		})
	}
}

// importsOf returns the paths that the files of a package import, except its tests.
func importsOf(t *testing.T, folder string) sets.Set[string] {
	t.Helper()
	entries, err := os.ReadDir(folder)
	require.NoError(t, err)
	imported := sets.New[string]()
	for _, entry := range entries {
		if !strings.HasSuffix(entry.Name(), ".go") || strings.HasSuffix(entry.Name(), "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(folder, entry.Name()), nil, parser.ImportsOnly)
		require.NoError(t, err)
		for _, spec := range file.Imports {
			path, err := strconv.Unquote(spec.Path.Value)
			require.NoError(t, err)
			imported.Insert(path)
		}
	}
	require.NotEmpty(t, imported)
	return imported
}
