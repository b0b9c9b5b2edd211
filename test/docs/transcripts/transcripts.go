package transcripts

import (
	"bytes"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/example/ksmscale/plugin"
)

// page is the page with the transcripts, from a folder two below the root.
const page = "../../docs/kubectl-plugin.md"

var block = regexp.MustCompile("(?s)\n```console\n\\$ kubectl ksmscale ([^\n]*)\n(.*?)```\n")

// Read returns the printed text of each transcript, by the arguments of the command.
func Read(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile(page)
	require.NoError(t, err)
	transcripts := map[string]string{}
	for _, match := range block.FindAllStringSubmatch(string(text), -1) {
		transcripts[match[1]] = match[2]
	}
	require.NotEmpty(t, transcripts)
	return transcripts
}

// Run runs the plugin with the arguments of a command, and further ones. It returns what it printed, and its exit code.
func Run(t *testing.T, arguments string, further ...string) (code int, stdout string) {
	t.Helper()
	var out, errOut bytes.Buffer
	code = plugin.Run(append(strings.Fields(arguments), further...), genericiooptions.IOStreams{In: &bytes.Buffer{}, Out: &out, ErrOut: &errOut})
	if errOut.Len() > 0 {
		t.Log(errOut.String())
	}
	return code, out.String()
}

// Compare compares the transcript of a command with what the command printed, except names, numbers and times that differ each time.
func Compare(t *testing.T, arguments, printed string) {
	t.Helper()
	documented, exists := Read(t)[arguments]
	require.True(t, exists, "docs/kubectl-plugin.md has no transcript of: kubectl ksmscale %s", arguments)
	assert.Equal(t, normalized(documented), normalized(printed), "kubectl ksmscale %s printed:\n%s", arguments, printed)
}

var replacements = []struct {
	pattern *regexp.Regexp
	by      string
}{
	{regexp.MustCompile(`(ksm-[a-z0-9-]+-shard-\d+-of-\d+)-[a-z0-9]+-[a-z0-9]{5}`), "$1-POD"},
	{regexp.MustCompile(`(ready|ready;), node [\w.-]+`), "$1, node NODE"},
	{regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`), "UID"},
	{regexp.MustCompile(`v\d+\.\d+\.\d+[-+.\w]*|\bdevel\b`), "VERSION"},
	{regexp.MustCompile(`ksmscale-main-[\d-]+\.tar\.gz with \d+ files`), "ksmscale-main-TIME.tar.gz with N files"},
	{regexp.MustCompile(`ksmscale-controller-[a-z0-9]+-[a-z0-9]{5} leads`), "CONTROLLER leads"},
	{regexp.MustCompile(`valid until \d{4}-\d\d-\d\d`), "valid until DATE"},
	{regexp.MustCompile(`about [\dhms]+`), "about TIME"},
	// These depend on what the cluster of a test has: the UID of an object decides on its shard.
	{regexp.MustCompile(`(?m)^(main +)\d( of \d +ksm-main-shard-)\d`), "${1}SHARD${2}SHARD"},
	{regexp.MustCompile(`(Recommended: .*), without [^)]*`), "$1"},
	{regexp.MustCompile(` +`), " "},
}

// counts are lines whose numbers depend on the objects of the cluster.
var (
	counts = regexp.MustCompile(`^(Partition of|\d+ ksm-| +series|Recommended:|Memory:| +memory)`)
	number = regexp.MustCompile(`\d+`)
)

func normalized(text string) string {
	for _, replacement := range replacements {
		text = replacement.pattern.ReplaceAllString(text, replacement.by)
	}
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if counts.MatchString(line) {
			lines[i] = number.ReplaceAllString(line, "N")
		}
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return strings.Join(lines, "\n")
}
