package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/example/ksmscale/test/cluster/audit"
)

const (
	controller = "system:serviceaccount:system:controller"
	shard      = "system:serviceaccount:monitoring:ksm-medium"
)

// granted returns the rights of the manifest.
func granted(t *testing.T) []right {
	t.Helper()
	var all manifests
	require.NoError(t, all.add([]byte(manifest)))
	return all.granted()
}

const manifest = `
apiVersion: v1
kind: ServiceAccount
metadata: {name: controller, namespace: system}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: controller}
rules:
  - {apiGroups: [apps], resources: [deployments, deployments/scale], verbs: [get, patch]}
  - {apiGroups: [""], resources: [secrets], resourceNames: [a, b], verbs: [get]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: controller, namespace: system}
rules:
  - {apiGroups: [""], resources: [pods], verbs: [get]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: shards}
rules:
  - {nonResourceURLs: [/metrics], verbs: [get]}
  - {apiGroups: [metrics], resources: ["*"], verbs: [list]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: controller}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: controller}
subjects: [{kind: ServiceAccount, name: controller, namespace: system}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: controller, namespace: system}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: controller}
subjects: [{kind: ServiceAccount, name: controller, namespace: system}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: reviews}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: system:auth-delegator}
subjects: [{kind: ServiceAccount, name: controller, namespace: system}]
`

func TestGranted(t *testing.T) {
	const clusterRole, role = "ClusterRole controller", "Role controller"
	assert.ElementsMatch(t, []right{
		{Role: clusterRole, User: controller, Group: "apps", Resource: "deployments", Verb: "get"},
		{Role: clusterRole, User: controller, Group: "apps", Resource: "deployments", Verb: "patch"},
		{Role: clusterRole, User: controller, Group: "apps", Resource: "deployments/scale", Verb: "get"},
		{Role: clusterRole, User: controller, Group: "apps", Resource: "deployments/scale", Verb: "patch"},
		{Role: clusterRole, User: controller, Resource: "secrets", Name: "a", Verb: "get"},
		{Role: clusterRole, User: controller, Resource: "secrets", Name: "b", Verb: "get"},
		{Role: role, User: controller, Namespace: "system", Resource: "pods", Verb: "get"},
		{Role: "ClusterRole shards", User: shards, Path: "/metrics", Verb: "get"},
		{Role: "ClusterRole shards", User: shards, Group: "metrics", Resource: "*", Verb: "list"},
	}, granted(t))
}

func TestManifestsThatCannotBeRead(t *testing.T) {
	_, err := readManifests("none.yaml")
	require.ErrorContains(t, err, "none.yaml")
	require.Error(t, new(manifests).add([]byte("rules: [")))
}

// Each request is permitted by one right of the manifest, or by none.
func TestPermits(t *testing.T) {
	tests := []struct {
		name    string
		request audit.Request
		want    string
	}{
		{"a resource in any namespace", audit.Request{User: controller, Verb: "get", Group: "apps", Resource: "deployments", Namespace: "shop", Name: "a"},
			"ClusterRole controller: get deployments.apps"},
		{"a subresource", audit.Request{User: controller, Verb: "get", Group: "apps", Resource: "deployments/scale", Name: "a"},
			"ClusterRole controller: get deployments/scale.apps"},
		{"another verb", audit.Request{User: controller, Verb: "list", Group: "apps", Resource: "deployments"}, ""},
		{"another group", audit.Request{User: controller, Verb: "get", Resource: "deployments"}, ""},
		{"another account", audit.Request{User: shard, Verb: "get", Group: "apps", Resource: "deployments"}, ""},
		{"an object by name", audit.Request{User: controller, Verb: "get", Resource: "secrets", Name: "b"}, "ClusterRole controller: get secrets b"},
		{"another object", audit.Request{User: controller, Verb: "get", Resource: "secrets", Name: "c"}, ""},
		{"the namespace of a Role", audit.Request{User: controller, Verb: "get", Resource: "pods", Namespace: "system", Name: "a"}, "Role controller: get pods"},
		{"another namespace", audit.Request{User: controller, Verb: "get", Resource: "pods", Namespace: "shop", Name: "a"}, ""},
		{"a path", audit.Request{User: shard, Verb: "get", Path: "/metrics"}, "ClusterRole shards: get /metrics"},
		{"another path", audit.Request{User: shard, Verb: "get", Path: "/healthz"}, ""},
		{"all resources of a group", audit.Request{User: shard, Verb: "list", Group: "metrics", Resource: "a"}, "ClusterRole shards: list *.metrics"},
		{"no resource of the group", audit.Request{User: shard, Verb: "list", Path: "/metrics"}, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var permitting []string
			for _, one := range granted(t) {
				if one.permits(test.request) {
					permitting = append(permitting, one.String())
				}
			}
			assert.Equal(t, test.want, strings.Join(permitting, ", "))
		})
	}
}

