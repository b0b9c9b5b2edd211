package names

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var root = filepath.Join("..", "..")

// checkout copies what has names.
func checkout(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	for _, part := range []string{"config", "deploy", "docs"} {
		require.NoError(t, os.CopyFS(filepath.Join(folder, part), os.DirFS(filepath.Join(root, part))))
	}
	return folder
}

// The variables of the Makefile are the one place of the names, and the checkout has these.
func TestCheckoutHasTheNamesOfTheMakefile(t *testing.T) {
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	require.NoError(t, err)
	variable := func(name string) string {
		found := regexp.MustCompile(`(?m)^` + name + ` \?= (.*)$`).FindSubmatch(makefile)
		require.NotNil(t, found, name)
		return string(found[1])
	}
	read, err := Read(root)
	require.NoError(t, err)
	registry := variable("REGISTRY")
	assert.Equal(t, Names{Registry: registry, Source: SourceOf(registry), Version: variable("VERSION")}, read)
	require.NoError(t, read.Validate())
}

func TestSet(t *testing.T) {
	folder := checkout(t)
	before, err := Read(folder)
	require.NoError(t, err)
	wanted := Names{Registry: "mirror.test:5000/a/acme", Source: "https://code.test/acme/ksmscale", Version: "v9.8.7-rc.1"}
	require.NoError(t, Set(folder, wanted))
	after, err := Read(folder)
	require.NoError(t, err)
	assert.Equal(t, wanted, after)

	changed := 0
	require.NoError(t, fs.WalkDir(os.DirFS(folder), ".", func(file string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(filepath.Join(folder, file))
		require.NoError(t, err)
		assert.NotContains(t, string(content), before.Registry, file)
		assert.NotContains(t, string(content), before.Source, file)
		changed += strings.Count(string(content), wanted.Registry) + strings.Count(string(content), wanted.Source)
		return nil
	}))
	assert.Greater(t, changed, 10)
	chart, err := os.ReadFile(filepath.Join(folder, chartFile))
	require.NoError(t, err)
	for _, line := range []string{"\nversion: 9.8.7-rc.1\n", "\nappVersion: v9.8.7-rc.1\n", " image: mirror.test:5000/a/acme/ksmscale-gate:v9.8.7-rc.1\n"} {
		assert.Contains(t, string(chart), line)
	}

	require.NoError(t, Set(folder, before), "and back")
	for _, file := range []string{chartFile, kustomization, "deploy/chart/values.yaml", "deploy/prometheus/rules.yaml"} {
		original, err := os.ReadFile(filepath.Join(root, file))
		require.NoError(t, err)
		again, err := os.ReadFile(filepath.Join(folder, file))
		require.NoError(t, err)
		assert.Equal(t, string(original), string(again), file)
	}
}

func TestWrongNamesAreRefused(t *testing.T) {
	right := Names{Registry: "ghcr.io/acme", Source: "https://code.test/acme/ksmscale", Version: "v1.2.3"}
	require.NoError(t, right.Validate())
	for message, wrong := range map[string]Names{
		`version "1.2.3"`:       {Registry: right.Registry, Source: right.Source, Version: "1.2.3"},
		`version "v1.2"`:        {Registry: right.Registry, Source: right.Source, Version: "v1.2"},
		`registry "ghcr.io"`:    {Registry: "ghcr.io", Source: right.Source, Version: right.Version},
		`registry "ghcr.io/A"`:  {Registry: "ghcr.io/A", Source: right.Source, Version: right.Version},
		`source "http://a.b/c"`: {Registry: right.Registry, Source: "http://a.b/c", Version: right.Version},
	} {
		require.ErrorContains(t, wrong.Validate(), message)
		require.ErrorContains(t, Set(root, wrong), message)
	}
}

func TestAPlaceWithoutAVersionIsAnError(t *testing.T) {
	folder := checkout(t)
	file := filepath.Join(folder, chartFile)
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, []byte(strings.ReplaceAll(string(content), "\nversion:", "\n#version:")), 0o600))
	names, err := Read(folder)
	require.NoError(t, err)
	require.ErrorContains(t, Set(folder, names), "has no version at")
}
