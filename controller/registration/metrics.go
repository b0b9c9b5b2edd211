package registration

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/util/cert"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// collectTimeout bounds the wait of a scrape for the cache.
const collectTimeout = 5 * time.Second

var (
	certificateExpiration = prometheus.NewDesc("ksmscale_certificate_expiration_timestamp_seconds",
		"Unix time at which the adapter's certificate (server) or its CA (authority) expires.",
		[]string{"certificate"}, nil)
	certificateRenewal = prometheus.NewDesc("ksmscale_certificate_renewal_timestamp_seconds",
		"Unix time from which the adapter's certificate (server) or its CA (authority) should be renewed.",
		[]string{"certificate"}, nil)

	// certificateKeys are the keys of both certificates in the Secret.
	certificateKeys = map[string]string{"server": corev1.TLSCertKey, "authority": caCertificateKey}
)

// CertificateCollector exports when the adapter's certificate and its CA expire. It reads both at each scrape, and skips a missing
// certificate.
type CertificateCollector struct {
	// Secrets reads the Secret that Certificate names.
	Secrets     client.Reader
	Certificate CertificateOptions
	// Synced reports whether the cache is filled.
	Synced func() bool
}

var _ prometheus.Collector = CertificateCollector{}

// Describe is part of prometheus.Collector.
func (c CertificateCollector) Describe(descriptions chan<- *prometheus.Desc) {
	descriptions <- certificateExpiration
	descriptions <- certificateRenewal
}

// Collect is part of prometheus.Collector.
func (c CertificateCollector) Collect(metrics chan<- prometheus.Metric) {
	if !c.Synced() {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), collectTimeout)
	defer cancel()
	var secret corev1.Secret
	if err := c.Secrets.Get(ctx, c.Certificate.Secret, &secret); err != nil {
		if client.IgnoreNotFound(err) != nil {
			metrics <- prometheus.NewInvalidMetric(certificateExpiration, err)
		}
		return
	}
	for name, key := range certificateKeys {
		certificates, err := cert.ParseCertsPEM(secret.Data[key])
		if err != nil {
			continue
		}
		// The first certificate is the server certificate, or the CA that the rotator signs with.
		end := certificates[0].NotAfter
		metrics <- prometheus.MustNewConstMetric(certificateExpiration, prometheus.GaugeValue, float64(end.Unix()), name)
		metrics <- prometheus.MustNewConstMetric(certificateRenewal, prometheus.GaugeValue, float64(end.Add(-c.Certificate.RenewBefore).Unix()), name)
	}
}
