package transcripts

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// runbook is the page with a section for each alert, from a folder two below the root.
const runbook = "../../docs/runbook.md"

var (
	fenced = regexp.MustCompile("(?s)\n```(\\w*)\n(.*?)\n")
	isMain = regexp.MustCompile(`\bmain\b`)
)

// FirstCommand returns the first command of the section of an alert in the runbook. name replaces the name of the KSMScale.
func FirstCommand(t *testing.T, alert, name string) string {
	t.Helper()
	text, err := os.ReadFile(runbook)
	require.NoError(t, err)
	_, section, exists := strings.Cut(string(text), "\n## "+alert+"\n")
	require.True(t, exists, "docs/runbook.md has no section %s", alert)
	section, _, _ = strings.Cut(section, "\n## ")
	command := fenced.FindStringSubmatch(section)
	require.NotNil(t, command, "the section of %s in docs/runbook.md has no command", alert)
	require.Equal(t, "sh", command[1], "the first block of the section of %s", alert)
	return isMain.ReplaceAllString(command[2], name)
}