func TestProblems(t *testing.T) {
	listPods := right{Role: "Role a", User: controller, Resource: "pods", Verb: "list"}
	lists := audit.Request{User: controller, Verb: "list", Resource: "pods", Namespace: "shop"}
	watches := audit.Request{User: controller, Verb: "watch", Resource: "pods", Namespace: "shop"}
	refused := func(request audit.Request) audit.Request {
		request.Refused = true
		return request
	}
	all := []string{integration, endToEnd}
	tests := []struct {
		name       string
		requests   []audit.Request
		exceptions exceptions
		suites     []string
		want       []string
	}{
		{"used", []audit.Request{lists}, exceptions{}, all, nil},
		{"unused", nil, exceptions{}, all, []string{"unused: Role a: list pods"}},
		{"unused in a part", nil, exceptions{}, nil, nil},
		{"unused in its suite", nil, exceptions{}, []string{integration}, []string{"unused: Role a: list pods"}},
		{"unused in another suite", nil, exceptions{}, []string{endToEnd}, nil},
		{"for pods only, in its suite", nil, exceptions{pods: map[string]string{"Role a: list pods": "why"}}, []string{endToEnd}, []string{"unused: Role a: list pods"}},
		{"for pods only, in another suite", nil, exceptions{pods: map[string]string{"Role a: list pods": "why"}}, []string{integration}, nil},
		{"unused for a reason", nil, exceptions{unused: map[string]string{"Role a: list pods": "why"}}, all, nil},
		{"unused for a while", nil, exceptions{seldom: map[string]string{"Role a: list pods": "why"}}, all, nil},
		{"used once in a while", []audit.Request{lists}, exceptions{seldom: map[string]string{"Role a: list pods": "why"}}, all, nil},
		{"a reason for one that is used", []audit.Request{lists}, exceptions{unused: map[string]string{"Role a: list pods": "why"}}, nil, []string{"used: Role a: list pods"}},
		{"a reason for one that is not granted", []audit.Request{lists}, exceptions{unused: map[string]string{"Role a: get pods": "why"}}, nil, []string{"not granted: Role a: get pods"}},
		{"missing", []audit.Request{lists, refused(watches)}, exceptions{}, nil, []string{"missing: " + controller + ": watch pods was refused"}},
		{"missing for a reason", []audit.Request{lists, refused(watches)}, exceptions{refused: map[string]string{controller + ": watch pods": "why"}}, all, nil},
		{"refused by an API server that has just started", []audit.Request{lists, watches, refused(watches)}, exceptions{}, all, nil},
		{"taken away by a test", []audit.Request{lists, refused(lists)}, exceptions{}, all, nil},
		{"never without a refusal", []audit.Request{refused(lists)}, exceptions{}, all, []string{"unused: Role a: list pods"}},
		{"permitted by another role", []audit.Request{lists, watches}, exceptions{}, all, nil},
		{"refused to someone else", []audit.Request{lists, refused(audit.Request{User: "other", Verb: "list", Resource: "pods"})}, exceptions{}, all, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			problems := compare([]right{listPods}, test.requests).problems(test.exceptions, test.suites...)
			require.Len(t, problems, len(test.want))
			for i, want := range test.want {
				assert.ErrorContains(t, problems[i], want)
			}
		})
	}
}

func TestTable(t *testing.T) {
	c := compare(granted(t), []audit.Request{
		{User: controller, Verb: "get", Group: "apps", Resource: "deployments", Name: "a"},
		{User: controller, Verb: "get", Group: "apps", Resource: "deployments", Name: "b"},
	})
	var output strings.Builder
	require.NoError(t, c.table(&output, exceptions{unused: map[string]string{"Role controller: get pods": "why"}}, integration))
	assert.Equal(t, `ROLE                    RIGHT TO                REQUESTS OF EACH VERB
ClusterRole controller  deployments.apps        get 2, patch 0
ClusterRole controller  deployments/scale.apps  get 0, patch 0
ClusterRole controller  secrets a               get 0
ClusterRole controller  secrets b               get 0
Role controller         pods                    get (exception)
`, output.String())
}

func TestSuiteOf(t *testing.T) {
	for _, one := range granted(t) {
		want := integration
		if one.User == shards {
			want = endToEnd
		}
		assert.Equal(t, want, exceptions{}.suiteOf(one), one)
	}
}
