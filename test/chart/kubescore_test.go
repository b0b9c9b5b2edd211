package chart

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"
)

const (
	kubeScore = "kubescore"
	// gradeOK is kube-score's grade of a check that is almost passed.
	gradeOK = 7
)

// Each finding of kube-score has an answer, and each answer a finding.
func TestKubeScore(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(kubeScore, "answers.yaml"))
	require.NoError(t, err)
	var answers map[string]string
	require.NoError(t, yaml.UnmarshalStrict(text, &answers))
	manifest, err := filepath.Abs(filepath.Join(root, "deploy", "install.yaml"))
	require.NoError(t, err)
	assert.Equal(t, sorted(maps.Keys(answers)), findings(t, manifest))

	// The chart does what the answers state.
	fixed := filepath.Join(t.TempDir(), "fixed.yaml")
	var rendered bytes.Buffer
	for _, manifest := range render(t, `{networkPolicy: {enabled: true, egress: [{ports: [{port: 443}]}]}, image: {pullPolicy: Always}}`) {
		document, err := yaml.Marshal(manifest.Object)
		require.NoError(t, err)
		rendered.WriteString("---\n" + string(document))
	}
	require.NoError(t, os.WriteFile(fixed, rendered.Bytes(), 0o600))
	assert.Equal(t, []string{"container-ephemeral-storage-request-and-limit", "container-resources", "container-security-context-user-group-id"}, findings(t, fixed))
}

// findings returns the checks of kube-score that an object of a file does not pass.
func findings(t *testing.T, file string) []string {
	t.Helper()
	command := exec.CommandContext(t.Context(), "go", "tool", "kube-score", "score", "--output-format", "json", "--exit-one-on-warning=false", file)
	command.Dir = kubeScore
	var problems bytes.Buffer
	command.Stderr = &problems
	// It ends with 1 if there are findings.
	output, _ := command.Output()
	var scores []struct {
		Checks []struct {
			Check   struct{ ID string }
			Grade   int
			Skipped bool
		}
	}
	require.NoError(t, json.Unmarshal(output, &scores), "%s", problems.String())
	require.NotEmpty(t, scores)
	critical := map[string]bool{}
	for _, scored := range scores {
		for _, check := range scored.Checks {
			if !check.Skipped && check.Grade < gradeOK {
				critical[check.Check.ID] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(critical))
}
