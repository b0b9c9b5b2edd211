package controller

import (
	"bytes"
	"errors"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/util/yaml"
)

const (
	// coreGroup is how the docs call the group whose name is empty.
	coreGroup = "core"
	// urlGroup is how the docs call what is no resource.
	urlGroup = "URL"
)

// The tables of rights in docs/security.md say what the manifests do, no less and no more.
func TestRightsAreDocumented(t *testing.T) {
	var granted []string
	for _, file := range []string{"rbac/role.yaml", "rbac/adapter.yaml", "rbac/kube-state-metrics.yaml", "delegate/rbac.yaml"} {
		granted = append(granted, grantedBy(t, "../config/"+file)...)
	}
	documented := documentedIn(t, "../docs/security.md")
	require.NotEmpty(t, granted)
	slices.Sort(granted)
	slices.Sort(documented)
	assert.Equal(t, granted, documented)
}

// grantedBy has a line for each resource of each rule of the roles in a manifest.
func grantedBy(t *testing.T, file string) []string {
	t.Helper()
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(content), 4096)
	var lines []string
	for {
		var role rbacv1.ClusterRole
		err := decoder.Decode(&role)
		if errors.Is(err, io.EOF) {
			return lines
		}
		require.NoError(t, err)
		for _, rule := range role.Rules {
			if len(rule.NonResourceURLs) > 0 {
				lines = append(lines, right(role.Kind+" "+role.Name, urlGroup, rule.NonResourceURLs, nil, rule.Verbs)...)
				continue
			}
			require.Len(t, rule.APIGroups, 1, "the tables have one group in each row")
			group := rule.APIGroups[0]
			if group == "" {
				group = coreGroup
			}
			lines = append(lines, right(role.Kind+" "+role.Name, group, rule.Resources, rule.ResourceNames, rule.Verbs)...)
		}
	}
}

var (
	roleHeading = regexp.MustCompile("^### ((?:Cluster)?Role) `(.+)`$")
	quoted      = regexp.MustCompile("`([^`]+)`")
)

// documentedIn has the same lines, for each table below the heading of a role.
func documentedIn(t *testing.T, file string) []string {
	t.Helper()
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	var lines []string
	role := ""
	for line := range strings.Lines(string(content)) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "#") {
			role = ""
			if heading := roleHeading.FindStringSubmatch(line); heading != nil {
				role = heading[1] + " " + heading[2]
			}
		}
		if role == "" || !strings.HasPrefix(line, "| `") {
			continue
		}
		cells := strings.Split(line, "|")
		require.Len(t, cells, 7, line)
		lines = append(lines, right(role, code(cells[1])[0], code(cells[2]), code(cells[3]), code(cells[4]))...)
	}
	return lines
}

// code is what a cell has in backquotes.
func code(cell string) []string {
	var words []string
	for _, found := range quoted.FindAllStringSubmatch(cell, -1) {
		words = append(words, found[1])
	}
	return words
}

func right(role, group string, resources, names, verbs []string) []string {
	var lines []string
	for _, resource := range resources {
		fields := []string{role, group, resource, strings.Join(slices.Sorted(slices.Values(names)), ","), strings.Join(slices.Sorted(slices.Values(verbs)), ",")}
		lines = append(lines, strings.Join(fields, " | "))
	}
	return lines
}
