package gate

import (
	"cmp"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"

	"github.com/example/ksmscale/gate/exposition"
	"github.com/example/ksmscale/gate/ksm"
)

// auditIDHeader is a header of every answer of an API server.
const auditIDHeader = "Audit-ID"

// fakeAPIServer lists metadata page by page, like the API server.
type fakeAPIServer struct {
	*httptest.Server

	mu      sync.Mutex
	objects map[string][]metav1.PartialObjectMetadata
	// refuse returns the error of a list; nil to answer it.
	refuse func(resource, namespace string) *apierrors.StatusError
	// lists are how many lists of each resource have started, and pages the number of their requests.
	lists, pages map[string]int
	// away is whether a load balancer answers instead, and silent whether the server does not answer.
	away, silent bool
}

func newFakeAPIServer(t testing.TB) *fakeAPIServer {
	t.Helper()
	s := &fakeAPIServer{
		objects: map[string][]metav1.PartialObjectMetadata{}, lists: map[string]int{}, pages: map[string]int{},
		refuse: func(string, string) *apierrors.StatusError { return nil },
	}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *fakeAPIServer) config() *rest.Config { return &rest.Config{Host: s.URL, QPS: -1} }

func (s *fakeAPIServer) metadata(t testing.TB) metadata.Interface {
	t.Helper()
	client, err := metadata.NewForConfig(s.config())
	require.NoError(t, err)
	return client
}

// create adds an object whose UID is its name.
func (s *fakeAPIServer) create(kind, namespace string, names ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range names {
		s.objects[kind] = append(s.objects[kind], metav1.PartialObjectMetadata{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, UID: types.UID(name)},
		})
	}
	slices.SortStableFunc(s.objects[kind], func(a, b metav1.PartialObjectMetadata) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
}

// delete removes an object.
func (s *fakeAPIServer) delete(kind, namespace, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.objects[kind] = slices.DeleteFunc(s.objects[kind], func(one metav1.PartialObjectMetadata) bool {
		return one.Namespace == namespace && one.Name == name
	})
}

// recreate gives an object another UID.
func (s *fakeAPIServer) recreate(kind, namespace, name string, uid types.UID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.objects[kind] {
		if one := &s.objects[kind][i]; one.Namespace == namespace && one.Name == name {
			one.UID = uid
		}
	}
}

// refusing makes the server refuse lists of a resource in some namespaces; without a namespace, in all.
func (s *fakeAPIServer) refusing(err func(resource string) *apierrors.StatusError, kind string, namespaces ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.refuse
	s.refuse = func(name, namespace string) *apierrors.StatusError {
		if (kind == "*" || name == kind) && (len(namespaces) == 0 || slices.Contains(namespaces, namespace)) {
			return err(name)
		}
		return before(name, namespace)
	}
}

// accepting makes the server answer all lists again.
func (s *fakeAPIServer) accepting() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuse = func(string, string) *apierrors.StatusError { return nil }
}

func (s *fakeAPIServer) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

func (s *fakeAPIServer) listsOf(kind string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lists[kind]
}

func (s *fakeAPIServer) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.silent:
		panic(http.ErrAbortHandler)
	case s.away:
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	w.Header().Set(auditIDHeader, "1")
	w.Header().Set("Content-Type", "application/json")
	if request.URL.Path == "/version" {
		_, _ = w.Write([]byte("{}"))
		return
	}
	kind, namespace := pathParts(request.URL.Path)
	query := request.URL.Query()
	s.pages[kind]++
	if query.Get("continue") == "" {
		s.lists[kind]++
	}
	if err := s.refuse(kind, namespace); err != nil {
		err.ErrStatus.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}
		w.WriteHeader(int(err.ErrStatus.Code))
		_ = json.NewEncoder(w).Encode(err.ErrStatus)
		return
	}
	_ = json.NewEncoder(w).Encode(s.page(kind, namespace, query.Get("fieldSelector"), query.Get("limit"), query.Get("continue")))
}

// pathParts are the resource and the namespace of a path such as /apis/apps/v1/namespaces/default/deployments.
func pathParts(path string) (kind, namespace string) {
	parts := strings.Split(strings.Trim(path, "/"), "/")
	parts = parts[map[string]int{"api": 2, "apis": 3}[parts[0]]:]
	if len(parts) == 3 {
		namespace = parts[1]
	}
	return parts[len(parts)-1], namespace
}

func (s *fakeAPIServer) page(kind, namespace, selector, limit, token string) metav1.PartialObjectMetadataList {
	matches := fields.ParseSelectorOrDie(selector)
	list := metav1.PartialObjectMetadataList{TypeMeta: metav1.TypeMeta{APIVersion: "meta.k8s.io/v1", Kind: "PartialObjectMetadataList"}}
	var items []metav1.PartialObjectMetadata
	for _, one := range s.objects[kind] {
		if (namespace == "" || one.Namespace == namespace) && matches.Matches(fields.Set{"metadata.namespace": one.Namespace}) {
			items = append(items, one)
		}
	}
	from, _ := strconv.Atoi(token)
	to := len(items)
	if size, err := strconv.Atoi(limit); err == nil && from+size < to {
		to = from + size
		list.Continue = strconv.Itoa(to)
		if selector == "" {
			list.RemainingItemCount = new(int64(len(items) - to))
		}
	}
	list.Items = items[from:to]
	return list
}

// Errors of the API server for a list.
func forbidden(kind string) *apierrors.StatusError {
	return apierrors.NewForbidden(exposition.Resources[kind].GroupVersionResource.GroupResource(), "", nil)
}

