package main

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"
)

// pinned is an action by its digest, and the version for people and for Dependabot.
var pinned = regexp.MustCompile(`^\s*(?:- )?uses: [\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$`)

// Workflows run actions that nobody can replace, with no right that a job does not name. Actionlint looks at the rest.
func TestWorkflowsArePinned(t *testing.T) {
	workflows, err := filepath.Glob(filepath.Join("..", ".github", "workflows", "*.yaml"))
	require.NoError(t, err)
	require.Len(t, workflows, 5)
	uses := regexp.MustCompile(`(?m)^.*\buses:.*$`)
	for _, file := range workflows {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		found := uses.FindAllString(string(text), -1)
		require.NotEmpty(t, found, file)
		for _, line := range found {
			assert.Regexp(t, pinned, line, file)
		}
		var workflow struct {
			Permissions map[string]string
			Jobs        map[string]struct {
				Timeout int `json:"timeout-minutes"`
			}
		}
		require.NoError(t, yaml.Unmarshal(text, &workflow), file)
		require.NotNil(t, workflow.Permissions, "%s leaves permissions to the repository", file)
		for scope, access := range workflow.Permissions {
			assert.Equal(t, "contents read", scope+" "+access, file)
		}
		for name, job := range workflow.Jobs {
			assert.Positive(t, job.Timeout, "job %s of %s", name, file)
		}
	}
}
