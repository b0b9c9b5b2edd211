package observation

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/example/ksmscale/controller/fixtures"
)

func TestVerticalAutoscalers(t *testing.T) {
	ours := fixtures.Shard(0).Name()
	policy := func(container, mode string) map[string]any {
		return map[string]any{"containerPolicies": []any{map[string]any{"containerName": container, "mode": mode}}}
	}
	for _, test := range []struct {
		name string
		spec map[string]any
		want []string
	}{
		{"with the defaults", map[string]any{}, []string{"own"}},
		{"of pods that it creates", map[string]any{"updatePolicy": map[string]any{"updateMode": "Initial"}}, []string{"own"}},
		{"that only recommends", map[string]any{"updatePolicy": map[string]any{"updateMode": "Off"}}, nil},
		{"of no container", map[string]any{"resourcePolicy": policy("*", "Off")}, nil},
		{"of the gate only", map[string]any{"resourcePolicy": policy("kube-state-metrics", "Off")}, nil},
		{"of kube-state-metrics only", map[string]any{"resourcePolicy": policy("gate", "Off")}, []string{"own"}},
		{"of another kind", map[string]any{"targetRef": map[string]any{"kind": "StatefulSet", "name": ours}}, nil},
		{"of a Deployment that is no shard", map[string]any{"targetRef": map[string]any{"kind": "Deployment", "name": "grafana"}}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			foreign, changed, autoscalers := newVerticalAutoscalers(t, VerticalAutoscalerKind)
			autoscaler := fixtures.VerticalAutoscaler(ours)
			for field, value := range test.spec {
				require.NoError(t, unstructured.SetNestedField(autoscaler.Object, value, "spec", field))
			}
			require.NoError(t, autoscalers.Create(t.Context(), autoscaler))
			require.NoError(t, foreign.Poll(t.Context()))
			assert.Equal(t, test.want, foreign.Latest().Objects[client.ObjectKey{Namespace: "monitoring", Name: ours}])
			assert.Len(t, changed, 1)
		})
	}
}

// Without the kind, there is nothing to list, and no right is necessary.
func TestVerticalAutoscalersThatAreNotInstalled(t *testing.T) {
	foreign, _, autoscalers := newVerticalAutoscalers(t)
	require.NoError(t, autoscalers.Create(t.Context(), fixtures.VerticalAutoscaler(fixtures.Shard(0).Name())))
	require.NoError(t, foreign.Poll(t.Context()))
	assert.True(t, foreign.Latest().known)
	assert.Empty(t, foreign.Latest().Objects)
}

// newVerticalAutoscalers returns a VerticalAutoscalers for an API server with some kinds, which is also the client that it reads from.
func newVerticalAutoscalers(t *testing.T, kinds ...schema.GroupVersionKind) (*VerticalAutoscalers, changes, client.Client) {
	t.Helper()
	ksmScales, changed := newClient(t), newChanges()
	autoscalers := fake.NewClientBuilder().WithScheme(ksmScales.Scheme()).Build()
	installed := fixtures.InstalledKinds(kinds)
	return NewVerticalAutoscalers(&installed, ksmScales, autoscalers, clocktesting.NewFakeClock(fixtures.Time), changed.notify), changed, autoscalers
}
