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

	"github.com/example/ksmscale/gate/exposition"
	"github.com/example/ksmscale/gate/sharding"
)

// BenchmarkOpen runs the gate as a process. The API server answers immediately, and kube-state-metrics exposes everything
// from the start. It measures the time until the gate opens, its requests, and its highest memory. Each case has pods, and
// 26 resources without an object. Each pod has 3 kB of metadata.
func BenchmarkOpen(b *testing.B) {
	gate := buildGate(b)
	for _, size := range []struct{ objects, shards int }{{2000, 1}, {20_000, 1}, {20_000, 3}, {150_000, 1}, {150_000, 10}} {
		b.Run(fmt.Sprintf("%d objects, shard 0 of %d", size.objects, size.shards), func(b *testing.B) {
			shard := sharding.Shard{Total: int32(size.shards)}
			api := newPagedServer(b, size.objects)
			fakeKSM := newFakeMonitor(b)
			fakeKSM.exposeText(exposedPods(size.objects, shard))
			requests, megabytes := api.requests.Load(), 0.0
			for b.Loop() {
				running := startGate(b, gate, api.URL, fakeKSM.URL, shard)
				running.awaitOpen(b)
				megabytes = max(megabytes, running.stop(b))
			}
			b.ReportMetric(float64(api.requests.Load()-requests)/float64(b.N), "requests/op")
			b.ReportMetric(megabytes/1e6, "MB-max")
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
	for _, known := range exposition.Resources["pods"].Families() {
		if known.Plain {
			families = append(families, known.Name)
		}
	}
	pods, shard := wanted/len(families), sharding.Shard{Total: 1}
	page := exposed(families, pods, shard)
	gate, api := buildGate(b), newPagedServer(b, pods)
	for name, compresses := range map[string]bool{"plain": false, "gzip": true} {
		b.Run(fmt.Sprintf("%d series, %d MB, %s", pods*len(families), len(page)/1e6, name), func(b *testing.B) {
			fakeKSM := newFakeMonitor(b)
			fakeKSM.compresses = compresses
			fakeKSM.exposeText(page)
			running := startGate(b, gate, api.URL, fakeKSM.URL, shard, "--measure-interval=1s")
			running.awaitOpen(b)
			awaitReading := func(reading int) {
				err := wait.PollUntilContextCancel(b.Context(), time.Millisecond, true, func(context.Context) (read bool, err error) {
					fakeKSM.change(func() { read = fakeKSM.pages >= reading })
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

// BenchmarkCount runs the gate as a process next to a kube-state-metrics that exposes a third of 20,000 pods with all families
// of plain pods. It measures the CPU and the requests of one round of counts.
func BenchmarkCount(b *testing.B) {
	const pods = 20_000
	shard := sharding.Shard{Total: 3}
	var families []string
	for _, known := range exposition.Resources["pods"].Families() {
		if known.Plain {
			families = append(families, known.Name)
		}
	}
	page := exposed(families, pods, shard)
	fakeKSM, api := newFakeMonitor(b), newPagedServer(b, pods)
	fakeKSM.exposeText(page)
	b.Run(fmt.Sprintf("%d series, %d MB", strings.Count(page, "\n"), len(page)/1e6), func(b *testing.B) {
		running := startGate(b, buildGate(b), api.URL, fakeKSM.URL, shard, "--measure-interval=0", "--count-interval=1s")
		running.awaitOpen(b)
		awaitRounds := func(rounds int64) {
			err := wait.PollUntilContextCancel(b.Context(), time.Millisecond, true, func(context.Context) (bool, error) {
				return api.counts.Load() >= 2*rounds, nil // before and after
			})
			require.NoError(b, err)
		}
		awaitRounds(1)
		before, requests, rounds := running.cpu(b), api.requests.Load(), int64(1)
		for b.Loop() {
			rounds++
			awaitRounds(rounds)
		}
		b.ReportMetric((running.cpu(b)-before)*1000/float64(rounds-1), "CPU-ms/op")
		b.ReportMetric(float64(api.requests.Load()-requests)/float64(rounds-1), "requests/op")
		b.ReportMetric(running.stop(b)/1e6, "MB-max")
	})
}

// gateProcess is a gate that runs.
type gateProcess struct {
	*exec.Cmd
	address string
}

func startGate(b *testing.B, gate, apiServer, monitorURL string, shard sharding.Shard, args ...string) *gateProcess {
	b.Helper()
	address := freeAddress(b)
	resources := []string{"pods"}
	for _, name := range defaultResources {
		if name != "pods" {
			resources = append(resources, name)
		}
	}
	command := exec.Command(gate, append(args, "--kubeconfig="+writeKubeconfig(b, apiServer), "--bind-address="+address,
		"--resources="+strings.Join(resources, ","), fmt.Sprintf("--total-shards=%d", shard.Total),
		"--metrics-url="+monitorURL+"/metrics", "--telemetry-url="+monitorURL+"/telemetry")...)
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

// defaultResources are the resources that kube-state-metrics exports by default, and that have hardly any objects in a
// cluster.
var defaultResources = []string{
	"certificatesigningrequests", "configmaps", "cronjobs", "daemonsets", "deployments", "endpointslices",
	"horizontalpodautoscalers", "ingresses", "jobs", "leases", "limitranges", "mutatingwebhookconfigurations",
	"namespaces", "networkpolicies", "nodes", "persistentvolumeclaims", "persistentvolumes",
	"poddisruptionbudgets", "pods", "replicasets", "replicationcontrollers", "resourcequotas", "services",
	"statefulsets", "storageclasses", "validatingwebhookconfigurations", "volumeattachments",
}

// pagedServer has encoded pages of pods in the format of the API server.
type pagedServer struct {
	*httptest.Server
	pages    [][]byte
	requests atomic.Int64
	// count is a page of one pod that tells how many remain, and counts how often it was requested.
	count  []byte
	counts atomic.Int64
}

func newPagedServer(b *testing.B, objects int) *pagedServer {
	b.Helper()
	// The gate asks for as many objects.
	const pageSize = 500
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
	encode(&metav1.PartialObjectMetadataList{
		ListMeta: metav1.ListMeta{Continue: "2", RemainingItemCount: new(int64(objects - 1))}, Items: []metav1.PartialObjectMetadata{podMetadata(0)},
	})
	s.count, s.pages = s.pages[len(s.pages)-1], s.pages[:len(s.pages)-1]
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
	if name, _ := pathParts(request.URL.Path); name == "pods" {
		page = 1
		if request.URL.Query().Get("limit") == "1" {
			s.counts.Add(1)
			_, _ = w.Write(s.count)
			return
		}
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

// exposedPods are two families of the shard's pods.
func exposedPods(objects int, shard sharding.Shard) string {
	return exposed([]string{"kube_pod_container_info", "kube_pod_created"}, objects, shard)
}

// exposed are families of the shard's pods in the format of kube-state-metrics.
func exposed(families []string, objects int, shard sharding.Shard) string {
	var text strings.Builder
	for _, familyName := range families {
		fmt.Fprintf(&text, "# HELP %[1]s Help\n# TYPE %[1]s gauge\n", familyName)
		for i := range objects {
			if shard.Has(podUID(i)) {
				fmt.Fprintf(&text, "%s{namespace=\"namespace-%d\",pod=\"%s\",uid=\"%s\"} 1.7e+09\n", familyName, i/1000, podName(i), podUID(i))
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
