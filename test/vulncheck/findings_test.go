package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	product = "example.com/product"
	tests   = "example.com/product/tests"
)

// scanned is the output of govulncheck for two programs, shortened.
const scanned = `
{"config": {"scanner_name": "govulncheck"}}
{"SBOM": {"go_version": "go1.26.10", "roots": ["example.com/product"]}}
{"osv": {"id": "GO-2026-0001"}}
{"osv": {"id": "GO-2026-0009"}}
{"finding": {"osv": "GO-2026-0001", "trace": [{"module": "example.org/a", "version": "v1.0.0"}]}}
{"finding": {"osv": "GO-2026-0002", "trace": [{"module": "example.org/a", "version": "v1.0.0"}]}}
{"finding": {"osv": "GO-2026-0002", "trace": [{"module": "example.org/a", "package": "example.org/a/b", "function": "F"}]}}
{"finding": {"osv": "GO-2026-0002", "trace": [{"module": "example.org/a", "package": "example.org/a/b"}]}}
{"config": {"scanner_name": "govulncheck"}}
{"SBOM": {"go_version": "go1.26.10", "roots": ["example.com/product/tests"]}}
{"finding": {"osv": "GO-2026-0001", "trace": [{"module": "example.org/a", "version": "v1.0.0", "package": "example.org/a/b"}]}}
`

func TestFindingsHaveTheGreatestDepthInEachModule(t *testing.T) {
	actual, err := findings(strings.NewReader(scanned))

	require.NoError(t, err)
	assert.Equal(t, map[finding]depth{
		{product, "GO-2026-0001"}: depthModule,
		{product, "GO-2026-0002"}: depthSymbol,
		{tests, "GO-2026-0001"}:   depthPackage,
	}, actual)
}

func TestFindingsNeedAWholeScan(t *testing.T) {
	for name, output := range map[string]string{"nothing": "", "no program": `{"config": {}}`, "cut off": `{"SBOM": {"roots": ["a"]}} {"finding":`} {
		t.Run(name, func(t *testing.T) {
			_, err := findings(strings.NewReader(output))
			assert.Error(t, err)
		})
	}
}

func TestListDiffersFromFindings(t *testing.T) {
	const first, second = product + " GO-2026-0001 module only b is vulnerable\n", product + " GO-2026-0002 symbol no fix yet\n"
	const third = tests + " GO-2026-0001 package F is not called\n"
	cases := map[string]struct {
		list     string
		expected []string
	}{
		"all listed": {list: "# why\n\n" + first + second + third},
		"new in one module, though listed for another": {
			list:     first + second,
			expected: []string{"GO-2026-0001 in programs of example.com/product/tests (package) is new"},
		},
		"linked deeper than listed": {
			list:     first + third + product + " GO-2026-0002 package F is not linked\n",
			expected: []string{"GO-2026-0002 in programs of example.com/product is listed as package, and found as symbol"},
		},
		"no longer found": {
			list:     first + second + third + product + " GO-2026-0003 module no fix yet\n",
			expected: []string{"GO-2026-0003 in programs of example.com/product is listed, and not found any more"},
		},
	}
	actual, err := findings(strings.NewReader(scanned))
	require.NoError(t, err)
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			accepted, err := entries(strings.NewReader(test.list))
			require.NoError(t, err)

			differences := compare(actual, accepted)

			require.Len(t, differences, len(test.expected))
			for i, difference := range differences {
				assert.Contains(t, difference.Error(), test.expected[i])
			}
		})
	}
}

func TestEntriesNeedAReason(t *testing.T) {
	for name, line := range map[string]string{
		"no reason": product + " GO-2026-0001 module",
		"no depth":  product + " GO-2026-0001 is not linked",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := entries(strings.NewReader(line))
			assert.ErrorContains(t, err, "line 1")
		})
	}
}
