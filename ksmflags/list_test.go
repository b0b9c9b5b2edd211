package ksmflags

import (
	"testing"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestItems(t *testing.T) {
	for name, test := range map[string]struct {
		values, expected []string
	}{
		"none":                {nil, nil},
		"empty":               {[]string{""}, nil},
		"one":                 {[]string{"pods"}, []string{"pods"}},
		"spaces after commas": {[]string{"pods, nodes"}, []string{"pods", "nodes"}},
		"empty items":         {[]string{",pods,,", " "}, []string{"pods"}},
		"more than one value": {[]string{"pods", " nodes,secrets"}, []string{"pods", "nodes", "secrets"}},
		"quotes are no more":  {[]string{`"a","b`}, []string{`"a"`, `"b`}},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, test.expected, Items(test.values...))
		})
	}
}

func TestResourcesOf(t *testing.T) {
	assert.Equal(t, []string{"pods", "nodes", "jobs"}, ResourcesOf(Items("pods=[app, team],nodes=[*]", " jobs=[]")))
	assert.Empty(t, ResourcesOf(nil))
}

func TestListIsAFlag(t *testing.T) {
	var namespaces List
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	flags.Var(&namespaces, "namespaces", "")
	require.NoError(t, flags.Parse([]string{"--namespaces=a, b", "--namespaces=c"}))
	assert.Equal(t, List{"a", "b", "c"}, namespaces)
	assert.Equal(t, "a,b,c", namespaces.String())
}
