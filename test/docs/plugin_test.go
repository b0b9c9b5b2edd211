package docs

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/example/ksmscale/test/docs/transcripts"
)

// The transcripts of commands that need no cluster. Other tests compare the others, which are named here so that none is forgotten.
func TestTranscripts(t *testing.T) {
	elsewhere := []string{"status", "plan main", "verify", "where", "check", "report"}
	offline := 0
	for arguments, documented := range transcripts.Read(t) {
		if startsWithAny(arguments, elsewhere) {
			continue
		}
		offline++
		code, stdout := transcripts.Run(t, strings.ReplaceAll(arguments, "config/", root+"/config/"))
		require.Zero(t, code)
		require.NotEmpty(t, documented)
		transcripts.Compare(t, arguments, stdout)
	}
	assert.Positive(t, offline)
}

func startsWithAny(text string, beginnings []string) bool {
	for _, beginning := range beginnings {
		if strings.HasPrefix(text, beginning) {
			return true
		}
	}
	return false
}
