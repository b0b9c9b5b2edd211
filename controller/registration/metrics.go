package registration

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/util/cert"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// collectTimeout is how long a scrape waits for the cache.
const collectTimeout = 5 * time.Second

var (
	certificateExpiration = prometheus.NewDesc("ksmscale_certificate_expiration_timestamp_seconds",
		"Unix time of the end of the adapter's certificate (server), and of its authority's (authority).",
		[]string{"certificate"}, nil)
	certificateRenewal = prometheus.NewDesc("ksmscale_certificate_renewal_timestamp_seconds",
		"Unix time from which on the adapter's certificate (server), or its authority's (authority), is to be renewed.",
		[]string{"certificate"}, nil)

	// certificateKeys are where the Secret has them.
	certificateKeys = map[string]string{"server": corev1.TLSCertKey, "authority": caCertificateKey}
)

// CertificateCollector exports when the adapter's certificate and its authority end. It reads them when it is
// scraped, and exports nothing of those that are not there.
type CertificateCollector struct {
	Secrets     client.Reader
	Certificate CertificateOptions
	// Synced tells whether the cache has been started.
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
		// The first is the server's own, or the authority that the rotator signs with.
		end := certificates[0].NotAfter
		metrics <- prometheus.MustNewConstMetric(certificateExpiration, prometheus.GaugeValue, float64(end.Unix()), name)
		metrics <- prometheus.MustNewConstMetric(certificateRenewal, prometheus.GaugeValue, float64(end.Add(-c.Certificate.RenewBefore).Unix()), name)
	}
}
