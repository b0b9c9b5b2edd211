package gate

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/procfs"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
)

// BenchmarkOpen runs the gate as a process, between an API server that answers at once and a kube-state-metrics that exposes
// everything from the start, and measures the time until it opens, the requests that takes, and the memory that it has at most.
// Each case has pods, and 26 resources of which there is no object; each pod has 3 kB of metadata.
func BenchmarkOpen(b *testing.B) {
	gate := buildGate(b)
	for _, size := range []struct{ objects, shards int }{{2000, 1}, {20_000, 1}, {20_000, 3}, {150_000, 1}, {150_000, 10}} {
		b.Run(fmt.Sprintf("%d objects, shard 0 of %d", size.objects, size.shards), func(b *testing.B) {
			share := Share{TotalShards: int32(size.shards)}
			api := newPagedServer(b, size.objects)
			monitor := newFakeMonitor(b)
			monitor.exposeText(exposedPods(size.objects, share))
			requests, memory := api.requests.Load(), 0.0
			for b.Loop() {
				running := startGate(b, gate, api.URL, monitor.URL, share)
				running.awaitOpen(b)
				memory = max(memory, running.stop(b))
			}
			b.ReportMetric(float64(api.requests.Load()-requests)/float64(b.N), "requests/op")
			b.ReportMetric(memory/1e6, "MB-max")
		})
	}
}

func buildGate(b *testing.B) string {
	b.Helper()
	path := filepath.Join(b.TempDir(), "gate")
	output, err := exec.Command("go", "build", "-ldflags", "-s -w", "-o", path, "../cmd/gate").CombinedOutput()
	require.NoError(b, err, string(output))
	return path
}

// BenchmarkMeasure runs the gate as a process next to a kube-state-metrics that exposes 250,000 series, and measures the CPU that
// one reading of them takes the gate, and the memory that it has at most, from its start on.
func BenchmarkMeasure(b *testing.B) {
	const wanted = 250_000
	var families []string
	for _, family := range knownFamilies {
		if pods := resources["pods"]; pods.owns(family.name) && family.plain {
			families = append(families, family.name)
		}
	}
	pods, share := wanted/len(families), Share{TotalShards: 1}
	page := exposed(families, pods, share)
	gate, api := buildGate(b), newPagedServer(b, pods)
	for name, compresses := range map[string]bool{"plain": false, "gzip": true} {
		b.Run(fmt.Sprintf("%d series, %d MB, %s", pods*len(families), len(page)/1e6, name), func(b *testing.B) {
			monitor := newFakeMonitor(b)
			monitor.compresses = compresses
			monitor.exposeText(page)
			running := startGate(b, gate, api.URL, monitor.URL, share, "--measure-interval=1s")
			running.awaitOpen(b)
			awaitReading := func(reading int) {
				err := wait.PollUntilContextCancel(b.Context(), time.Millisecond, true, func(context.Context) (read bool, err error) {
					monitor.change(func() { read = monitor.pages >= reading })
					return read, nil
				})
				require.NoError(b, err)
			}
			awaitReading(1)
			before, readings := running.cpu(b), 1
			for b.Loop() {
				readings++
				awaitReading(readings)
			}
			b.ReportMetric((running.cpu(b)-before)*1000/float64(readings-1), "CPU-ms/op")
			b.ReportMetric(running.stop(b)/1e6, "MB-max")
		})
	}
}

// gateProcess is a gate that runs.
type gateProcess struct {
	*exec.Cmd
	address string
}

func startGate(b *testing.B, gate, apiServer, monitor string, share Share, args ...string) *gateProcess {
	b.Helper()
	address := freeAddress(b)
	resources := []string{"pods"}
	for _, name := range defaultResources {
		if name != "pods" {
			resources = append(resources, name)
		}
	}
	command := exec.Command(gate, append(args, "--kubeconfig="+writeKubeconfig(b, apiServer), "--bind-address="+address,
		"--resources="+strings.Join(resources, ","), fmt.Sprintf("--total-shards=%d", share.TotalShards),
		"--metrics-url="+monitor+"/metrics", "--telemetry-url="+monitor+"/telemetry")...)
	command.Stderr = io.Discard
	require.NoError(b, command.Start())
	b.Cleanup(func() { _ = command.Process.Kill() })
	return &gateProcess{command, address}
}

func (g *gateProcess) awaitOpen(b *testing.B) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), 5*time.Minute)
	defer cancel()
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+g.address+"/readyz", nil)
		require.NoError(b, err)
		response, err := http.DefaultClient.Do(request)
		require.NoError(b, ctx.Err())
		if err != nil {
			continue
		}
		require.NoError(b, response.Body.Close())
		if response.StatusCode == http.StatusOK {
			return
		}
	}
}

// cpu is how many seconds of CPU it has used.
func (g *gateProcess) cpu(b *testing.B) float64 {
	b.Helper()
	running, err := procfs.NewProc(g.Process.Pid)
	require.NoError(b, err)
	stat, err := running.Stat()
	require.NoError(b, err)
	return stat.CPUTime()
}

// stop ends it, and returns the highest resident memory, in bytes.
func (g *gateProcess) stop(b *testing.B) float64 {
	b.Helper()
	// Not what the kernel tells of a process that has ended: that includes the memory of the process that it was forked from.
	running, err := procfs.NewProc(g.Process.Pid)
	require.NoError(b, err)
	status, err := running.NewStatus()
	require.NoError(b, err)
	require.NoError(b, g.Process.Signal(syscall.SIGTERM))
	_ = g.Wait()
	return float64(status.VmHWM)
}

