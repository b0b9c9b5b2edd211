package controller

import (
	"errors"

	"github.com/example/ksmscale/controller/registration"
	"github.com/example/ksmscale/controller/status"
)

// externalMetrics is how a status reports an error of the registration.
func externalMetrics(err error) status.ExternalMetrics {
	state := status.ExternalMetrics{Err: err, Disabled: errors.Is(err, registration.ErrDisabled)}
	var failed registration.ReleaseError
	if errors.As(err, &failed) {
		state.ReleaseErr = failed.Err
	}
	return state
}
