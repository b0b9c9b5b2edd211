package gate

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/prometheus/common/expfmt"
	"k8s.io/apimachinery/pkg/util/sets"

	"github.com/example/ksmscale/gate/exposition"
	"github.com/example/ksmscale/telemetry"
)

// monitor reads from the kube-state-metrics of the pod.
type monitor struct {
	client *http.Client
	// metrics and telemetry are the URLs of the metrics of objects, and of kube-state-metrics' own metrics.
	metrics, telemetry string
	// observe is called with what kube-state-metrics exports of itself, whenever that is read; nil for nothing.
	observe func(telemetry.Families)
}

// process is one start of a kube-state-metrics. The empty process stands for no process.
type process struct {
	// started identifies the start, and version is the version that the process reports; empty if it reports none.
	started float64
	version string
}

// process returns the running process. It returns an error if kube-state-metrics does not answer in time.
func (m *monitor) process(ctx context.Context, timeout time.Duration) (process, error) {
	families, err := m.itself(ctx, timeout)
	if err != nil {
		return process{}, err
	}
	return processOf(families)
}

func processOf(families telemetry.Families) (process, error) {
	started, err := families.Started()
	if err != nil {
		return process{}, fmt.Errorf("read the metrics of kube-state-metrics itself: %w", err)
	}
	// A process without a version counts as an unknown version.
	version, _ := families.Version()
	return process{started, version}, nil
}

// discoveries returns how many events of custom resource definitions a process has seen.
func (m *monitor) discoveries(ctx context.Context, timeout time.Duration) (now process, count float64, err error) {
	families, err := m.itself(ctx, timeout)
	if err != nil {
		return process{}, 0, err
	}
	for _, event := range []string{"add", "update", "delete"} {
		for _, metric := range families["kube_state_metrics_custom_resource_state_"+event+"_events_total"].GetMetric() {
			count += metric.GetCounter().GetValue()
		}
	}
	now, err = processOf(families)
	return now, count, err
}

// itself returns kube-state-metrics' own metrics.
func (m *monitor) itself(ctx context.Context, timeout time.Duration) (telemetry.Families, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	families, err := telemetry.Client{Transport: m.client.Transport}.Read(ctx, m.telemetry)
	if err != nil {
		return nil, fmt.Errorf("kube-state-metrics does not answer: %w", err)
	}
	if m.observe != nil {
		m.observe(families)
	}
	return families, nil
}

// objects calls seen for each exposed object of the requested resources. It returns the names of the resources whose
// objects no single family identifies.
func (m *monitor) objects(ctx context.Context, requested []exposition.Resource, every sets.Set[string], seen func(exposition.Resource, exposition.Object)) (sets.Set[string], error) {
	return m.read(ctx, &exposition.Reader{Requested: requested, Every: every, Seen: seen})
}

// read reads the requested resources of a reader.
func (m *monitor) read(ctx context.Context, reader *exposition.Reader) (sets.Set[string], error) {
	body, err := m.get(ctx, m.metrics+"?"+resourcesQuery(reader.Requested))
	if err != nil {
		return nil, err
	}
	defer body.Close()
	return reader.Read(body)
}

// resourcesQuery requests the metrics of some resources. Versions before v2.18.0 ignore the parameter, and return all
// metrics.
func resourcesQuery(requested []exposition.Resource) string {
	names := make([]string, len(requested))
	for i := range requested {
		names[i] = requested[i].Name
	}
	return url.Values{"resources": {strings.Join(names, ",")}}.Encode()
}

func (m *monitor) get(ctx context.Context, url string) (io.ReadCloser, error) {
	response, err := m.do(ctx, url, "")
	if err != nil {
		return nil, err
	}
	return response.Body, nil
}

// do gets metrics in the text format. It returns them decompressed, unless the caller names an encoding.
func (m *monitor) do(ctx context.Context, url, encoding string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, fmt.Errorf("get %s: %w", url, err)
	}
	request.Header.Set("Accept", string(expfmt.NewFormat(expfmt.TypeTextPlain)))
	if encoding != "" {
		request.Header.Set("Accept-Encoding", encoding)
	}
	response, err := m.client.Do(request)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		_ = response.Body.Close()
		return nil, fmt.Errorf("get %s: %s", url, response.Status)
	}
	return response, nil
}
