package observation

import (
	"context"
	"fmt"
	"slices"
	"time"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	monitoringv1alpha1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1alpha1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/example/ksmscale/api/v1alpha1"
)

// monitorsInterval is the time between two lists of the kinds of the Prometheus Operator and of our objects of these kinds. A cache cannot
// watch them, because a kind appears and disappears with its CustomResourceDefinition.
const monitorsInterval = 10 * time.Second

// Monitors lists the kinds of the Prometheus Operator, and the objects of these kinds that have the label of a KSMScale. Create it with
// NewMonitors, and start it with a manager.
type Monitors struct {
	kinds Kinds
	// ksmScales reads from a cache, and objects reads from the API server.
	ksmScales, objects client.Reader
	*poller[Monitoring]
}

// Kinds lists the kinds of a version of an API group, as a discovery client does.
type Kinds interface {
	// ServerResourcesForGroupVersion returns the kinds, or an error that the version is not found.
	ServerResourcesForGroupVersion(groupVersion string) (*metav1.APIResourceList, error)
}

// MonitorKinds are the kinds of the Prometheus Operator that the controller creates objects of.
var MonitorKinds = []schema.GroupVersionKind{
	monitoringv1alpha1.SchemeGroupVersion.WithKind(monitoringv1alpha1.ScrapeConfigsKind),
	monitoringv1.SchemeGroupVersion.WithKind(monitoringv1.ServiceMonitorsKind),
	monitoringv1.SchemeGroupVersion.WithKind(monitoringv1.PrometheusRuleKind),
}

// NewMonitors returns a Monitors that has not polled yet.
func NewMonitors(kinds Kinds, ksmScales, objects client.Reader, source clock.WithTicker, notify func()) *Monitors {
	m := &Monitors{kinds: kinds, ksmScales: ksmScales, objects: objects}
	m.poller = &poller[Monitoring]{
		objects: "the objects of the Prometheus Operator", interval: monitorsInterval, clock: source, notify: notify,
		list: m.list, equal: Monitoring.equal,
	}
	return m
}

// Latest returns the result of the last poll. The result of a nil Monitors is unknown.
func (m *Monitors) Latest() Monitoring {
	if m == nil {
		return Monitoring{}
	}
	return m.poller.Latest().Objects
}

// list lists the objects of each kind. A kind that cannot be listed does not hide the others.
func (m *Monitors) list(ctx context.Context) (Monitoring, error) {
	var ksmScales v1alpha1.KSMScaleList
	if err := m.ksmScales.List(ctx, &ksmScales, client.UnsafeDisableDeepCopy); err != nil {
		return Monitoring{}, fmt.Errorf("list KSMScales: %w", err)
	}
	before := m.Latest()
	monitoring := Monitoring{
		Known: true, Installed: sets.New[string](), Failed: map[string]error{},
		Objects: map[MonitorKey]metav1.PartialObjectMetadata{}, Rules: RuleOwnerOf(ksmScales.Items),
	}
	for _, kind := range MonitorKinds {
		installed, objects, err := m.listKind(ctx, kind)
		switch {
		case err == nil && installed:
			monitoring.add(kind.Kind, objects)
		case err != nil && before.knows(kind.Kind) && !apierrors.IsForbidden(err):
			// Such an error usually passes soon, and the objects of the previous poll probably still exist.
			log.FromContext(ctx).Error(err, "Cannot list objects of the Prometheus Operator, so the previous list is used", "kind", kind.Kind)
			monitoring.keep(kind.Kind, before)
		case err != nil:
			monitoring.Failed[kind.Kind] = err
		}
	}
	// A ServiceMonitor stays until its successor exists, also if no KSMScale requests one any more.
	for _, object := range monitoring.Objects {
		isServiceMonitor := object.Kind == monitoringv1.ServiceMonitorsKind
		monitoring.Rules.Deduplicate = monitoring.Rules.Deduplicate || isServiceMonitor && isOwnedByAny(&object, ksmScales.Items)
	}
	return monitoring, nil
}

// listKind lists the objects of a kind that have the label of a KSMScale, if the API server has the kind.
func (m *Monitors) listKind(ctx context.Context, kind schema.GroupVersionKind) (installed bool, objects []metav1.PartialObjectMetadata, err error) {
	installed, err = HasKind(m.kinds, kind)
	if err != nil {
		return false, nil, fmt.Errorf("discover kind %s: %w", kind.Kind, err)
	}
	if !installed {
		return false, nil, nil
	}
	list := metav1.PartialObjectMetadataList{}
	list.SetGroupVersionKind(kind.GroupVersion().WithKind(kind.Kind + "List"))
	err = m.objects.List(ctx, &list, client.HasLabels{v1alpha1.LabelKSMScale})
	if IsGone(err) {
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

// HasKind reports whether the API server has a kind.
func HasKind(kinds Kinds, kind schema.GroupVersionKind) (bool, error) {
	resources, err := kinds.ServerResourcesForGroupVersion(kind.GroupVersion().String())
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(resources.APIResources, func(resource metav1.APIResource) bool { return resource.Kind == kind.Kind }), nil
}
