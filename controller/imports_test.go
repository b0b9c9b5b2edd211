package controller

import (
	"bytes"
	"go/parser"
	"go/token"
	"io/fs"
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
		"objectcounts": {"gate/apiserver", "gate/exposition"},
		"partition":    {"api/v1alpha1", "plans", "scaling", "sizing", "controller/objects", "controller/observation"},
		"status":       {"api/v1alpha1", "completeness", "plans", "scaling", "controller/objects", "controller/observation", "controller/partition"},
		"registration": {"api/v1alpha1", "controller/objects"},
		"metrics":      {"api/v1alpha1", "completeness", "measurements", "controller/objects"},
		"flags":        {"api/v1alpha1", "sizing", "controller/partition", "controller/registration"},
		// The gate is another program: it asks two servers, and decides.
		"../gate/exposition": {"ksmflags"},
		"../gate/sharding":   {},
		"../gate/apiserver":  {"gate/exposition", "gate/sharding"},
		"../gate/ksm":        {"gate/exposition", "gate/sharding", "measurements", "telemetry"},
		"../gate/collectors": {"measurements", "telemetry"},
		// The plugin prints what the other packages compute.
		"../plugin/printer": {},
		"../plugin/changes": {
			"api/v1alpha1", "plans", "scaling", "sizing", "controller/objects", "controller/observation", "controller/partition", "plugin/printer",
		},
		"../plugin/verify": {
			"api/v1alpha1", "shardpods", "gate", "gate/exposition", "gate/sharding", "controller/objects", "controller/observation",
			"plugin/cluster", "plugin/printer",
		},
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

// A stranger can read a package at a sitting.
func TestNoPackageIsTooLarge(t *testing.T) {
	const maxLines = 1800
	lines := map[string]int{}
	require.NoError(t, filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := entry.Name()
		if entry.IsDir() && (strings.HasPrefix(name, ".") && name != ".." || name == "bin" || path == "../test") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") || strings.HasPrefix(name, "zz_generated") {
			return nil
		}
		content, err := os.ReadFile(path)
		lines[filepath.Dir(path)] += bytes.Count(content, []byte("\n"))
		return err
	}))
	require.Greater(t, len(lines), 20, "packages are found")
	for folder, number := range lines {
		assert.Less(t, number, maxLines, "lines of package %s without tests and generated code", folder)
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
