package check

import (
	"context"
	"crypto/x509"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/util/cert"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/controller/observation"
	"github.com/example/ksmscale/plugin/printer"
)

// CertificateWarning is half of the default of the controller's --certificate-renew-before. The alert KSMCertificateNearExpiry fires then.
const CertificateWarning = 45 * 24 * time.Hour

// checkCertificates checks when the certificates of the adapter's pods end, and when its CA does. It reads no Secret: the pods serve
// their certificate, and the APIService has the CA.
func (c checker) checkCertificates(ctx context.Context) []Result {
	var results []Result
	service := &apiregistrationv1.APIService{}
	if err := c.Client.Get(ctx, client.ObjectKey{Name: v1alpha1.APIServiceName}, service); err != nil || !c.isOurs(ctx, service) {
		return nil // Another check reports it.
	}
	// The first one is the current CA; previous ones are after it.
	if authorities, err := cert.ParseCertsPEM(service.Spec.CABundle); err == nil {
		results = append(results, c.checkCertificate("CA of the adapter", service.Spec.Service.Namespace, authorities[0]))
	}
	var pods corev1.PodList
	err := c.Client.List(ctx, &pods, ofComponent("adapter"))
	if err != nil {
		return append(results, checked("certificate of the adapter", "", "", err))
	}
	if served := c.checkServed(ctx, pods.Items); served != nil {
		results = append(results, *served)
	}
	return results
}

// checkServed checks the certificate that ends first of those that ready pods serve. It returns nil without such a pod.
func (c checker) checkServed(ctx context.Context, pods []corev1.Pod) *Result {
	const check = "certificate of the adapter"
	var first *x509.Certificate
	namespace := ""
	for _, pod := range observation.SortedByName(pods) {
		if !observation.IsReady(pod) || !observation.IsActive(pod) {
			continue
		}
		served, err := c.ServedCertificate(ctx, pod)
		if err != nil {
			return &Result{check, Noted, fmt.Sprintf("the certificate of pod %s cannot be read: %s", pod.Name, printer.FirstLine(err.Error())), ""}
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
func (c checker) checkCertificate(check, namespace string, certificate *x509.Certificate) Result {
	end, left := certificate.NotAfter.UTC().Format(time.DateOnly), certificate.NotAfter.Sub(c.Clock.Now())
	fix := fmt.Sprintf("see why the controller has not renewed it: kubectl -n %s logs deployment/ksmscale-controller | grep -i cert", namespace)
	const day, shortest = 24 * time.Hour, 8
	switch {
	case left <= 0:
		return Result{check, Failed, "it ended on " + end + ", so the API server refuses the adapter", fix}
	case left < min(CertificateWarning, certificate.NotAfter.Sub(certificate.NotBefore)/shortest):
		return Result{check, Warned, fmt.Sprintf("it ends on %s, in %s, and should have been renewed", end, printer.Plural(int(left/day), "day")), fix}
	default:
		return Result{check, Passed, "it is valid until " + end, ""}
	}
}
