package controller

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"testing"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	monitoringv1alpha1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1alpha1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/sets"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/controller/fixtures"
	"github.com/example/ksmscale/controller/observation"
	"github.com/example/ksmscale/controller/status"
)

// Objects follow the type, are not written again when they are as desired, and those of others are left alone.
func TestMonitorsAreAppliedAndPruned(t *testing.T) {
	var applied int
	r, _ := newReconciler(t, planner{nodes: 60}, func(kind, _ string) error {
		if _, ours := status.MonitorResources[kind]; ours {
			applied++
		}
		return nil
	})
	kinds := fixtures.InstalledKinds(observation.MonitorKinds)
	r.Monitors = observation.NewMonitors(&kinds, r.Client, r.Client, clocktesting.NewFakeClock(fixtures.Time), func() {})
	foreign := &monitoringv1.ServiceMonitor{ObjectMeta: metav1.ObjectMeta{
		Namespace: "monitoring", Name: "foreign", UID: "foreign", Labels: map[string]string{v1alpha1.LabelKSMScale: "main"},
	}}
	require.NoError(t, r.Client.Create(t.Context(), foreign))
	reconcileTwice := func(change func(*v1alpha1.MonitoringConfig)) {
		ksmScale := readMain(t, r)
		change(&ksmScale.Spec.Monitoring)
		require.NoError(t, r.Client.Update(t.Context(), ksmScale))
		for range 2 {
			require.NoError(t, r.Monitors.Poll(t.Context()))
			_, err := reconcileMain(t, r)
			require.NoError(t, err)
		}
	}
	names := func(list client.ObjectList) int {
		require.NoError(t, r.Client.List(t.Context(), list))
		return meta.LenList(list)
	}
	reconcileTwice(func(c *v1alpha1.MonitoringConfig) { c.Rules = true })
	assert.Equal(t, 3, names(&monitoringv1alpha1.ScrapeConfigList{}))
	assert.Equal(t, 1, names(&monitoringv1.PrometheusRuleList{}))
	assert.Equal(t, 4, applied, "each once")
	reconcileTwice(func(c *v1alpha1.MonitoringConfig) { c.Labels = map[string]v1alpha1.LabelValue{"release": "stack"} })
	assert.Equal(t, 8, applied)
	reconcileTwice(func(c *v1alpha1.MonitoringConfig) { c.Labels = nil })
	assert.Equal(t, 12, applied, "a label that is no longer desired is taken away")
	reconcileTwice(func(c *v1alpha1.MonitoringConfig) {
		c.TLSConfig = &v1alpha1.ScrapeTLSConfig{CA: &v1alpha1.SecretOrConfigMap{Secret: v1alpha1.KeySelector{Name: "a", Key: "b"}}}
		c.Authorization = v1alpha1.ScrapeAuthorization{Credentials: v1alpha1.KeySelector{Name: "a", Key: "b"}}
	})
	assert.Equal(t, 14, applied, "those of kube-state-metrics, once")
	reconcileTwice(func(c *v1alpha1.MonitoringConfig) { c.TLSConfig, c.Authorization = nil, v1alpha1.ScrapeAuthorization{} })
	assert.Equal(t, 16, applied, "and without")

	reconcileTwice(func(c *v1alpha1.MonitoringConfig) { c.Type = v1alpha1.MonitoringServiceMonitor })
	assert.Zero(t, names(&monitoringv1alpha1.ScrapeConfigList{}))
	assert.Equal(t, 2, names(&monitoringv1.ServiceMonitorList{}), "ours, and the foreign one")
	assert.Equal(t, 18, applied, "with the rules that it needs")
	reconcileTwice(func(c *v1alpha1.MonitoringConfig) { c.TLSConfig = &v1alpha1.ScrapeTLSConfig{InsecureSkipVerify: true} })
	assert.Equal(t, 19, applied)
	reconcileTwice(func(c *v1alpha1.MonitoringConfig) { c.Type, c.Rules = v1alpha1.MonitoringNone, false })
	assert.Zero(t, names(&monitoringv1.PrometheusRuleList{}))
	assert.Equal(t, 1, names(&monitoringv1.ServiceMonitorList{}), "the foreign one")
}

// partlyMonitored is a KSMScale with a ServiceMonitor whose objects are looked for while lists of some kinds fail.
type partlyMonitored struct {
	*Reconciler
	t        *testing.T
	failures map[string]error
}

func newPartlyMonitored(t *testing.T) partlyMonitored {
	t.Helper()
	r, _ := newReconciler(t, planner{nodes: 45}, nil)
	w := partlyMonitored{r, t, map[string]error{}}
	live, ok := r.Client.(client.WithWatch)
	require.True(t, ok)
	failing := interceptor.NewClient(live, interceptor.Funcs{List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, options ...client.ListOption) error {
		if objects, ok := list.(*metav1.PartialObjectMetadataList); ok {
			if err := w.failures[objects.Kind]; err != nil {
				return err
			}
		}
		return c.List(ctx, list, options...)
	}})
	r.Monitors = observation.NewMonitors(fixtures.InstalledKinds(observation.MonitorKinds), live, failing, clocktesting.NewFakeClock(fixtures.Time), func() {})
	users := readMain(t, r)
	users.Spec.Monitoring.Type = v1alpha1.MonitoringServiceMonitor
	require.NoError(t, r.Client.Update(t.Context(), users))
	return w
}

