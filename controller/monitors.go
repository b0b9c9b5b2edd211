package controller

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
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
	clock              clock.WithTicker
	changes            changes

	mu   sync.Mutex
	last monitoring
}

// monitoring is what there is of the Prometheus Operator.
type monitoring struct {
	// known tells whether anyone has looked.
	known bool
	// installed are the kinds that the API server has.
	installed sets.Set[string]
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
func NewMonitors(kinds Kinds, ksmScales, objects client.Reader, clock clock.WithTicker) *Monitors {
	return &Monitors{kinds: kinds, ksmScales: ksmScales, objects: objects, clock: clock, changes: newChanges()}
}

// found is what was found at the last look; if there is no one to look, nothing is known.
func (m *Monitors) found() monitoring {
	if m == nil {
		return monitoring{}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.last
}

// Start looks again and again, until the context is done. It is part of manager.Runnable.
func (m *Monitors) Start(ctx context.Context) error {
	ticker := m.clock.NewTicker(monitorsInterval)
	defer ticker.Stop()
	for {
		if err := m.look(ctx); err != nil && ctx.Err() == nil {
			log.FromContext(ctx).Error(err, "Cannot look for the objects of the Prometheus Operator")
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C():
		}
	}
}

// look finds what there is, and tells if it is not what there was.
func (m *Monitors) look(ctx context.Context) error {
	var ksmScales v1alpha1.KSMScaleList
	if err := m.ksmScales.List(ctx, &ksmScales, client.UnsafeDisableDeepCopy); err != nil {
		return fmt.Errorf("list KSMScales: %w", err)
	}
	found := monitoring{known: true, installed: sets.New[string](), objects: map[monitorKey]metav1.PartialObjectMetadata{}, rules: rulesOf(ksmScales.Items)}
	for _, kind := range monitorKinds {
		has, err := m.has(kind)
		if err != nil {
			return fmt.Errorf("ask for kind %s: %w", kind.Kind, err)
		}
		if !has {
			continue
		}
		list := metav1.PartialObjectMetadataList{}
		list.SetGroupVersionKind(kind.GroupVersion().WithKind(kind.Kind + "List"))
		err = m.objects.List(ctx, &list, client.HasLabels{v1alpha1.LabelKSMScale})
		if gone(err) {
			continue
		}
		if err != nil {
			return fmt.Errorf("list objects of kind %s: %w", kind.Kind, err)
		}
		found.installed.Insert(kind.Kind)
		for _, object := range list.Items {
			object.SetGroupVersionKind(kind)
			found.objects[monitorKey{kind.Kind, client.ObjectKeyFromObject(&object)}] = object
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.last.equal(found) {
		m.last = found
		m.changes.tell()
	}
	return nil
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

func (m monitoring) equal(other monitoring) bool {
	same := func(a, b metav1.PartialObjectMetadata) bool { return a.ResourceVersion == b.ResourceVersion }
	return m.known == other.known && m.installed.Equal(other.installed) && m.rules == other.rules && maps.EqualFunc(m.objects, other.objects, same)
}

// gone tells whether an error is that a kind is no longer there.
func gone(err error) bool { return apierrors.IsNotFound(err) || meta.IsNoMatchError(err) }
