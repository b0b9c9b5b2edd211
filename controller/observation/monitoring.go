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

// Monitoring is what there is of the Prometheus Operator.
type Monitoring struct {
	// Known tells whether anyone has looked.
	Known bool
	// Installed are the kinds that the API server has.
	Installed sets.Set[string]
	// Failed has the errors of the kinds of which it is not known whether there are any objects.
	Failed map[string]error
	// Objects are those with the label of a KSMScale.
	Objects map[MonitorKey]metav1.PartialObjectMetadata
	Rules   RuleOwner
}

// MonitorKey names an object of the Prometheus Operator.
type MonitorKey struct {
	// Kind is the kind of the object.
	Kind string
	client.ObjectKey
}

// DesiredKinds are the kinds that a KSMScale should have objects of, in order.
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

// knows tells whether a look has found out what there is of a kind.
func (m Monitoring) knows(kind string) bool { return m.Known && m.Failed[kind] == nil }

func (m Monitoring) add(kind string, objects []metav1.PartialObjectMetadata) {
	m.Installed.Insert(kind)
	for _, object := range objects {
		m.Objects[MonitorKey{kind, client.ObjectKeyFromObject(&object)}] = object
	}
}

// keep adds what there was of a kind before.
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

func (m Monitoring) equal(other Monitoring) bool {
	same := func(a, b metav1.PartialObjectMetadata) bool { return a.ResourceVersion == b.ResourceVersion }
	alike := func(a, b error) bool { return a.Error() == b.Error() }
	return m.Known == other.Known && m.Installed.Equal(other.Installed) && m.Rules == other.Rules &&
		maps.EqualFunc(m.Failed, other.Failed, alike) && maps.EqualFunc(m.Objects, other.Objects, same)
}

// IsGone tells whether an error is that a kind, or an object of it, is no longer there; a namespace that is not there is another matter.
func IsGone(err error) bool {
	var status apierrors.APIStatus
	if errors.As(err, &status) && status.Status().Details != nil && status.Status().Details.Kind == "namespaces" {
		return false
	}
	return apierrors.IsNotFound(err) || meta.IsNoMatchError(err)
}
