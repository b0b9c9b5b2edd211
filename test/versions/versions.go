// Package versions reads the table of supported versions in docs/supported-versions.md, which is their only list.
package versions

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/stretchr/testify/require"
)

const (
	begin = "<!-- versions -->"
	end   = "<!-- end of versions -->"
	// columns are the columns of the table: component, version, supported, run in tests as.
	columns = 4
)

// T is a test.
type T interface {
	require.TestingT
	Helper()
}

// Of returns the versions of a component, newest first, out of the checkout at root.
func Of(t T, root, component string) []string {
	t.Helper()
	return list(t, root, component, "")
}

// Run returns those versions that tests run in a way, such as "itself".
func Run(t T, root, component, way string) []string {
	t.Helper()
	return list(t, root, component, way)
}

func list(t T, root, component, way string) []string {
	t.Helper()
	page, err := os.ReadFile(filepath.Join(root, "docs", "supported-versions.md"))
	require.NoError(t, err)
	_, rest, ok := strings.Cut(string(page), begin)
	require.True(t, ok, "no table begins")
	table, _, ok := strings.Cut(rest, end)
	require.True(t, ok, "no table ends")
	var versions []string
	for line := range strings.Lines(table) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if len(cells) != columns || strings.TrimSpace(cells[0]) != component {
			continue
		}
		if way == "" || strings.Contains(cells[3], way) {
			versions = append(versions, strings.TrimSpace(cells[1]))
		}
	}
	require.NotEmpty(t, versions, "no versions of %s are run as %q", component, way)
	return versions
}
