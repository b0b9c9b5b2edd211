package telemetry

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	corev1 "k8s.io/api/core/v1"

	"github.com/example/ksmscale/api/v1alpha1"
)

const (
	timeout = 5 * time.Second
	// maxSize, in bytes, is far above what kube-state-metrics tells of itself.
	maxSize = 8 << 20
)

// anew makes a connection each time: pods come and go.
var anew = &http.Transport{DisableKeepAlives: true}

// Client reads telemetry. It goes to the pod that it is told, and nowhere else, such as where that redirects to.
type Client struct {
	// Transport is how it connects; nil for a connection of its own each time.
	Transport http.RoundTripper
}

// Read returns the families of metrics, by name, that the kube-state-metrics of a pod exports of itself. It returns an
// error if the pod does not answer within five seconds, or not with metrics.
func (c Client) Read(ctx context.Context, pod *corev1.Pod) (map[string]*dto.MetricFamily, error) {
	families, err := c.read(ctx, "http://"+net.JoinHostPort(pod.Status.PodIP, strconv.Itoa(int(v1alpha1.PortTelemetry)))+"/metrics")
	if err != nil {
		return nil, fmt.Errorf("read pod %s: %w", pod.Name, err)
	}
	return families, nil
}

func (c Client) read(ctx context.Context, url string) (map[string]*dto.MetricFamily, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", string(expfmt.NewFormat(expfmt.TypeTextPlain)))
	client := http.Client{Timeout: timeout, CheckRedirect: stay, Transport: c.Transport}
	if client.Transport == nil {
		client.Transport = anew
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("kube-state-metrics answers %s", response.Status)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(io.LimitReader(response.Body, maxSize))
	if err != nil {
		return nil, fmt.Errorf("parse metrics: %w", err)
	}
	return families, nil
}

func stay(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
