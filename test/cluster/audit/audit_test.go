package audit

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
)

const (
	us    = "system:serviceaccount:monitoring:controller"
	other = "admin"
)

// line is one event as the API server writes it. The response is an object's metadata, or "" for a policy
// level that leaves it out.
func line(user, verb, name, subresource string, code int, response string) string {
	if response != "" {
		response = fmt.Sprintf(`,"responseObject":{"kind":"Deployment","metadata":%s}`, response)
	}
	return fmt.Sprintf(`{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"RequestResponse",`+
		`"stage":"ResponseComplete","verb":%q,"user":{"username":%q},"objectRef":{"resource":"deployments",`+
		`"namespace":"default","name":%q,"apiGroup":"apps","subresource":%q},"responseStatus":{"code":%d}%s}`+"\n",
		verb, user, name, subresource, code, response)
}

func meta(name, uid string, resourceVersion int) string {
	return fmt.Sprintf(`{"name":%q,"uid":%q,"resourceVersion":"%d"}`, name, uid, resourceVersion)
}

func TestNoOpPatches(t *testing.T) {
	tests := []struct {
		name  string
		lines []string
		want  int
	}{
		{"a patch that changes something", []string{
			line(us, "patch", "a", "", 201, meta("a", "1", 10)),
			line(us, "patch", "a", "", 200, meta("a", "1", 11)),
		}, 0},
		{"a repeated patch", []string{
			line(us, "patch", "a", "", 201, meta("a", "1", 10)),
			line(us, "patch", "a", "", 200, meta("a", "1", 10)),
			line(us, "patch", "a", "", 200, meta("a", "1", 10)),
		}, 2},
		{"after another user's write, through a subresource", []string{
			line(other, "update", "a", "", 200, meta("a", "1", 10)),
			line(us, "patch", "a", "status", 200, meta("a", "1", 10)),
		}, 1},
		{"by another user", []string{
			line(us, "patch", "a", "", 200, meta("a", "1", 10)),
			line(other, "patch", "a", "", 200, meta("a", "1", 10)),
		}, 0},
		{"an update is no patch", []string{
			line(us, "update", "a", "", 200, meta("a", "1", 10)),
			line(us, "update", "a", "", 200, meta("a", "1", 10)),
		}, 0},
		{"another object", []string{
			line(us, "patch", "a", "", 200, meta("a", "1", 10)),
			line(us, "patch", "b", "", 200, meta("b", "2", 10)),
		}, 0},
		{"refused", []string{
			line(us, "patch", "a", "", 200, meta("a", "1", 10)),
			line(us, "patch", "a", "", 409, ""),
		}, 0},
		{"without a response", []string{
			line(us, "patch", "a", "", 200, ""),
			line(us, "patch", "a", "", 200, ""),
		}, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			assert.Len(t, NoOpPatches(read(t, test.lines...), us), test.want)
		})
	}
}

func TestCreatesAndWrites(t *testing.T) {
	events := read(t,
		line(us, "create", "", "", 201, meta("generated-x7", "1", 10)),
		line(us, "patch", "applied", "", 201, ""),
		line(us, "patch", "applied", "", 200, ""),
		line(us, "delete", "applied", "", 200, ""),
		line(us, "create", "applied", "", 409, ""),
		line(us, "patch", "applied", "", 201, ""),
		line(other, "create", "theirs", "", 201, ""),
	)
	assert.Equal(t, map[Object]int{deployment("generated-x7"): 1, deployment("applied"): 2}, Creates(events, us))
	assert.Len(t, Writes(events, us), 5)
	assert.Len(t, Writes(events, other), 1)
}

func TestSince(t *testing.T) {
	first := line(us, "create", "a", "", 201, "")
	second := line(us, "create", "b", "", 201, "")
	path := filepath.Join(t.TempDir(), "audit.log")
	write := func(text string) {
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	}
	write(first)
	mark, err := Mark(path)
	require.NoError(t, err)
	assert.Empty(t, names(t, path, mark))

	write(first + second[:40])
	partial, err := Mark(path)
	require.NoError(t, err)
	assert.Equal(t, []string{"a"}, names(t, path, 0), "a line that is being written is not there yet")

	write(first + second + first)
	assert.Equal(t, []string{"a", "b", "a"}, names(t, path, 0))
	assert.Equal(t, []string{"b", "a"}, names(t, path, mark))
	assert.Equal(t, []string{"a"}, names(t, path, partial), "a line begun before the mark is before it")
}

func TestReadErrors(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	_, err := Read(path)
	require.ErrorIs(t, err, os.ErrNotExist)
	_, err = Mark(path)
	require.ErrorIs(t, err, os.ErrNotExist)
	require.NoError(t, os.WriteFile(path, []byte("not JSON\n"), 0o600))
	_, err = Read(path)
	require.ErrorContains(t, err, "parse")
}

func read(t *testing.T, lines ...string) []auditv1.Event {
	t.Helper()
	var text string
	for _, encoded := range lines {
		text += encoded
	}
	path := filepath.Join(t.TempDir(), "audit.log")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	events, err := Read(path)
	require.NoError(t, err)
	return events
}

func names(t *testing.T, path string, mark int64) []string {
	t.Helper()
	events, err := Since(path, mark)
	require.NoError(t, err)
	var actual []string
	for _, event := range events {
		actual = append(actual, event.ObjectRef.Name)
	}
	return actual
}

func deployment(name string) Object {
	return Object{
		GroupResource:  schema.GroupResource{Group: "apps", Resource: "deployments"},
		NamespacedName: types.NamespacedName{Namespace: "default", Name: name},
	}
}
