package audit

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
)

// Request is what a service account asked of the API server, as far as its right to ask depends on it.
type Request struct {
	// User is a full name, such as system:serviceaccount:NAMESPACE:NAME.
	User string `json:"user"`
	Verb string `json:"verb"`
	// Group is empty for the core group.
	Group string `json:"group,omitempty"`
	// Resource is empty for a path. A subresource follows after a slash.
	Resource  string `json:"resource,omitempty"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name,omitempty"`
	// Path is the path of a request for no resource, such as /metrics.
	Path string `json:"path,omitempty"`
	// Refused is true if the service account lacked the right.
	Refused bool `json:"refused,omitempty"`
}

// String returns the request in one line, such as "list apps deployments in shop by system:serviceaccount:a:b".
func (r Request) String() string {
	words := []string{r.Verb, r.Group, r.Resource, r.Path, r.Name}
	if r.Namespace != "" {
		words = append(words, "in "+r.Namespace)
	}
	words = slices.DeleteFunc(append(words, "by "+r.User), func(word string) bool { return word == "" })
	return strings.Join(words, " ")
}

const (
	serviceAccount = "system:serviceaccount:"
	decision       = "authorization.k8s.io/decision"
	allow          = "allow"
)

// Requests returns what service accounts asked, each request once and sorted. It leaves out Kubernetes' own controllers.
// Some requests need a second right, which the API server checks while it handles them. That one is a request of its own:
// "create" for a patch that creates an object, "bind" for a role in a binding, and what a SubjectAccessReview asks.
func Requests(events []auditv1.Event) []Request {
	seen := map[Request]bool{}
	for _, event := range events {
		if !isServiceAccount(event.User.Username) {
			continue
		}
		asked := requestOf(event)
		seen[asked] = true
		if asked.Refused {
			continue
		}
		for _, further := range []func(auditv1.Event, Request) (Request, bool){creation, binding, review} {
			if request, ok := further(event, asked); ok {
				seen[request] = true
			}
		}
	}
	return slices.SortedFunc(maps.Keys(seen), func(a, b Request) int { return cmp.Compare(a.String(), b.String()) })
}

func isServiceAccount(user string) bool {
	return strings.HasPrefix(user, serviceAccount) && !strings.HasPrefix(user, serviceAccount+"kube-system:")
}

func requestOf(event auditv1.Event) Request {
	request := Request{User: event.User.Username, Verb: event.Verb, Refused: event.Annotations[decision] != allow}
	if ref := event.ObjectRef; ref != nil {
		request.Group, request.Resource, request.Namespace, request.Name = ref.APIGroup, ref.Resource, ref.Namespace, ref.Name
		if ref.Subresource != "" {
			request.Resource += "/" + ref.Subresource
		}
	} else if asked, err := url.Parse(event.RequestURI); err == nil {
		request.Path = asked.Path
	}
	return request
}

// creation is what a patch needs in addition if there is no such object.
func creation(event auditv1.Event, request Request) (Request, bool) {
	if event.Verb != "patch" && event.Verb != "update" || event.ResponseStatus == nil {
		return Request{}, false
	}
	request.Verb = "create"
	request.Refused = event.ResponseStatus.Code == http.StatusForbidden && strings.Contains(event.ResponseStatus.Message, "cannot create resource")
	return request, request.Refused || event.ResponseStatus.Code == http.StatusCreated
}

// binding is the right to bind the role of a binding.
func binding(event auditv1.Event, request Request) (Request, bool) {
	var written rbacv1.RoleBinding // A ClusterRoleBinding has the same form.
	if request.Group != rbacv1.GroupName || !strings.HasSuffix(request.Resource, "rolebindings") || event.ResponseStatus == nil ||
		event.RequestObject == nil || json.Unmarshal(event.RequestObject.Raw, &written) != nil || written.RoleRef.Name == "" {
		return Request{}, false
	}
	request.Verb, request.Resource, request.Name = "bind", strings.ToLower(written.RoleRef.Kind)+"s", written.RoleRef.Name
	request.Refused = event.ResponseStatus.Code == http.StatusForbidden && strings.Contains(event.ResponseStatus.Message, "attempting to grant RBAC permissions")
	return request, request.Refused || accepted(event)
}

// review is what a server asked the API server about a service account that is its client.
func review(event auditv1.Event, request Request) (Request, bool) {
	var answer authorizationv1.SubjectAccessReview
	if request.Resource != "subjectaccessreviews" || !accepted(event) || event.ResponseObject == nil ||
		json.Unmarshal(event.ResponseObject.Raw, &answer) != nil || !isServiceAccount(answer.Spec.User) {
		return Request{}, false
	}
	reviewed := Request{User: answer.Spec.User, Refused: !answer.Status.Allowed}
	switch {
	case answer.Spec.ResourceAttributes != nil:
		of := answer.Spec.ResourceAttributes
		reviewed.Verb, reviewed.Group, reviewed.Resource, reviewed.Namespace, reviewed.Name = of.Verb, of.Group, of.Resource, of.Namespace, of.Name
		if of.Subresource != "" {
			reviewed.Resource += "/" + of.Subresource
		}
	case answer.Spec.NonResourceAttributes != nil:
		reviewed.Verb, reviewed.Path = answer.Spec.NonResourceAttributes.Verb, answer.Spec.NonResourceAttributes.Path
	}
	return reviewed, reviewed.Verb != ""
}

// SaveRequests writes the requests in audit logs to a new file of the directory, for LoadRequests.
func SaveRequests(directory string, logs ...string) error {
	var events []auditv1.Event
	for _, log := range logs {
		read, err := Read(log)
		if err != nil {
			return err
		}
		events = append(events, read...)
	}
	if err := os.MkdirAll(directory, 0o750); err != nil {
		return fmt.Errorf("save requests of service accounts: %w", err)
	}
	file, err := os.CreateTemp(directory, "*.json")
	if err != nil {
		return fmt.Errorf("save requests of service accounts: %w", err)
	}
	defer file.Close()
	if err := json.NewEncoder(file).Encode(Requests(events)); err != nil {
		return fmt.Errorf("save requests of service accounts: %w", err)
	}
	return nil
}

// LoadRequests returns the requests of all files in a directory. It is an error if there are none.
func LoadRequests(directory string) ([]Request, error) {
	files, err := filepath.Glob(filepath.Join(directory, "*.json"))
	if err != nil {
		return nil, fmt.Errorf("find requests of service accounts: %w", err)
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("no requests of service accounts in %s: %w", directory, os.ErrNotExist)
	}
	var all []Request
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("load requests of service accounts: %w", err)
		}
		var requests []Request
		if err := json.Unmarshal(content, &requests); err != nil {
			return nil, fmt.Errorf("load requests of service accounts from %s: %w", file, err)
		}
		all = append(all, requests...)
	}
	return all, nil
}
