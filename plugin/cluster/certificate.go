package cluster

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"

	corev1 "k8s.io/api/core/v1"
)

// readServedCertificate returns the certificate that a pod of the adapter serves, through a tunnel. It sends no request.
func (c *Cluster) readServedCertificate(ctx context.Context, pod *corev1.Pod) (*x509.Certificate, error) {
	port := portOf(pod, "https")
	if port == 0 {
		return nil, errors.New("it has no port https")
	}
	ctx, cancel := context.WithTimeout(ctx, gateTimeout)
	defer cancel()
	opened, err := c.openTunnel(ctx, pod, port)
	if err != nil {
		return nil, err
	}
	defer opened.close()
	dialer := tls.Dialer{Config: &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: true}} //nolint:gosec // Its end is read, and nothing is sent.
	connection, err := dialer.DialContext(ctx, "tcp", opened.addresses[port])
	if err != nil {
		return nil, err
	}
	defer connection.Close()
	return connection.(*tls.Conn).ConnectionState().PeerCertificates[0], nil
}

// portOf returns the number of a named port of a pod, or 0.
func portOf(pod *corev1.Pod, name string) int32 {
	for _, container := range pod.Spec.Containers {
		for _, port := range container.Ports {
			if port.Name == name {
				return port.ContainerPort
			}
		}
	}
	return 0
}
