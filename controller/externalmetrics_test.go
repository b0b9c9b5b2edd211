package controller

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/example/ksmscale/controller/registration"
	"github.com/example/ksmscale/controller/status"
)

func TestErrorsOfTheRegistrationReachTheStatus(t *testing.T) {
	refused := errors.New("refused")
	wrapped := fmt.Errorf("wrapped: %w", registration.ReleaseError{refused})
	assert.Equal(t, status.ExternalMetrics{Err: wrapped, ReleaseErr: refused}, externalMetrics(wrapped))
	assert.Equal(t, status.ExternalMetrics{Err: registration.ErrDisabled, Disabled: true}, externalMetrics(registration.ErrDisabled))
	assert.Equal(t, status.ExternalMetrics{Err: refused}, externalMetrics(refused))
	assert.Equal(t, status.ExternalMetrics{}, externalMetrics(nil))
}
