// Package audit reads the API server's audit log. With it, a test can state which objects a controller created, and which
// of its patches changed no object. requests.go has what service accounts asked, for `make rights`. Package cluster has the
// path of the log and its policy: the log has all writes, and the reads of service accounts.
//
// The API server writes an event when the response is done, which may be a moment after the client has it.
// A test that looks for its latest write has to look again until it is there.
package audit

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
)

// Mark returns the current end of the log in bytes, for Since. Later entries come after it.
func Mark(path string) (int64, error) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, fmt.Errorf("find end of audit log: %w", err)
	}
	return info.Size(), nil
}

// Read returns all events of the log, in the order of their responses.
func Read(path string) ([]auditv1.Event, error) { return Since(path, 0) }

// Since returns the events after mark, a result of Mark. A last line that is not yet complete is left out.
func Since(path string, mark int64) ([]auditv1.Event, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open audit log: %w", err)
	}
	defer file.Close()
	// Reading starts one byte early and skips everything before the first line end. This only skips a line that was being
	// written when the mark was set.
	if _, err := file.Seek(max(0, mark-1), io.SeekStart); err != nil {
		return nil, fmt.Errorf("seek in audit log: %w", err)
	}
	var events []auditv1.Event
	reader := bufio.NewReader(file)
	for skip := mark > 0; ; skip = false {
		encoded, err := reader.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return events, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read audit log: %w", err)
		}
		if skip {
			continue
		}
		var event auditv1.Event
		if err := json.Unmarshal(encoded, &event); err != nil {
			return nil, fmt.Errorf("parse audit log: %w", err)
		}
		events = append(events, event)
	}
}

// Object names what an event is about; subresources count as their object.
type Object struct {
	schema.GroupResource
	types.NamespacedName
}

// Writes returns the events in which the user wrote and the API server accepted it. The user is a full name,
// such as system:serviceaccount:NAMESPACE:NAME.
func Writes(events []auditv1.Event, user string) []auditv1.Event {
	var writes []auditv1.Event
	for _, event := range events {
		if event.User.Username == user && accepted(event) {
			writes = append(writes, event)
		}
	}
	return writes
}

// IsWrite reports whether a user tried to write.
func IsWrite(event auditv1.Event) bool {
	switch event.Verb {
	case "create", "update", "patch", "delete", "deletecollection":
		return true
	}
	return false
}

// Creates counts per object how often the user created it, with POST or by applying a patch.
func Creates(events []auditv1.Event, user string) map[Object]int {
	creates := map[Object]int{}
	for _, event := range Writes(events, user) {
		if event.ResponseStatus.Code == http.StatusCreated {
			creates[objectOf(event)]++
		}
	}
	return creates
}

// NoOpPatches returns the user's patches that did not change their object. The response of such a patch has a resource
// version that an earlier write of the object returned. The events must include that write. Otherwise the patch counts as
// a change.
func NoOpPatches(events []auditv1.Event, user string) []auditv1.Event {
	type version struct {
		uid             types.UID
		resourceVersion string
	}
	var patches []auditv1.Event
	seen := map[version]bool{}
	for _, event := range events {
		metadata := responseMeta(event)
		if !accepted(event) || metadata.ResourceVersion == "" {
			continue
		}
		this := version{metadata.UID, metadata.ResourceVersion}
		if seen[this] && event.Verb == "patch" && event.User.Username == user {
			patches = append(patches, event)
		}
		seen[this] = true
	}
	return patches
}

// accepted writes have a status of 2xx.
func accepted(event auditv1.Event) bool {
	return IsWrite(event) && event.ResponseStatus != nil && event.ResponseStatus.Code/100 == 2
}

// objectOf prefers the name in the response, because a create with generateName has no name in its request.
func objectOf(event auditv1.Event) Object {
	var object Object
	if ref := event.ObjectRef; ref != nil {
		object.Group, object.Resource = ref.APIGroup, ref.Resource
		object.Namespace, object.Name = ref.Namespace, ref.Name
	}
	if name := responseMeta(event).Name; name != "" {
		object.Name = name
	}
	return object
}

// responseMeta is empty if the policy does not record responses, or the response is no object.
func responseMeta(event auditv1.Event) metav1.ObjectMeta {
	var object metav1.PartialObjectMetadata
	if event.ResponseObject == nil || json.Unmarshal(event.ResponseObject.Raw, &object) != nil {
		return metav1.ObjectMeta{}
	}
	return object.ObjectMeta
}
