package ksm

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

// Client reads from the kube-state-metrics of the pod.
type Client struct {
	HTTP *http.Client
	// Metrics and Telemetry are the URLs of the metrics of objects, and of kube-state-metrics' own metrics.
	Metrics, Telemetry string
	// Observe is called with what kube-state-metrics exports of itself, whenever that is read; nil for nothing.
	Observe func(telemetry.Families)
}

// Process is one start of a kube-state-metrics. The empty process stands for no process.
type Process struct {
	// Started identifies the start, in seconds since 1970. Version is the version that the process reports; empty if it
	// reports none.
	Started float64
	Version string
}

// Process returns the running process. It returns an error if kube-state-metrics does not answer in time.
func (c *Client) Process(ctx context.Context, timeout time.Duration) (Process, error) {
	families, err := c.itself(ctx, timeout)
	if err != nil {
		return Process{}, err
	}
	return processOf(families)
}

func processOf(families telemetry.Families) (Process, error) {
	started, err := families.Started()
	if err != nil {
		return Process{}, fmt.Errorf("read the metrics of kube-state-metrics itself: %w", err)
	}
	// A process without a version counts as an unknown version.
	version, _ := families.Version()
	return Process{started, version}, nil
}

// Discoveries returns how many events of custom resource definitions a process has seen.
func (c *Client) Discoveries(ctx context.Context, timeout time.Duration) (now Process, count float64, err error) {
	families, err := c.itself(ctx, timeout)
	if err != nil {
		return Process{}, 0, err
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
func (c *Client) itself(ctx context.Context, timeout time.Duration) (telemetry.Families, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	families, err := telemetry.Client{Transport: c.HTTP.Transport}.Read(ctx, c.Telemetry)
	if err != nil {
		return nil, fmt.Errorf("kube-state-metrics does not answer: %w", err)
	}
	if c.Observe != nil {
		c.Observe(families)
	}
	return families, nil
}

// Objects calls seen for each exposed object of the requested resources. It returns the names of the resources whose
// objects no single family identifies.
func (c *Client) Objects(ctx context.Context, requested []exposition.Resource, every sets.Set[string], seen func(exposition.Resource, exposition.Object)) (sets.Set[string], error) {
	return c.Read(ctx, &exposition.Reader{Requested: requested, Every: every, Seen: seen})
}

// Read reads the requested resources of a reader.
func (c *Client) Read(ctx context.Context, reader *exposition.Reader) (sets.Set[string], error) {
	body, err := c.get(ctx, c.Metrics+"?"+resourcesQuery(reader.Requested))
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

func (c *Client) get(ctx context.Context, url string) (io.ReadCloser, error) {
	response, err := c.do(ctx, url, "")
	if err != nil {
		return nil, err
	}
	return response.Body, nil
}

// do gets metrics in the text format. It returns them decompressed, unless the caller names an encoding.
func (c *Client) do(ctx context.Context, url, encoding string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, fmt.Errorf("get %s: %w", url, err)
	}
	request.Header.Set("Accept", string(expfmt.NewFormat(expfmt.TypeTextPlain)))
	if encoding != "" {
		request.Header.Set("Accept-Encoding", encoding)
	}
	response, err := c.HTTP.Do(request)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		_ = response.Body.Close()
		return nil, fmt.Errorf("get %s: %s", url, response.Status)
	}
	return response, nil
}