// see looks and reconciles, and checks the condition Monitoring then.
func (w partlyMonitored) see(status metav1.ConditionStatus, reason, message string) {
	w.t.Helper()
	require.NoError(w.t, w.Monitors.Poll(w.t.Context()))
	_, err := reconcileMain(w.t, w.Reconciler)
	require.NoError(w.t, err)
	condition := meta.FindStatusCondition(readMain(w.t, w.Reconciler).Status.Conditions, v1alpha1.ConditionMonitoring)
	require.NotNil(w.t, condition)
	assert.Equal(w.t, string(status)+" "+reason, string(condition.Status)+" "+condition.Reason)
	assert.Contains(w.t, condition.Message, message)
}

func TestMonitorsThatCannotBeListed(t *testing.T) {
	forbidden := apierrors.NewForbidden(schema.GroupResource{Group: monitoringv1.SchemeGroupVersion.Group, Resource: "monitors"}, "", errors.New("no"))
	t.Run("of the kind that is asked for", func(t *testing.T) {
		w := newPartlyMonitored(t)
		w.failures["ServiceMonitorList"] = forbidden
		w.see(metav1.ConditionFalse, v1alpha1.ReasonForbidden, "The controller creates no ServiceMonitor")
		assert.True(t, meta.IsStatusConditionFalse(readMain(t, w.Reconciler).Status.Conditions, v1alpha1.ConditionReady))
		delete(w.failures, "ServiceMonitorList")
		w.see(metav1.ConditionTrue, v1alpha1.ReasonCreated, "Created ServiceMonitor")
		w.failures["ServiceMonitorList"] = errors.New("timeout")
		w.see(metav1.ConditionTrue, v1alpha1.ReasonCreated, "Created ServiceMonitor")
		w.failures["ServiceMonitorList"] = forbidden
		w.see(metav1.ConditionFalse, v1alpha1.ReasonForbidden, "The controller creates no ServiceMonitor")
	})
	t.Run("for another reason", func(t *testing.T) {
		w := newPartlyMonitored(t)
		w.failures["ServiceMonitorList"] = errors.New("timeout")
		w.see(metav1.ConditionFalse, v1alpha1.ReasonListFailed, "timeout")
	})
	t.Run("of another kind", func(t *testing.T) {
		w := newPartlyMonitored(t)
		w.failures["ScrapeConfigList"] = forbidden
		w.see(metav1.ConditionTrue, v1alpha1.ReasonCreated, "Created ServiceMonitor ksm-main in namespace monitoring; the controller does not delete an earlier ScrapeConfig")
	})
}

// The condition of its predecessor stays until a new leader has looked.
func TestMonitoringStaysUntilTheFirstLook(t *testing.T) {
	w := newPartlyMonitored(t)
	w.failures["ServiceMonitorList"] = errors.New("timeout")
	w.see(metav1.ConditionFalse, v1alpha1.ReasonListFailed, "timeout")
	before := readMain(t, w.Reconciler)
	w.Monitors = observation.NewMonitors(fixtures.InstalledKinds(observation.MonitorKinds), w.Client, w.Client, clocktesting.NewFakeClock(fixtures.Time), func() {})
	_, err := reconcileMain(t, w.Reconciler)
	require.NoError(t, err)
	assert.Equal(t, before.ResourceVersion, readMain(t, w.Reconciler).ResourceVersion)
}

// unsettled has objects of a KSMScale that are not desired, and counts those that are deleted. Every read fails with get, and every deletion
// with remove, if they are set.
type unsettled struct {
	*Reconciler
	ksmScale    *v1alpha1.KSMScale
	observed    observation.Monitoring
	deleted     []string
	get, remove error
}

func newUnsettled(t *testing.T, monitoring v1alpha1.MonitoringConfig, installed ...string) *unsettled {
	t.Helper()
	r, _ := newReconciler(t, planner{nodes: 45}, nil)
	live, ok := r.Client.(client.WithWatch)
	require.True(t, ok)
	w := &unsettled{Reconciler: r, ksmScale: readMain(t, r), observed: observation.Monitoring{
		Known: true, Installed: sets.New(installed...), Objects: map[observation.MonitorKey]metav1.PartialObjectMetadata{},
	}}
	w.ksmScale.Spec.Monitoring = monitoring
	r.Uncached = interceptor.NewClient(live, interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, object client.Object, options ...client.GetOption) error {
			return cmp.Or(w.get, c.Get(ctx, key, object, options...))
		},
		Delete: func(_ context.Context, _ client.WithWatch, object client.Object, _ ...client.DeleteOption) error {
			w.deleted = append(w.deleted, object.GetName())
			if w.remove != nil {
				return fmt.Errorf("%w to %s", w.remove, object.GetName())
			}
			return nil
		},
	})
	return w
}

