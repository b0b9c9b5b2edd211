package controller

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	rbacv1ac "k8s.io/client-go/applyconfigurations/rbac/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/controller/objects"
	"github.com/example/ksmscale/controller/observation"
)

// applyRights applies the service account of a KSMScale and its bindings, and deletes bindings that are neither desired nor used by a pod. A
// binding gives rights to any account of that name, even if someone else creates the account later. So bindings exist only while the account
// exists and belongs to the KSMScale.
func (r *Reconciler) applyRights(ctx context.Context, ksmScale *v1alpha1.KSMScale, observed observation.Snapshot) error {
	a := applier{Reconciler: r, Client: r.Client, owner: ksmScale}
	var errs []error
	var desired []*rbacv1ac.ClusterRoleBindingApplyConfiguration
	keep := objects.UsedBindings(ksmScale, observed.AnyPod)
	if objects.OwnsServiceAccount(ksmScale) {
		errs = append(errs, apply(ctx, a, objects.ServiceAccount(ksmScale), &corev1.ServiceAccount{}, corev1ac.ExtractServiceAccount))
		desired = objects.ClusterRoleBindings(ksmScale)
	}
	exists, err := r.hasServiceAccount(ctx, ksmScale)
	if err != nil {
		return errors.Join(append(errs, err)...)
	}
	if !exists {
		keep, desired = nil, nil
	}
	for _, binding := range desired {
		keep.Insert(*binding.GetName())
	}
	errs = append(errs, r.pruneBindings(ctx, ksmScale, keep))
	for _, binding := range desired {
		errs = append(errs, apply(ctx, a, binding, &rbacv1.ClusterRoleBinding{}, rbacv1ac.ExtractClusterRoleBinding))
	}
	return errors.Join(errs...)
}

// hasServiceAccount reports whether the service account of a KSMScale exists and the KSMScale owns it.
func (r *Reconciler) hasServiceAccount(ctx context.Context, ksmScale *v1alpha1.KSMScale) (bool, error) {
	var account corev1.ServiceAccount
	key := client.ObjectKey{Namespace: ksmScale.Spec.Namespace, Name: v1alpha1.ServiceAccountName(ksmScale.Name)}
	if err := r.Client.Get(ctx, key, &account); client.IgnoreNotFound(err) != nil {
		return false, fmt.Errorf("get ServiceAccount %s: %w", key, err)
	}
	return metav1.IsControlledBy(&account, ksmScale), nil
}
