package docs

import (
	"encoding/csv"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/util/sets"
	"sigs.k8s.io/yaml"

	"github.com/example/ksmscale/api/v1alpha1"
)

var documents = regexp.MustCompile(`(?m)^---$`)

// decodeKSMScale decodes a document that is a KSMScale, or the spec or status of one. It returns false for other documents.
func decodeKSMScale(t *testing.T, where, document string) (v1alpha1.KSMScale, bool) {
	t.Helper()
	var object map[string]any
	var ksmScale v1alpha1.KSMScale
	require.NoError(t, yaml.Unmarshal([]byte(document), &object), "%s:\n%s", where, document)
	_, hasSpec := object["spec"]
	_, hasStatus := object["status"]
	if kind, hasKind := object["kind"]; hasKind && kind != "KSMScale" || !hasKind && !hasSpec && !hasStatus {
		return ksmScale, false
	}
	assert.NoError(t, yaml.UnmarshalStrict([]byte(document), &ksmScale), "%s:\n%s", where, document)
	return ksmScale, true
}

func TestExamplesAreKSMScales(t *testing.T) {
	seen := 0
	for _, p := range pages(t) {
		for _, block := range p.code(t) {
			if block.language != "yaml" {
				continue
			}
			for _, document := range documents.Split(block.text, -1) {
				if _, ok := decodeKSMScale(t, p.path, document); ok {
					seen++
				}
			}
		}
	}
	assert.Positive(t, seen)
}

func TestSamplesAreKSMScales(t *testing.T) {
	for _, pattern := range []string{"*.yaml", "seed/*.yaml"} {
		files, err := filepath.Glob(filepath.Join(root, "config/samples", pattern))
		require.NoError(t, err)
		require.NotEmpty(t, files)
		for _, file := range files {
			sample, err := os.ReadFile(file)
			require.NoError(t, err)
			for _, document := range documents.Split(string(sample), -1) {
				decodeKSMScale(t, file, document)
			}
		}
	}
}

// The examples of the README and of the page on sizing are the sample that they name.
func TestExamplesAreTheSample(t *testing.T) {
	sample, err := os.ReadFile(filepath.Join(root, "config/samples/medium.yaml"))
	require.NoError(t, err)
	expected, ok := decodeKSMScale(t, "medium.yaml", string(sample))
	require.True(t, ok)
	for _, path := range []string{"README.md", "docs/sizing.md"} {
		matches := false
		for _, block := range readPage(t, path).code(t) {
			if ksmScale, ok := decodeIfYAML(t, path, block); ok && ksmScale.Name == expected.Name {
				matches = true
				assert.Equal(t, expected, ksmScale, path)
			}
		}
		assert.True(t, matches, "%s has no KSMScale %s", path, expected.Name)
	}
}

func decodeIfYAML(t *testing.T, path string, block codeBlock) (v1alpha1.KSMScale, bool) {
	t.Helper()
	if block.language != "yaml" {
		return v1alpha1.KSMScale{}, false
	}
	return decodeKSMScale(t, path, block.text)
}

var (
	makeTarget   = regexp.MustCompile(`(?m)\bmake ([a-z][-a-z0-9 ]*)`)
	ourPath      = regexp.MustCompile(`(?:^|[\s=(])((?:config|deploy|docs|test|cmd)/[-\w./]+)`)
	targetOfMake = regexp.MustCompile(`(?m)^([-a-z0-9]+):`)
)

// Commands name targets of the Makefile and files that exist, and bash can parse them.
func TestCommandsNameWhatExists(t *testing.T) {
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	require.NoError(t, err)
	targets := sets.New[string]()
	for _, target := range targetOfMake.FindAllStringSubmatch(string(makefile), -1) {
		targets.Insert(target[1])
	}
	for _, p := range pages(t) {
		// It also has commands that are gone.
		if p.path == "CHANGELOG.md" {
			continue
		}
		texts := p.inlineCode(t)
		for _, block := range p.code(t) {
			if block.language != "sh" && block.language != "bash" {
				continue
			}
			texts = append(texts, block.text)
			shell := exec.CommandContext(t.Context(), "bash", "-n")
			shell.Stdin = strings.NewReader(block.text)
			output, err := shell.CombinedOutput()
			assert.NoError(t, err, "%s: %s\n%s", p.path, output, block.text)
		}
		for _, text := range texts {
			for _, command := range makeTarget.FindAllStringSubmatch(text, -1) {
				for target := range strings.FieldsSeq(command[1]) {
					assert.True(t, targets.Has(target), "%s: make %s: there is no such target", p.path, target)
				}
			}
			for _, path := range ourPath.FindAllStringSubmatch(text, -1) {
				// kubectl calls a Deployment deploy/NAME.
				if strings.HasPrefix(path[1], "deploy/ksm") {
					continue
				}
				_, err := os.Stat(filepath.Join(root, path[1]))
				assert.NoError(t, err, "%s: %s", p.path, text)
			}
		}
	}
}

// The shell function that computes a shard has the results of kube-state-metrics' own code.
func TestShardOf(t *testing.T) {
	file, err := os.Open(filepath.Join(root, "gate/sharding/testdata/shards.csv"))
	require.NoError(t, err)
	defer file.Close()
	reader := csv.NewReader(file)
	reader.Comment = '#'
	rows, err := reader.ReadAll()
	require.NoError(t, err)

	function := readPage(t, "docs/which-shard.md").code(t)[0].text
	require.Contains(t, function, "shard_of()")
	var script, expected strings.Builder
	script.WriteString(function)
	for _, row := range rows[1:20] {
		for total, shard := range row[1:] {
			script.WriteString("shard_of '" + row[0] + "' " + strconv.Itoa(total+1) + "\n")
			expected.WriteString(shard + "\n")
		}
	}
	command := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail")
	command.Stdin = strings.NewReader(script.String())
	output, err := command.CombinedOutput()
	require.NoError(t, err, "%s", output)
	assert.Equal(t, expected.String(), string(output))
}
