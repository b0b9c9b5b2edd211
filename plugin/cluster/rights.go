package cluster

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/controller/objects"
	"github.com/example/ksmscale/gate"
	"github.com/example/ksmscale/gate/exposition"
)

// parallelReviews limits the number of simultaneous requests about rights. There is a right for each resource in each namespace.
const parallelReviews = 16

// Right is a right that a command needs.
type Right struct {
	authorizationv1.ResourceAttributes
	Why string
}

func (r Right) String() string {
	resource := r.Resource
	if r.Subresource != "" {
		resource += "/" + r.Subresource
	}
	if r.Group != "" {
		resource += "." + r.Group
	}
	text := r.Verb + " " + resource
	if r.Name != "" {
		text += " " + r.Name
	}
	if r.Namespace != "" {
		text += " in namespace " + r.Namespace
	}
	return text
}

// ReadRights returns the rights to a verb of all objects that kube-state-metrics exports of some resources.
func ReadRights(verb string, exporter *gate.Options, kinds []exposition.Resource, why string) []Right {
	var rights []Right
	for _, kind := range kinds {
		namespaces := []string{metav1.NamespaceAll}
		if kind.Namespaced && len(exporter.Namespaces) > 0 {
			namespaces = exporter.Namespaces
		}
		for _, namespace := range namespaces {
			rights = append(rights, Right{authorizationv1.ResourceAttributes{
				Verb: verb, Group: kind.GroupVersionResource.Group, Resource: kind.GroupVersionResource.Resource, Namespace: namespace,
			}, why})
		}
	}
	return rights
}

// Lacking returns the rights that the user does not have.
func (c *Cluster) Lacking(ctx context.Context, rights []Right) ([]Right, error) {
	return refused(rights, func(one Right) (bool, error) {
		review := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &one.ResourceAttributes}}
		if err := c.Client.Create(ctx, review); err != nil {
			return false, fmt.Errorf("check your rights: %w", err)
		}
		return review.Status.Allowed, nil
	})
}

// refused returns the rights that are not allowed, in their order. It requests several reviews at the same time.
func refused(rights []Right, allowed func(Right) (bool, error)) ([]Right, error) {
	verdicts, errs := make([]bool, len(rights)), make([]error, len(rights))
	var group errgroup.Group
	group.SetLimit(parallelReviews)
	for i := range rights {
		group.Go(func() error {
			verdicts[i], errs[i] = allowed(rights[i])
			return nil
		})
	}
	_ = group.Wait() // The errors are in errs.
	var lacking []Right
	for i := range rights {
		if !verdicts[i] {
			lacking = append(lacking, rights[i])
		}
	}
	return lacking, errors.Join(errs...)
}

// MonitorLacks returns the rights that the service account of the shards does not have.
func (c *Cluster) MonitorLacks(ctx context.Context, ksmScale *v1alpha1.KSMScale, rights []Right) ([]Right, error) {
	namespace := ksmScale.Spec.Namespace
	return refused(rights, func(one Right) (bool, error) {
		review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
			User:               "system:serviceaccount:" + namespace + ":" + objects.ServiceAccountOf(ksmScale),
			Groups:             []string{"system:serviceaccounts", "system:serviceaccounts:" + namespace, "system:authenticated"},
			ResourceAttributes: &one.ResourceAttributes,
		}}
		err := c.Client.Create(ctx, review)
		return review.Status.Allowed, err
	})
}
