package integration

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var shell = regexp.MustCompile("(?s)\n```sh\n(.*?)\n```")

// commandsOf are the commands of a page of docs, in its groups.
func commandsOf(t *testing.T, page string) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", page))
	require.NoError(t, err)
	var commands []string
	for _, block := range shell.FindAllStringSubmatch(string(text), -1) {
		commands = append(commands, block[1])
	}
	return commands
}

// samples are the files of config/samples, and the examples of its folder seed.
func samples(t *testing.T) []string {
	t.Helper()
	var files []string
	for _, pattern := range []string{"*.yaml", "seed/*.yaml"} {
		matches, err := filepath.Glob(filepath.Join("..", "..", "config", "samples", pattern))
		require.NoError(t, err)
		require.NotEmpty(t, matches, pattern)
		files = append(files, matches...)
	}
	return files
}

// runCommands types commands into a shell whose kubectl has the cluster's administrator's rights. All have to succeed.
func runCommands(t *testing.T, commands ...string) (output string) {
	t.Helper()
	programs, err := filepath.Abs(filepath.Join("..", "..", "bin"))
	require.NoError(t, err)
	command := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", strings.Join(commands, "\n"))
	command.Env = append(os.Environ(), "KUBECONFIG="+shared.cluster.Kubeconfig(), "PATH="+programs+":"+os.Getenv("PATH"))
	printed, err := command.CombinedOutput()
	require.NoError(t, err, "%s", printed)
	t.Logf("%s", printed)
	return string(printed)
}
