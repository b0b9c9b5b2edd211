package controller

import (
	"context"
	"errors"
	"testing"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/example/ksmscale/api/v1alpha1"
)

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
	r.Monitors = NewMonitors(installed(monitorKinds), live, failing, clocktesting.NewFakeClock(testTime), func() {})
	users := readMain(t, r)
	users.Spec.Monitoring.Type = v1alpha1.MonitoringServiceMonitor
	require.NoError(t, r.Client.Update(t.Context(), users))
	return w
}

// see looks and reconciles, and checks the condition Monitoring then.
func (w partlyMonitored) see(status metav1.ConditionStatus, reason, message string) {
	w.t.Helper()
	require.NoError(w.t, w.Monitors.look(w.t.Context()))
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
		w.see(metav1.ConditionFalse, v1alpha1.ReasonForbidden, "No ServiceMonitor is created")
		assert.True(t, meta.IsStatusConditionFalse(readMain(t, w.Reconciler).Status.Conditions, v1alpha1.ConditionReady))
		delete(w.failures, "ServiceMonitorList")
		w.see(metav1.ConditionTrue, v1alpha1.ReasonCreated, "There is a ServiceMonitor")
		w.failures["ServiceMonitorList"] = errors.New("timeout")
		w.see(metav1.ConditionTrue, v1alpha1.ReasonCreated, "There is a ServiceMonitor")
		w.failures["ServiceMonitorList"] = forbidden
		w.see(metav1.ConditionFalse, v1alpha1.ReasonForbidden, "No ServiceMonitor is created")
	})
	t.Run("for another reason", func(t *testing.T) {
		w := newPartlyMonitored(t)
		w.failures["ServiceMonitorList"] = errors.New("timeout")
		w.see(metav1.ConditionFalse, v1alpha1.ReasonListFailed, "timeout")
	})
	t.Run("of another kind", func(t *testing.T) {
		w := newPartlyMonitored(t)
		w.failures["ScrapeConfigList"] = forbidden
		w.see(metav1.ConditionTrue, v1alpha1.ReasonCreated, "There is a ServiceMonitor ksm-main in namespace monitoring; a ScrapeConfig from before is not deleted")
	})
}

// The condition of its predecessor stays until a new leader has looked.
func TestMonitoringStaysUntilTheFirstLook(t *testing.T) {
	w := newPartlyMonitored(t)
	w.failures["ServiceMonitorList"] = errors.New("timeout")
	w.see(metav1.ConditionFalse, v1alpha1.ReasonListFailed, "timeout")
	before := readMain(t, w.Reconciler)
	w.Monitors = NewMonitors(installed(monitorKinds), w.Client, w.Client, clocktesting.NewFakeClock(testTime), func() {})
	_, err := reconcileMain(t, w.Reconciler)
	require.NoError(t, err)
	assert.Equal(t, before.ResourceVersion, readMain(t, w.Reconciler).ResourceVersion)
}

// A namespace that does not exist is no kind that has gone.
func TestMonitorsWithoutANamespace(t *testing.T) {
	for _, test := range []struct {
		err  error
		gone bool
	}{
		{apierrors.NewNotFound(schema.GroupResource{Resource: "namespaces"}, "typo"), false},
		{apierrors.NewNotFound(schema.GroupResource{Group: monitoringv1.SchemeGroupVersion.Group, Resource: "scrapeconfigs"}, "ksm-main"), true},
		{&meta.NoKindMatchError{}, true},
		{errors.New("timeout"), false},
		{nil, false},
	} {
		assert.Equal(t, test.gone, gone(test.err), "%v", test.err)
	}
}

// The rules of all KSMScales are those of the first that can have any.
func TestRulesOfKSMScalesThatCannotHaveThem(t *testing.T) {
	asking := func(name, progressing string) v1alpha1.KSMScale {
		return *ksmScaleWith(func(k *v1alpha1.KSMScale) {
			k.Name, k.Spec.Monitoring.Rules = name, true
			if progressing != "" {
				k.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionProgressing, Status: metav1.ConditionFalse, Reason: progressing}}
			}
		})
	}
	for _, test := range []struct {
		name, progressing, want string
	}{
		{"the first", v1alpha1.ReasonComplete, "a"},
		{"one that is new", "", "a"},
		{"one without a namespace", v1alpha1.ReasonNamespaceNotFound, "b"},
		{"one whose namespace is being deleted", v1alpha1.ReasonNamespaceTerminating, "b"},
	} {
		assert.Equal(t, test.want, rulesOf([]v1alpha1.KSMScale{asking("b", ""), asking("a", test.progressing)}).ksmScale, test.name)
	}
	assert.Empty(t, rulesOf([]v1alpha1.KSMScale{asking("a", v1alpha1.ReasonNamespaceNotFound)}).ksmScale)
}
