package audit

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
)

// asked is an event of our service account that the API server allowed.
func asked(verb string, ref *auditv1.ObjectReference, uri string, code int32) auditv1.Event {
	event := auditv1.Event{
		Verb: verb, ObjectRef: ref, RequestURI: uri, Annotations: map[string]string{decision: allow},
		ResponseStatus: &metav1.Status{Code: code},
	}
	event.User.Username = us
	return event
}

// with changes an event.
func with(event auditv1.Event, change func(*auditv1.Event)) auditv1.Event {
	change(&event)
	return event
}

func TestRequests(t *testing.T) {
	pods := &auditv1.ObjectReference{Resource: "pods", Namespace: "shop"}
	deployment := &auditv1.ObjectReference{APIGroup: "apps", Resource: "deployments", Namespace: "shop", Name: "a"}
	patched := Request{User: us, Verb: "patch", Group: "apps", Resource: "deployments", Namespace: "shop", Name: "a"}
	created := Request{User: us, Verb: "create", Group: "apps", Resource: "deployments", Namespace: "shop", Name: "a"}
	bindings := &auditv1.ObjectReference{APIGroup: "rbac.authorization.k8s.io", Resource: "clusterrolebindings", Name: "a"}
	bindingPatched := Request{User: us, Verb: "patch", Group: "rbac.authorization.k8s.io", Resource: "clusterrolebindings", Name: "a"}
	bound := Request{User: us, Verb: "bind", Group: "rbac.authorization.k8s.io", Resource: "clusterroles", Name: "reader"}
	roleRef := &runtime.Unknown{Raw: []byte(`{"kind":"ClusterRoleBinding","roleRef":{"kind":"ClusterRole","name":"reader"}}`)}
	reviews := &auditv1.ObjectReference{APIGroup: "authorization.k8s.io", Resource: "subjectaccessreviews"}
	reviewed := Request{User: us, Verb: "create", Group: "authorization.k8s.io", Resource: "subjectaccessreviews"}
	answer := func(text string) func(*auditv1.Event) {
		return func(event *auditv1.Event) { event.ResponseObject = &runtime.Unknown{Raw: []byte(text)} }
	}
	refused := func(request Request) Request {
		request.Refused = true
		return request
	}
	tests := []struct {
		name  string
		event auditv1.Event
		want  []Request
	}{
		{"a read", asked("list", pods, "/api/v1/namespaces/shop/pods", 200),
			[]Request{{User: us, Verb: "list", Resource: "pods", Namespace: "shop"}}},
		{"a subresource", asked("get", &auditv1.ObjectReference{APIGroup: "apps", Resource: "deployments", Subresource: "scale", Name: "a"}, "", 200),
			[]Request{{User: us, Verb: "get", Group: "apps", Resource: "deployments/scale", Name: "a"}}},
		{"a path", asked("get", nil, "/version?timeout=1s", 200), []Request{{User: us, Verb: "get", Path: "/version"}}},
		{"a refused read", with(asked("list", pods, "", 403), func(e *auditv1.Event) { e.Annotations[decision] = "forbid" }),
			[]Request{{User: us, Verb: "list", Resource: "pods", Namespace: "shop", Refused: true}}},
		{"a write that the API server refuses for another reason than rights", asked("create", pods, "", 403),
			[]Request{{User: us, Verb: "create", Resource: "pods", Namespace: "shop"}}},
		{"a person", with(asked("list", pods, "", 200), func(e *auditv1.Event) { e.User.Username = "admin" }), nil},
		{"a controller of Kubernetes", with(asked("list", pods, "", 200), func(e *auditv1.Event) { e.User.Username = "system:serviceaccount:kube-system:a" }), nil},

		{"a patch of an object", asked("patch", deployment, "", 200), []Request{patched}},
		{"a patch that creates", asked("patch", deployment, "", 201), []Request{created, patched}},
		{"a patch that may not create", with(asked("patch", deployment, "", 403), func(e *auditv1.Event) {
			e.ResponseStatus.Message = `deployments.apps "a" is forbidden: User "u" cannot create resource "deployments" in API group "apps"`
		}), []Request{refused(created), patched}},

		{"a binding", with(asked("patch", bindings, "", 200), func(e *auditv1.Event) { e.RequestObject = roleRef }), []Request{bound, bindingPatched}},
		{"a binding of a role that may not be bound", with(asked("patch", bindings, "", 403), func(e *auditv1.Event) {
			e.RequestObject = roleRef
			e.ResponseStatus.Message = `user "u" (groups=["g"]) is attempting to grant RBAC permissions not currently held`
		}), []Request{refused(bound), bindingPatched}},
		{"a binding that fails", with(asked("patch", bindings, "", 500), func(e *auditv1.Event) { e.RequestObject = roleRef }), []Request{bindingPatched}},
		{"a patch of a binding's labels", with(asked("patch", bindings, "", 200), func(e *auditv1.Event) {
			e.RequestObject = &runtime.Unknown{Raw: []byte(`{"metadata":{}}`)}
		}), []Request{bindingPatched}},

		{"a review for a path", with(asked("create", reviews, "", 201), answer(
			`{"spec":{"user":"system:serviceaccount:a:b","nonResourceAttributes":{"verb":"get","path":"/metrics"}},"status":{"allowed":true}}`)),
			[]Request{reviewed, {User: "system:serviceaccount:a:b", Verb: "get", Path: "/metrics"}}},
		{"a review for a subresource, refused", with(asked("create", reviews, "", 201), answer(
			`{"spec":{"user":"system:serviceaccount:a:b","resourceAttributes":{"verb":"get","group":"g","resource":"r","subresource":"s","namespace":"n","name":"o"}}}`)),
			[]Request{reviewed, {User: "system:serviceaccount:a:b", Verb: "get", Group: "g", Resource: "r/s", Namespace: "n", Name: "o", Refused: true}}},
		{"a review of a person", with(asked("create", reviews, "", 201), answer(
			`{"spec":{"user":"admin","nonResourceAttributes":{"verb":"get","path":"/metrics"}},"status":{"allowed":true}}`)), []Request{reviewed}},
		{"a review without an answer in the log", asked("create", reviews, "", 201), []Request{reviewed}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			assert.ElementsMatch(t, test.want, Requests([]auditv1.Event{test.event, test.event}), "each once")
		})
	}
}