func (w *unsettled) add(kind, name string, owner client.Object) {
	object := metav1.PartialObjectMetadata{
		TypeMeta: metav1.TypeMeta{Kind: kind},
		ObjectMeta: metav1.ObjectMeta{
			Name: name, Labels: map[string]string{v1alpha1.LabelKSMScale: owner.GetName()},
			OwnerReferences: []metav1.OwnerReference{{UID: owner.GetUID(), Controller: new(true)}},
		},
	}
	w.observed.Objects[observation.MonitorKey{Kind: kind, ObjectKey: client.ObjectKey{Name: name}}] = object
}

// The message of the condition has this text, and each change of it would be a write of the status.
func TestErrorsOfMonitorsHaveAnOrder(t *testing.T) {
	w := newUnsettled(t, v1alpha1.MonitoringConfig{Type: v1alpha1.MonitoringNone, Rules: true}, monitoringv1.PrometheusRuleKind)
	w.observed.Rules.KSMScale = w.ksmScale.Name
	w.get, w.remove = errors.New("no"), errors.New("no")
	for _, name := range []string{"a", "b", "c", "d"} {
		w.add(monitoringv1alpha1.ScrapeConfigsKind, name, w.ksmScale)
	}
	for range 20 {
		require.EqualError(t, w.applyMonitors(t.Context(), w.ksmScale, w.observed), "get PrometheusRule ksm-main: no\n"+
			"delete ScrapeConfig a: no to a\ndelete ScrapeConfig b: no to b\ndelete ScrapeConfig c: no to c\ndelete ScrapeConfig d: no to d")
	}
}

// Prometheus scrapes the shards by their old objects until the new ones exist.
func TestOldMonitorsStayUntilTheirSuccessorsExist(t *testing.T) {
	serviceMonitor := v1alpha1.MonitoringConfig{Type: v1alpha1.MonitoringServiceMonitor}
	all := []string{monitoringv1alpha1.ScrapeConfigsKind, monitoringv1.ServiceMonitorsKind}
	for _, test := range []struct {
		name       string
		monitoring v1alpha1.MonitoringConfig
		installed  []string
		get        error
		deleted    []string
	}{
		{"the new kind is not installed", serviceMonitor, []string{monitoringv1alpha1.ScrapeConfigsKind}, nil, nil},
		{"the new object is refused", serviceMonitor, all, errors.New("no"), nil},
		{"the new object exists", serviceMonitor, all, nil, []string{"ksm-main"}},
		{"no object is desired where ScrapeConfigs are not installed", v1alpha1.MonitoringConfig{}, []string{monitoringv1.ServiceMonitorsKind}, nil, []string{"ksm-main"}},
		{"no object is desired", v1alpha1.MonitoringConfig{Type: v1alpha1.MonitoringNone}, all, nil, []string{"ksm-main"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newUnsettled(t, test.monitoring, test.installed...)
			w.get = test.get
			old := monitoringv1alpha1.ScrapeConfigsKind
			if test.monitoring.Type == "" {
				old = monitoringv1.ServiceMonitorsKind
			}
			w.add(old, "ksm-main", w.ksmScale)
			require.ErrorIs(t, w.applyMonitors(t.Context(), w.ksmScale, w.observed), test.get)
			assert.Equal(t, test.deleted, w.deleted)
		})
	}
}

func TestOldMonitorsStayWhileScrapeConfigsCannotBeListed(t *testing.T) {
	w := newUnsettled(t, v1alpha1.MonitoringConfig{}, monitoringv1.ServiceMonitorsKind)
	w.observed.Failed = map[string]error{monitoringv1alpha1.ScrapeConfigsKind: errors.New("no")}
	w.add(monitoringv1.ServiceMonitorsKind, "ksm-main", w.ksmScale)
	require.NoError(t, w.applyMonitors(t.Context(), w.ksmScale, w.observed))
	assert.Empty(t, w.deleted)
}

// Without its rules, Prometheus would have no alert about the KSMScale that cannot create them.
func TestRulesStayUntilAnotherKSMScaleHasThem(t *testing.T) {
	w := newUnsettled(t, v1alpha1.MonitoringConfig{Type: v1alpha1.MonitoringNone, Rules: true}, monitoringv1.PrometheusRuleKind)
	first := fixtures.KSMScale(func(k *v1alpha1.KSMScale) { k.Name, k.UID = "first", "first" })
	w.observed.Rules.KSMScale = first.Name
	w.add(monitoringv1.PrometheusRuleKind, "ksm-main", w.ksmScale)
	require.NoError(t, w.applyMonitors(t.Context(), w.ksmScale, w.observed))
	assert.Empty(t, w.deleted)
	w.add(monitoringv1.PrometheusRuleKind, "ksm-first", first)
	require.NoError(t, w.applyMonitors(t.Context(), w.ksmScale, w.observed))
	assert.Equal(t, []string{"ksm-main"}, w.deleted)
}