// defaultResources are those that kube-state-metrics exports by default, and have objects in hardly any cluster of this benchmark.
var defaultResources = []string{
	"certificatesigningrequests", "configmaps", "cronjobs", "daemonsets", "deployments", "endpointslices",
	"horizontalpodautoscalers", "ingresses", "jobs", "leases", "limitranges", "mutatingwebhookconfigurations",
	"namespaces", "networkpolicies", "nodes", "persistentvolumeclaims", "persistentvolumes",
	"poddisruptionbudgets", "pods", "replicasets", "replicationcontrollers", "resourcequotas", "services",
	"statefulsets", "storageclasses", "validatingwebhookconfigurations", "volumeattachments",
}

// pagedServer has pages of pods that are encoded already, in the format that the API server has for them.
type pagedServer struct {
	*httptest.Server
	pages    [][]byte
	requests atomic.Int64
}

func newPagedServer(b *testing.B, objects int) *pagedServer {
	b.Helper()
	scheme := runtime.NewScheme()
	require.NoError(b, metav1.AddMetaToScheme(scheme))
	encoder := protobuf.NewSerializer(scheme, scheme)
	s := &pagedServer{}
	encode := func(list *metav1.PartialObjectMetadataList) {
		list.TypeMeta = metav1.TypeMeta{APIVersion: "meta.k8s.io/v1", Kind: "PartialObjectMetadataList"}
		var page strings.Builder
		require.NoError(b, encoder.Encode(list, &page))
		s.pages = append(s.pages, []byte(page.String()))
	}
	encode(&metav1.PartialObjectMetadataList{})
	for from := 0; from < objects; from += pageSize {
		list := &metav1.PartialObjectMetadataList{}
		for i := from; i < min(from+pageSize, objects); i++ {
			list.Items = append(list.Items, podMetadata(i))
		}
		if from+pageSize < objects {
			list.Continue = strconv.Itoa(from/pageSize + 2)
		}
		encode(list)
	}
	s.Server = httptest.NewServer(s)
	b.Cleanup(s.Close)
	return s
}

func (s *pagedServer) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	w.Header().Set(auditIDHeader, "1")
	w.Header().Set("Content-Type", runtime.ContentTypeProtobuf)
	if request.URL.Path == "/version" {
		return
	}
	s.requests.Add(1)
	page := 0
	if resource, _ := pathParts(request.URL.Path); resource == "pods" {
		page = 1
	}
	if next, err := strconv.Atoi(request.URL.Query().Get("continue")); err == nil {
		page = next
	}
	_, _ = w.Write(s.pages[page])
}

func podName(i int) string { return fmt.Sprintf("deployment-%d-7d4b8c9f6d-x%04d", i/100, i) }

func podUID(i int) types.UID { return types.UID(fmt.Sprintf("00000000-0000-4000-8000-%012d", i)) }

func podMetadata(i int) metav1.PartialObjectMetadata {
	fields := &metav1.FieldsV1{}
	fields.SetRawString(`{"f:metadata":{` + strings.Repeat(`"f:labels":{"f:app.kubernetes.io/name":{}},`, 30) + `"f:x":{}}}`)
	return metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{
		Namespace: fmt.Sprintf("namespace-%d", i/1000), Name: podName(i), UID: podUID(i), ResourceVersion: strconv.Itoa(i),
		Labels:          map[string]string{"app.kubernetes.io/name": "deployment", "pod-template-hash": "7d4b8c9f6d"},
		OwnerReferences: []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "deployment-7d4b8c9f6d", UID: podUID(i)}},
		ManagedFields:   []metav1.ManagedFieldsEntry{{Manager: "kubelet", Operation: "Update", FieldsV1: fields}, {Manager: "kube-controller-manager", Operation: "Update", FieldsV1: fields}},
	}}
}

// exposedPods are two families of the share's pods.
func exposedPods(objects int, share Share) string {
	return exposed([]string{"kube_pod_container_info", "kube_pod_created"}, objects, share)
}

// exposed are families of the share's pods, as kube-state-metrics exposes them.
func exposed(families []string, objects int, share Share) string {
	var text strings.Builder
	for _, family := range families {
		fmt.Fprintf(&text, "# HELP %[1]s Help\n# TYPE %[1]s gauge\n", family)
		for i := range objects {
			if share.Has(podUID(i)) {
				fmt.Fprintf(&text, "%s{namespace=\"namespace-%d\",pod=\"%s\",uid=\"%s\"} 1.7e+09\n", family, i/1000, podName(i), podUID(i))
			}
		}
	}
	return text.String()
}

func writeKubeconfig(b *testing.B, server string) string {
	b.Helper()
	file := filepath.Join(b.TempDir(), "kubeconfig")
	require.NoError(b, os.WriteFile(file, fmt.Appendf(nil, `{"apiVersion":"v1","kind":"Config","current-context":"c",
"clusters":[{"name":"k","cluster":{"server":%q}}],"users":[{"name":"u","user":{}}],"contexts":[{"name":"c","context":{"cluster":"k","user":"u"}}]}`, server), 0o600))
	return file
}

func freeAddress(b *testing.B) string {
	b.Helper()
	server := httptest.NewUnstartedServer(nil)
	defer server.Close()
	return server.Listener.Addr().String()
}
