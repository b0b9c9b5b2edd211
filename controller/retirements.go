package controller

import (
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/example/ksmscale/controller/observation"
)

// clockTolerance is the largest expected difference between the clocks of the controller and the API server. After this time the clock of the
// API server also counts. Otherwise leaders that change quickly would keep replaced shards forever.
const clockTolerance = 45 * time.Second

// retirements has the time at which this process first saw each retired Service, by its own clock. Like leader election, it does not compare
// its clock with timestamps of other machines. After a loss, the replaced shards stay longer.
type retirements struct {
	memories[map[string]time.Time]
}

// of returns these times for the retired Services of a KSMScale, by their names.
func (r *retirements) of(ksmScale string, services []corev1.Service, at time.Time) map[string]time.Time {
	return r.renew(ksmScale, func(before map[string]time.Time) map[string]time.Time {
		retired := map[string]time.Time{}
		for i := range services {
			if !observation.IsRetired(&services[i]) {
				continue
			}
			since, seen := before[services[i].Name]
			if !seen {
				since = at
			}
			if latest := observation.AppliedAt(&services[i]).Add(clockTolerance); latest.Before(since) {
				since = latest
			}
			retired[services[i].Name] = since
		}
		return retired
	})
}
