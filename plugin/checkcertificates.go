package plugin

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/util/cert"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/controller/observation"
)

// certificateWarning is half of the default of the controller's --certificate-renew-before. The alert KSMCertificateNearExpiry fires then.
const certificateWarning = 45 * 24 * time.Hour

// checkCertificates checks when the certificates of the adapter's pods end, and when its CA does. It reads no Secret: the pods serve
// their certificate, and the APIService has the CA.
func (c *cluster) checkCertificates(ctx context.Context) []checkResult {
	var results []checkResult
	service := &apiregistrationv1.APIService{}
	if err := c.client.Get(ctx, client.ObjectKey{Name: v1alpha1.APIServiceName}, service); err != nil || !c.isOurs(ctx, service) {
		return nil // Another check reports it.
	}
	// The first one is the current CA; previous ones are after it.
	if authorities, err := cert.ParseCertsPEM(service.Spec.CABundle); err == nil {
		results = append(results, c.checkCertificate("CA of the adapter", service.Spec.Service.Namespace, authorities[0]))
	}
	var pods corev1.PodList
	err := c.client.List(ctx, &pods, client.MatchingLabels{"app.kubernetes.io/name": "ksmscale", "app.kubernetes.io/component": "adapter"})
	if err != nil {
		return append(results, checked("certificate of the adapter", "", "", err))
	}
	if served := c.checkServed(ctx, pods.Items); served != nil {
		results = append(results, *served)
	}
	return results
}

// checkServed checks the certificate that ends first of those that ready pods serve. It returns nil without such a pod.
func (c *cluster) checkServed(ctx context.Context, pods []corev1.Pod) *checkResult {
	const check = "certificate of the adapter"
	var first *x509.Certificate
	namespace := ""
	for _, pod := range observation.SortedByName(pods) {
		if !observation.IsReady(pod) || !observation.IsActive(pod) {
			continue
		}
		served, err := c.servedCertificate(ctx, pod)
		if err != nil {
			return &checkResult{check, noted, fmt.Sprintf("the certificate of pod %s cannot be read: %s", pod.Name, firstLine(err.Error())), ""}
		}
		if first == nil || served.NotAfter.Before(first.NotAfter) {
			first, namespace = served, pod.Namespace
		}
	}
	if first == nil {
		return nil
	}
	return new(c.checkCertificate(check, namespace, first))
}

// checkCertificate reports a certificate that ends soon, for its length.
func (c *cluster) checkCertificate(check, namespace string, certificate *x509.Certificate) checkResult {
	end, left := certificate.NotAfter.UTC().Format(time.DateOnly), certificate.NotAfter.Sub(c.clock.Now())
	fix := fmt.Sprintf("see why the controller has not renewed it: kubectl -n %s logs deployment/ksmscale-controller | grep -i cert", namespace)
	const day, shortest = 24 * time.Hour, 8
	switch {
	case left <= 0:
		return checkResult{check, failed, "it ended on " + end + ", so the API server refuses the adapter", fix}
	case left < min(certificateWarning, certificate.NotAfter.Sub(certificate.NotBefore)/shortest):
		return checkResult{check, warned, fmt.Sprintf("it ends on %s, in %s, and should have been renewed", end, plural(int(left/day), "day")), fix}
	default:
		return checkResult{check, passed, "it is valid until " + end, ""}
	}
}

// readServedCertificate returns the certificate that a pod of the adapter serves, through a tunnel. It sends no request.
func (c *cluster) readServedCertificate(ctx context.Context, pod *corev1.Pod) (*x509.Certificate, error) {
	port := portOf(pod, "https")
	if port == 0 {
		return nil, errors.New("it has no port https")
	}
	ctx, cancel := context.WithTimeout(ctx, gateTimeout)
	defer cancel()
	opened, err := c.tunnel(ctx, pod, port)
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
