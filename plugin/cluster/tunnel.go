package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/transport/spdy"
	"k8s.io/klog/v2"
	streamhttp "k8s.io/streaming/pkg/httpstream"

	"github.com/example/ksmscale/api/v1alpha1"
)

const (
	// tunnelTimeout limits how long a tunnel takes to open.
	tunnelTimeout = 10 * time.Second
	// gateTimeout limits how long the answer of a gate takes.
	gateTimeout = 3 * time.Second
	// maxGateAnswer and maxGateMetrics are far above the lengths of a gate's pages, in bytes.
	maxGateAnswer, maxGateMetrics = 4 << 10, 1 << 20
)

// tunnel leads from this machine to ports of a pod, through the API server. It works like `kubectl port-forward`, so a user needs no
// other way to the pods. Close it.
type tunnel struct {
	addresses map[int32]string
	stop      context.CancelFunc
	ended     chan error
}

// openTunnel opens a tunnel to ports of a pod. Its errors leave the name of the pod to the caller.
func (c *Cluster) openTunnel(ctx context.Context, pod *corev1.Pod, ports ...int32) (*tunnel, error) {
	dialer, err := c.portForwardDialer(pod)
	if err != nil {
		return nil, fmt.Errorf("forward ports: %w", err)
	}
	// The reader of metrics stops when it has what it needs, which the forwarder would log as an error.
	ctx, stop := context.WithCancel(klog.NewContext(ctx, logr.Discard()))
	forwarded := make([]string, len(ports))
	for i, port := range ports {
		forwarded[i] = fmt.Sprintf("0:%d", port)
	}
	ready := make(chan struct{})
	var problems bytes.Buffer
	forwarder, err := portforward.NewOnAddressesForStreamingWithContext(ctx, dialer, []string{"127.0.0.1"}, forwarded, ready, io.Discard, &problems)
	if err != nil {
		stop()
		return nil, fmt.Errorf("forward ports: %w", err)
	}
	t := &tunnel{addresses: map[int32]string{}, stop: stop, ended: make(chan error, 1)}
	go func() { t.ended <- forwarder.ForwardPorts() }()
	timer := time.NewTimer(tunnelTimeout)
	defer timer.Stop()
	select {
	case <-ready:
	case err = <-t.ended:
		stop()
		if problems.Len() > 0 {
			err = errors.Join(err, errors.New(strings.TrimSpace(problems.String())))
		}
		return nil, fmt.Errorf("forward ports: %w", err)
	case <-timer.C:
		stop()
		return nil, fmt.Errorf("forward ports: no connection within %s", tunnelTimeout)
	}
	local, err := forwarder.GetPorts()
	if err != nil {
		stop()
		return nil, fmt.Errorf("forward ports: %w", err)
	}
	for _, port := range local {
		t.addresses[int32(port.Remote)] = net.JoinHostPort("127.0.0.1", strconv.Itoa(int(port.Local)))
	}
	return t, nil
}

func (t *tunnel) close() { t.stop() }

// portForwardDialer dials like kubectl: through a WebSocket, or SPDY if a proxy does not pass WebSockets.
func (c *Cluster) portForwardDialer(pod *corev1.Pod) (streamhttp.Dialer, error) {
	config := rest.CopyConfig(c.Config)
	config.GroupVersion, config.APIPath = &corev1.SchemeGroupVersion, "/api"
	config.NegotiatedSerializer = scheme.Codecs.WithoutConversion()
	pods, err := rest.RESTClientFor(config)
	if err != nil {
		return nil, err
	}
	address := pods.Post().Resource("pods").Namespace(pod.Namespace).Name(pod.Name).SubResource("portforward").URL()
	transporter, upgrader, err := spdy.RoundTripperFor(config)
	if err != nil {
		return nil, err
	}
	fallback := spdy.NewDialerForStreaming(upgrader, &http.Client{Transport: transporter}, http.MethodPost, address)
	first, err := portforward.NewSPDYOverWebsocketDialerForStreaming(address, config)
	if err != nil {
		return nil, err
	}
	return portforward.NewFallbackDialerForStreaming(first, fallback, func(err error) bool {
		return streamhttp.IsUpgradeFailure(err) || streamhttp.IsHTTPSProxyError(err)
	}), nil
}

// readGate reads from the gate of a pod why it is closed.
func (c *Cluster) readGate(ctx context.Context, pod *corev1.Pod) (string, error) {
	answer, err := c.getFromGate(ctx, pod, "/readyz", maxGateAnswer)
	return strings.TrimSpace(answer), err
}

// getFromGate returns at most some bytes of a page of the gate of a pod, whatever its status.
func (c *Cluster) getFromGate(ctx context.Context, pod *corev1.Pod, path string, most int64) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, gateTimeout)
	defer cancel()
	opened, err := c.openTunnel(ctx, pod, v1alpha1.PortGate)
	if err != nil {
		return "", err
	}
	defer opened.close()
	address := url.URL{Scheme: "http", Host: opened.addresses[v1alpha1.PortGate], Path: path}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address.String(), nil)
	if err != nil {
		return "", err
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, most))
	return string(answer), err
}