func notFound(kind string) *apierrors.StatusError {
	return apierrors.NewNotFound(exposition.Resources[kind].GroupVersionResource.GroupResource(), "")
}

func undecryptable(string) *apierrors.StatusError {
	return apierrors.NewInternalError(fmt.Errorf("unable to decrypt one object"))
}

// fakeMonitor is a kube-state-metrics whose test decides what it exposes.
type fakeMonitor struct {
	*httptest.Server

	mu      sync.Mutex
	silent  bool
	started int
	version string
	// definitions is how many further definitions of custom resources it discovers, one with each request.
	definitions, discovered int
	exposed                 string
	// used is what it exports of what its process has used.
	used string
	// compresses is whether it answers with gzip those who accept that.
	compresses bool
	// pages is how often everything was read, and not some resources.
	pages int
}

func newFakeMonitor(t testing.TB) *fakeMonitor {
	t.Helper()
	m := &fakeMonitor{started: 1, version: "v2.20.0"}
	m.Server = httptest.NewServer(m)
	t.Cleanup(m.Close)
	return m
}

func (m *fakeMonitor) monitor() *ksm.Client {
	return &ksm.Client{HTTP: m.Client(), Metrics: m.URL + "/metrics", Telemetry: m.URL + "/telemetry"}
}

func (m *fakeMonitor) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.silent:
		panic(http.ErrAbortHandler)
	case request.URL.Path == "/telemetry":
		_, _ = fmt.Fprintf(w, "# TYPE process_start_time_seconds gauge\nprocess_start_time_seconds %d.5\n", m.started)
		_, _ = fmt.Fprintf(w, "kube_state_metrics_build_info{version=%q} 1\n", m.version)
		if m.discovered < m.definitions {
			m.discovered++
		}
		_, _ = fmt.Fprintf(w, "# TYPE kube_state_metrics_custom_resource_state_add_events_total counter\nkube_state_metrics_custom_resource_state_add_events_total %d\n", m.discovered)
		_, _ = fmt.Fprint(w, m.used)
	case request.URL.Path == "/metrics":
		if request.URL.RawQuery == "" {
			m.pages++
		}
		if m.compresses && request.Header.Get("Accept-Encoding") == "gzip" {
			w.Header().Set("Content-Encoding", "gzip")
			compressor := gzip.NewWriter(w)
			_, _ = fmt.Fprint(compressor, m.exposed)
			_ = compressor.Close()
			return
		}
		_, _ = fmt.Fprint(w, m.exposed)
	}
}

// define makes it discover so many further definitions of custom resources, one with each request.
func (m *fakeMonitor) define(definitions int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.definitions += definitions
}

// expose makes it expose these pods of the namespace default, or of the namespace before a slash, and no nodes.
func (m *fakeMonitor) expose(pods ...string) {
	var text strings.Builder
	text.WriteString("# HELP kube_node_created Unix creation timestamp\n# TYPE kube_node_created gauge\n")
	text.WriteString("# HELP kube_pod_status_phase Phase\n# TYPE kube_pod_status_phase gauge\n")
	for _, pod := range pods {
		fmt.Fprintf(&text, "kube_pod_status_phase{%s,phase=\"Running\"} 1\n", podLabels(pod))
	}
	text.WriteString("# HELP kube_pod_created Unix creation timestamp\n# TYPE kube_pod_created gauge\n")
	for _, pod := range pods {
		fmt.Fprintf(&text, "kube_pod_created{%s} 1.7e+09\n", podLabels(pod))
	}
	m.exposeText(text.String())
}

func podLabels(pod string) string {
	namespace, name, qualified := strings.Cut(pod, "/")
	if !qualified {
		namespace, name = "default", pod
	}
	return fmt.Sprintf("namespace=%q,pod=%q,uid=\"\"", namespace, name)
}

func (m *fakeMonitor) exposeText(text string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.exposed = text
}

func (m *fakeMonitor) restart() { m.upgrade(m.version) }

func (m *fakeMonitor) upgrade(version string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.started++
	m.version = version
}

// change changes any of it.
func (m *fakeMonitor) change(change func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	change()
}

// uses has it export this CPU time and memory, and how long it has answered scrapes.
func (m *fakeMonitor) uses(cpu, bytes, requests int) {
	m.change(func() {
		m.used = fmt.Sprintf("# TYPE process_cpu_seconds_total counter\nprocess_cpu_seconds_total %d\n"+
			"# TYPE process_resident_memory_bytes gauge\nprocess_resident_memory_bytes %d\n"+
			"# TYPE http_request_duration_seconds histogram\n"+
			"http_request_duration_seconds_bucket{handler=\"metrics\",method=\"get\",le=\"+Inf\"} 7\n"+
			"http_request_duration_seconds_sum{handler=\"metrics\",method=\"get\"} %d\n"+
			"http_request_duration_seconds_count{handler=\"metrics\",method=\"get\"} 7\n", cpu, bytes, requests)
	})
}

func (m *fakeMonitor) silence() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.silent = true
}

func TestTheFakeAPIServerListsPages(t *testing.T) {
	server := newFakeAPIServer(t)
	server.create("pods", "default", "a", "b", "c")
	server.create("pods", "other", "d")
	firstPage := server.page("pods", "", "metadata.namespace!=other", "2", "")
	assert.Len(t, firstPage.Items, 2)
	second := server.page("pods", "", "metadata.namespace!=other", "2", firstPage.Continue)
	assert.Len(t, second.Items, 1)
	assert.Empty(t, second.Continue)
}
