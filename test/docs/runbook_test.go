package docs

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	"github.com/example/ksmscale/plugin"
	"github.com/example/ksmscale/test/docs/transcripts"
)

// Each alert has a section in the runbook. Its first command is one of the plugin, with arguments that the plugin accepts.
func TestRunbookStartsWithThePlugin(t *testing.T) {
	for _, alert := range alerts(t) {
		t.Run(alert, func(t *testing.T) {
			command := transcripts.FirstCommand(t, alert, "main")
			arguments, isOurs := strings.CutPrefix(command, "kubectl ksmscale ")
			require.True(t, isOurs, command)
			assertParses(t, strings.Fields(arguments))
		})
	}
}

// assertParses parses arguments of the plugin without running it.
func assertParses(t *testing.T, arguments []string) {
	t.Helper()
	all := plugin.Command()
	command, rest, err := all.Find(arguments)
	require.NoError(t, err)
	require.NotSame(t, all, command, "there is no such command")
	require.NoError(t, command.ParseFlags(rest))
	assert.NoError(t, command.ValidateArgs(command.Flags().Args()))
}

// alerts are the names of all shipped alerts, in order.
func alerts(t *testing.T) []string {
	t.Helper()
	names := map[string]bool{}
	for _, file := range []string{"rules.yaml", "recommendations.yaml"} {
		text, err := os.ReadFile(filepath.Join(root, "deploy/prometheus", file))
		require.NoError(t, err)
		var rules struct {
			Groups []struct{ Rules []struct{ Alert string } }
		}
		require.NoError(t, yaml.Unmarshal(text, &rules))
		for _, group := range rules.Groups {
			for _, rule := range group.Rules {
				if rule.Alert != "" {
					names[rule.Alert] = true
				}
			}
		}
	}
	require.NotEmpty(t, names)
	return slices.Sorted(maps.Keys(names))
}
