package observation

import (
	"errors"
	"maps"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/controller/objects"
)

// Monitoring has the kinds of the Prometheus Operator, and the objects that the controller applied of these kinds.
type Monitoring struct {
	// Known reports whether a poll has succeeded.
	Known bool
	// Installed are the kinds that the API server has.
	Installed sets.Set[string]
	// Failed has the errors of the kinds whose objects are unknown.
	Failed map[string]error
	// Objects are the objects with the label of a KSMScale.
	Objects map[MonitorKey]metav1.PartialObjectMetadata
	// Rules names the KSMScale that has the rules.
	Rules RuleOwner
}

// MonitorKey identifies an object of the Prometheus Operator.
type MonitorKey struct {
	// Kind is the kind of the object.
	Kind string
	client.ObjectKey
}

// DesiredKinds returns the kinds that a KSMScale should have objects of, in order.
func (m Monitoring) DesiredKinds(ksmScale *v1alpha1.KSMScale) []string {
	var kinds []string
	if kind := objects.ScrapingKind(ksmScale); kind != "" {
		kinds = append(kinds, kind)
	}
	if m.Rules.KSMScale == ksmScale.Name && ksmScale.Spec.Monitoring.Rules {
		kinds = append(kinds, monitoringv1.PrometheusRuleKind)
	}
	return kinds
}

// RulesStay reports whether a KSMScale has a PrometheusRule that stays until the KSMScale with the rules has created its own.
func (m Monitoring) RulesStay(ksmScale *v1alpha1.KSMScale) bool {
	isOwn := func(rule *metav1.PartialObjectMetadata) bool { return IsOwnedBy(rule, ksmScale) }
	return m.Rules.KSMScale != ksmScale.Name && !m.HasRules() && m.hasRule(isOwn)
}

// HasRules reports whether the KSMScale that should have the rules has them, or no KSMScale should.
func (m Monitoring) HasRules() bool {
	isOwners := func(rule *metav1.PartialObjectMetadata) bool {
		return rule.Labels[v1alpha1.LabelKSMScale] == m.Rules.KSMScale
	}
	return m.Rules.KSMScale == "" || m.hasRule(isOwners)
}

// hasRule reports whether some PrometheusRule meets a condition.
func (m Monitoring) hasRule(meets func(*metav1.PartialObjectMetadata) bool) bool {
	for _, object := range m.Objects {
		if object.Kind == monitoringv1.PrometheusRuleKind && meets(&object) {
			return true
		}
	}
	return false
}

// knows reports whether the objects of a kind are known.
func (m Monitoring) knows(kind string) bool { return m.Known && m.Failed[kind] == nil }

// add adds an installed kind and its objects.
func (m Monitoring) add(kind string, items []metav1.PartialObjectMetadata) {
	m.Installed.Insert(kind)
	for _, object := range items {
		m.Objects[MonitorKey{kind, client.ObjectKeyFromObject(&object)}] = object
	}
}

// keep adds the previous objects of a kind.
func (m Monitoring) keep(kind string, before Monitoring) {
	if !before.Installed.Has(kind) {
		return
	}
	m.add(kind, nil)
	for key, object := range before.Objects {
		if key.Kind == kind {
			m.Objects[key] = object
		}
	}
}

// equal reports whether two polls had the same result.
func (m Monitoring) equal(other Monitoring) bool {
	sameVersion := func(a, b metav1.PartialObjectMetadata) bool { return a.ResourceVersion == b.ResourceVersion }
	sameText := func(a, b error) bool { return a.Error() == b.Error() }
	return m.Known == other.Known && m.Installed.Equal(other.Installed) && m.Rules == other.Rules &&
		maps.EqualFunc(m.Failed, other.Failed, sameText) && maps.EqualFunc(m.Objects, other.Objects, sameVersion)
}

// IsGone reports whether an error means that a kind or an object no longer exists. A missing namespace does not count.
func IsGone(err error) bool {
	var status apierrors.APIStatus
	if errors.As(err, &status) && status.Status().Details != nil && status.Status().Details.Kind == "namespaces" {
		return false
	}
	return apierrors.IsNotFound(err) || meta.IsNoMatchError(err)
}
