package status

import (
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/controller/observation"
)

// applyFailure is the reason and the message of a condition after the controller could not apply or delete an object.
func applyFailure(err error, namespace string) (reason, message string) {
	var notOwned NotOwnedError
	switch {
	case apierrors.IsNotFound(err) && !observation.IsGone(err):
		return v1alpha1.ReasonNamespaceNotFound,
			fmt.Sprintf("spec.namespace %q does not exist: create it, or create a KSMScale for another namespace", namespace)
	case apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		return v1alpha1.ReasonNamespaceTerminating,
			fmt.Sprintf("spec.namespace %q is being deleted: create it again once it is gone, or create a KSMScale for another namespace", namespace)
	case apierrors.IsForbidden(err):
		return v1alpha1.ReasonForbidden, withAdvice(err.Error(), nil)
	case errors.As(err, &notOwned):
		return v1alpha1.ReasonNotOwned, err.Error()
	default:
		return v1alpha1.ReasonApplyFailed, withAdvice(err.Error(), nil)
	}
}

// NotOwnedError reports that an object exists which this KSMScale does not own. The controller does not take it over.
type NotOwnedError struct{ Kind, Name string }

// Error is part of error.
func (e NotOwnedError) Error() string {
	return fmt.Sprintf("%s %s exists and does not belong to this KSMScale: delete or rename it, or create the KSMScale under another name", e.Kind, e.Name)
}
