package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/util/yaml"

	"github.com/example/ksmscale/test/cluster/audit"
)

// shards matches the service accounts of kube-state-metrics and gates, in any namespace. The controller creates them, and
// binds to them those roles that no manifest binds.
const shards = "system:serviceaccount:*:ksm-*"

// right is the smallest part of a role: one verb for one resource, object or path.
type right struct {
	// Role is its kind and name, because a Role and a ClusterRole can have the same name.
	Role string
	// User is who has the right, as a pattern of full names.
	User string
	// Namespace is empty if the right is for all of them.
	Namespace string
	// Group is empty for the core group. Resource is empty for a path. A subresource follows after a slash.
	Group, Resource string
	// Name is empty if the right is for all objects.
	Name string
	Path string
	Verb string
}

// permits reports whether a request needs no other right than this one.
func (r right) permits(request audit.Request) bool {
	ofUser, err := path.Match(r.User, request.User)
	return err == nil && ofUser && r.Verb == request.Verb && r.Path == request.Path &&
		r.Group == request.Group && (r.Resource == request.Resource || r.Resource == rbacv1.ResourceAll) &&
		(r.Namespace == "" || r.Namespace == request.Namespace) && (r.Name == "" || r.Name == request.Name)
}

// String returns the right in one line, such as "ClusterRole a: list deployments.apps".
func (r right) String() string {
	holder := r.Role
	if holder == "" {
		holder = r.User
	}
	return holder + ": " + r.Verb + " " + r.object()
}

// object is what the right is for, without the verb.
func (r right) object() string {
	if r.Path != "" {
		return r.Path
	}
	named := r.Resource
	if r.Group != "" {
		named += "." + r.Group
	}
	if r.Name != "" {
		named += " " + r.Name
	}
	return named
}

// manifests are roles and their bindings.
type manifests struct {
	roles    []rbacv1.ClusterRole        // also of kind Role, with their namespace
	bindings []rbacv1.ClusterRoleBinding // also of kind RoleBinding, with their namespace
}

// readManifests reads the roles and bindings of files, and skips all other objects.
func readManifests(files ...string) (manifests, error) {
	var all manifests
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err == nil {
			err = all.add(content)
		}
		if err != nil {
			return manifests{}, fmt.Errorf("read rights of %s: %w", file, err)
		}
	}
	return all, nil
}

func (m *manifests) add(content []byte) error {
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(content), 4096)
	for {
		var object struct {
			rbacv1.ClusterRole `json:",inline"`
			Subjects           []rbacv1.Subject `json:"subjects"`
			RoleRef            rbacv1.RoleRef   `json:"roleRef"`
		}
		err := decoder.Decode(&object)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case object.APIVersion != rbacv1.SchemeGroupVersion.String():
		case object.RoleRef.Name == "":
			m.roles = append(m.roles, object.ClusterRole)
		default:
			m.bindings = append(m.bindings, rbacv1.ClusterRoleBinding{
				TypeMeta: object.TypeMeta, ObjectMeta: object.ObjectMeta, Subjects: object.Subjects, RoleRef: object.RoleRef,
			})
		}
	}
}

// granted returns the rights of all roles, for each account that has them. The built-in roles of Kubernetes are left out:
// their rights are not for us to choose.
func (m *manifests) granted() []right {
	var all []right
	for _, role := range m.roles {
		for _, holder := range m.holders(role) {
			for _, rule := range role.Rules {
				all = append(all, split(rule, holder)...)
			}
		}
	}
	return all
}

// holders are one right for each account with a role, still without what the right is for.
func (m *manifests) holders(role rbacv1.ClusterRole) []right {
	named := role.Kind + " " + role.Name
	var holders []right
	for _, binding := range m.bindings {
		if binding.RoleRef.Kind != role.Kind || binding.RoleRef.Name != role.Name || role.Namespace != "" && role.Namespace != binding.Namespace {
			continue
		}
		for _, subject := range binding.Subjects {
			user := strings.Join([]string{"system:serviceaccount", subject.Namespace, subject.Name}, ":")
			holders = append(holders, right{Role: named, User: user, Namespace: binding.Namespace})
		}
	}
	if len(holders) == 0 {
		return []right{{Role: named, User: shards}}
	}
	return holders
}

// split has a right for each combination in a rule.
func split(rule rbacv1.PolicyRule, holder right) []right {
	names := rule.ResourceNames
	if len(names) == 0 {
		names = []string{""}
	}
	var rights []right
	for _, verb := range rule.Verbs {
		one := holder
		one.Verb = verb
		for _, one.Path = range rule.NonResourceURLs {
			rights = append(rights, one)
		}
		one.Path = ""
		for _, one.Group = range rule.APIGroups {
			for _, one.Resource = range rule.Resources {
				for _, one.Name = range names {
					rights = append(rights, one)
				}
			}
		}
	}
	return slices.Clip(rights)
}
