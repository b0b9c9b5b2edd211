package cluster

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"net/url"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/transport"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/controller/objects"
	"github.com/example/ksmscale/controller/observation"
	"github.com/example/ksmscale/gate"
)

// Access is what a client needs to read the metrics of kube-state-metrics.
type Access struct {
	// TLS is how to verify the certificate; nil without TLS.
	TLS *tls.Config
	// Token is for authFilter; empty without it.
	Token string
}

// readMonitor reads the objects that the kube-state-metrics of a pod exposes, through a tunnel.
func (c *Cluster) readMonitor(ctx context.Context, pod *corev1.Pod, with Access) (gate.Exposed, error) {
	options, err := GateOptions(&pod.Spec)
	if err != nil {
		return nil, err
	}
	opened, err := c.openTunnel(ctx, pod, v1alpha1.PortMetrics, v1alpha1.PortTelemetry)
	if err != nil {
		return nil, err
	}
	defer opened.close()
	for port, address := range map[int32]*string{v1alpha1.PortMetrics: &options.MetricsURL, v1alpha1.PortTelemetry: &options.TelemetryURL} {
		parsed, err := url.Parse(*address)
		if err != nil {
			return nil, err
		}
		parsed.Host = opened.addresses[port]
		*address = parsed.String()
	}
	var transporter http.RoundTripper = &http.Transport{TLSClientConfig: with.TLS, DisableKeepAlives: true}
	if with.Token != "" {
		transporter = transport.NewBearerAuthRoundTripper(with.Token, transporter)
	}
	return options.Exposed(ctx, &http.Client{Transport: transporter})
}

// ExporterOf returns the options of the gates of the desired partition, which say what kube-state-metrics exports.
func ExporterOf(ksmScale *v1alpha1.KSMScale, snapshot *observation.Snapshot) (*gate.Options, error) {
	deployment := &snapshot.Deployments[0]
	if desired := snapshot.Deployment(v1alpha1.Shard{KSMScale: ksmScale.Name, Total: ksmScale.TotalShards()}); desired != nil {
		deployment = desired
	}
	return GateOptions(&deployment.Spec.Template.Spec)
}

// GateOptions returns the options of the gate of a pod.
func GateOptions(pod *corev1.PodSpec) (*gate.Options, error) {
	for i := range pod.Containers {
		if pod.Containers[i].Name == objects.GateContainerName {
			return gate.OptionsOf(pod.Containers[i].Args)
		}
	}
	return nil, fmt.Errorf("the pods have no container %s", objects.GateContainerName)
}
