package adapter

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// failed is the error of a failed request to the delegate. code is the HTTP code of the delegate's answer, or 0. It
// returns an API status of the delegate unchanged.
func (d *Delegate) failed(ctx context.Context, err error, code int32) error {
	var tooLarge *http.MaxBytesError
	var status *apierrors.StatusError
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(ctx.Err(), context.DeadlineExceeded):
		return d.status(http.StatusGatewayTimeout, metav1.StatusReasonTimeout, fmt.Sprintf("did not answer within %s", d.timeout))
	case errors.As(err, &tooLarge):
		return d.wrong(fmt.Sprintf("sent more than %d bytes", tooLarge.Limit))
	case errors.As(err, &status):
		return d.passedOn(status.ErrStatus, code)
	case code != 0:
		return d.wrong("sent no metrics: " + err.Error())
	}
	return d.unavailable("cannot be reached: " + err.Error())
}

// passedOn is the delegate's own error, if it concerns the request. An error without a message gets one, because an
// empty message reads like success in a log. The delegate knows only the adapter's account, so an
// error about that account does not concern the caller.
func (d *Delegate) passedOn(status metav1.Status, code int32) error {
	err := &apierrors.StatusError{ErrStatus: status}
	if err.ErrStatus.Code == 0 {
		err.ErrStatus.Code = code
	}
	switch statusCode := err.ErrStatus.Code; {
	case statusCode == http.StatusUnauthorized, statusCode == http.StatusForbidden:
		return d.unavailable("refuses the adapter's own account, which needs the rights in config/delegate: " + status.Message)
	case code == 0, apierrors.IsUnexpectedServerError(err), statusCode < http.StatusBadRequest, statusCode >= 600:
		return d.wrong("sent no API status: " + status.Message)
	}
	if status.Message == "" {
		err.ErrStatus.Message = d.message(fmt.Sprintf("answered with code %d and no message", err.ErrStatus.Code))
	}
	return err
}

func (d *Delegate) wrong(why string) error {
	return d.status(http.StatusBadGateway, metav1.StatusReasonInternalError, why)
}

func (d *Delegate) unavailable(why string) error {
	return d.status(http.StatusServiceUnavailable, metav1.StatusReasonServiceUnavailable, why)
}

func (d *Delegate) status(code int32, reason metav1.StatusReason, why string) error {
	return &apierrors.StatusError{ErrStatus: metav1.Status{
		Status: metav1.StatusFailure, Code: code, Reason: reason,
		Message: d.message(why),
	}}
}

func (d *Delegate) message(why string) string {
	return fmt.Sprintf("the server of external metrics that --delegate=%s names %s", d.name, why)
}
