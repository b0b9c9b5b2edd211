package controller

import (
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/example/ksmscale/controller/observation"
)

// clockTolerance is how far the clocks of controller and API server may be apart. Leaders that follow one another more quickly than
// Prometheus takes to notice would keep old shards for ever; after this it is the API server's time that counts.
const clockTolerance = 45 * time.Second

// retirements are since when Services of each KSMScale have been seen not to be scraped any more: by this process and its clock, as
// leader election does it, because that of the API server may be another. When they are lost, the old shards stay for so much
// longer.
type retirements struct {
	memories[map[string]time.Time]
}

// of is that of a KSMScale's Services, by their names.
func (r *retirements) of(ksmScale string, services []corev1.Service, now time.Time) map[string]time.Time {
	return r.renew(ksmScale, func(before map[string]time.Time) map[string]time.Time {
		retired := map[string]time.Time{}
		for i := range services {
			if !observation.IsRetired(&services[i]) {
				continue
			}
			since, seen := before[services[i].Name]
			if !seen {
				since = now
			}
			if latest := observation.AppliedAt(&services[i]).Add(clockTolerance); latest.Before(since) {
				since = latest
			}
			retired[services[i].Name] = since
		}
		return retired
	})
}