func TestRequestsAreSavedAndLoaded(t *testing.T) {
	directory, logs := filepath.Join(t.TempDir(), "rights"), t.TempDir()
	var paths []string
	for _, resource := range []string{"pods", "nodes"} {
		encoded, err := json.Marshal(asked("list", &auditv1.ObjectReference{Resource: resource}, "", 200))
		require.NoError(t, err)
		paths = append(paths, filepath.Join(logs, resource))
		require.NoError(t, os.WriteFile(paths[len(paths)-1], append(encoded, '\n'), 0o600))
	}
	_, err := LoadRequests(directory)
	require.ErrorIs(t, err, os.ErrNotExist)
	require.NoError(t, SaveRequests(directory, paths...))
	require.NoError(t, SaveRequests(directory, paths[0]))
	loaded, err := LoadRequests(directory)
	require.NoError(t, err)
	onPods, onNodes := Request{User: us, Verb: "list", Resource: "pods"}, Request{User: us, Verb: "list", Resource: "nodes"}
	assert.ElementsMatch(t, []Request{onPods, onNodes, onPods}, loaded, "of all files")
	require.Error(t, SaveRequests(directory, filepath.Join(logs, "none")))
}

func TestRequestsAsText(t *testing.T) {
	for want, request := range map[string]Request{
		"list apps deployments in shop by u": {User: "u", Verb: "list", Group: "apps", Resource: "deployments", Namespace: "shop"},
		"get /metrics by u":                  {User: "u", Verb: "get", Path: "/metrics"},
		"get nodes a by u":                   {User: "u", Verb: "get", Resource: "nodes", Name: "a"},
	} {
		assert.Equal(t, want, request.String())
	}
}
