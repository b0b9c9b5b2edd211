package controller

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	monitoringv1alpha1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1alpha1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/example/ksmscale/api/v1alpha1"
)

// monitorsInterval is the time between looks for the kinds of the Prometheus Operator and for our objects of these. A
// cache would have to watch kinds that come and go with their CustomResourceDefinitions.
const monitorsInterval = 10 * time.Second

// monitorKinds are the kinds of the Prometheus Operator that there are objects of.
var monitorKinds = []schema.GroupVersionKind{
	monitoringv1alpha1.SchemeGroupVersion.WithKind(monitoringv1alpha1.ScrapeConfigsKind),
	monitoringv1.SchemeGroupVersion.WithKind(monitoringv1.ServiceMonitorsKind),
	monitoringv1.SchemeGroupVersion.WithKind(monitoringv1.PrometheusRuleKind),
}

// Kinds says what kinds a version of an API group has, as a discovery client does.
type Kinds interface {
	ServerResourcesForGroupVersion(groupVersion string) (*metav1.APIResourceList, error)
}

// Monitors looks for the kinds of the Prometheus Operator, and for what was made of them for KSMScales. Create it with
// NewMonitors, and have a manager start it.
type Monitors struct {
	kinds Kinds
	// ksmScales reads from a cache, and objects from the API server.
	ksmScales, objects client.Reader
	*poller[monitoring]
}

// monitoring is what there is of the Prometheus Operator.
type monitoring struct {
	// known tells whether anyone has looked.
	known bool
	// installed are the kinds that the API server has.
	installed sets.Set[string]
	// failed has the errors of the kinds of which it is not known whether there are any objects.
	failed map[string]error
	// objects are those with the label of a KSMScale.
	objects map[monitorKey]metav1.PartialObjectMetadata
	rules   rulesFor
}

// monitorKey names an object of the Prometheus Operator.
type monitorKey struct {
	kind string
	client.ObjectKey
}

// NewMonitors returns one that has not looked yet.
func NewMonitors(kinds Kinds, ksmScales, objects client.Reader, clock clock.WithTicker, notify func()) *Monitors {
	m := &Monitors{kinds: kinds, ksmScales: ksmScales, objects: objects}
	m.poller = &poller[monitoring]{
		objects: "the objects of the Prometheus Operator", interval: monitorsInterval, clock: clock, notify: notify,
		find: m.find, equal: monitoring.equal,
	}
	return m
}

// found is what was found at the last look; if there is no one to look, nothing is known.
func (m *Monitors) found() monitoring {
	if m == nil {
		return monitoring{}
	}
	return m.snapshot().found
}

// find finds the objects of each kind. A kind that cannot be listed does not hide the others.
func (m *Monitors) find(ctx context.Context) (monitoring, error) {
	var ksmScales v1alpha1.KSMScaleList
	if err := m.ksmScales.List(ctx, &ksmScales, client.UnsafeDisableDeepCopy); err != nil {
		return monitoring{}, fmt.Errorf("list KSMScales: %w", err)
	}
	before := m.found()
	found := monitoring{
		known: true, installed: sets.New[string](), failed: map[string]error{},
		objects: map[monitorKey]metav1.PartialObjectMetadata{}, rules: rulesOf(ksmScales.Items),
	}
	for _, kind := range monitorKinds {
		installed, objects, err := m.list(ctx, kind)
		switch {
		case err == nil && installed:
			found.add(kind.Kind, objects)
		case err != nil && before.knows(kind.Kind) && !apierrors.IsForbidden(err):
			// Such an error usually passes, and the objects from before are likely to exist still.
			log.FromContext(ctx).Error(err, "Cannot look for objects of the Prometheus Operator, so those from before are used")
			found.keep(kind.Kind, before)
		case err != nil:
			found.failed[kind.Kind] = err
		}
	}
	return found, nil
}

// list lists the objects of a kind that have the label of a KSMScale, if the API server has the kind.
func (m *Monitors) list(ctx context.Context, kind schema.GroupVersionKind) (installed bool, objects []metav1.PartialObjectMetadata, err error) {
	installed, err = m.has(kind)
	if err != nil {
		return false, nil, fmt.Errorf("ask for kind %s: %w", kind.Kind, err)
	}
	if !installed {
		return false, nil, nil
	}
	list := metav1.PartialObjectMetadataList{}
	list.SetGroupVersionKind(kind.GroupVersion().WithKind(kind.Kind + "List"))
	err = m.objects.List(ctx, &list, client.HasLabels{v1alpha1.LabelKSMScale})
	if gone(err) {
		return false, nil, nil
	}
	if err != nil {
		return false, nil, fmt.Errorf("list objects of kind %s: %w", kind.Kind, err)
	}
	for i := range list.Items {
		list.Items[i].SetGroupVersionKind(kind)
	}
	return true, list.Items, nil
}

func (m *Monitors) has(kind schema.GroupVersionKind) (bool, error) {
	resources, err := m.kinds.ServerResourcesForGroupVersion(kind.GroupVersion().String())
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(resources.APIResources, func(resource metav1.APIResource) bool { return resource.Kind == kind.Kind }), nil
}

// knows tells whether a look has found out what there is of a kind.
func (m monitoring) knows(kind string) bool { return m.known && m.failed[kind] == nil }

func (m monitoring) add(kind string, objects []metav1.PartialObjectMetadata) {
	m.installed.Insert(kind)
	for _, object := range objects {
		m.objects[monitorKey{kind, client.ObjectKeyFromObject(&object)}] = object
	}
}

// keep adds what there was of a kind before.
func (m monitoring) keep(kind string, before monitoring) {
	if !before.installed.Has(kind) {
		return
	}
	m.add(kind, nil)
	for key, object := range before.objects {
		if key.kind == kind {
			m.objects[key] = object
		}
	}
}

func (m monitoring) equal(other monitoring) bool {
	same := func(a, b metav1.PartialObjectMetadata) bool { return a.ResourceVersion == b.ResourceVersion }
	alike := func(a, b error) bool { return a.Error() == b.Error() }
	return m.known == other.known && m.installed.Equal(other.installed) && m.rules == other.rules &&
		maps.EqualFunc(m.failed, other.failed, alike) && maps.EqualFunc(m.objects, other.objects, same)
}

// gone tells whether an error is that a kind, or an object of it, is no longer there; a namespace that is not there is another matter.
func gone(err error) bool {
	var status apierrors.APIStatus
	if errors.As(err, &status) && status.Status().Details != nil && status.Status().Details.Kind == "namespaces" {
		return false
	}
	return apierrors.IsNotFound(err) || meta.IsNoMatchError(err)
}
