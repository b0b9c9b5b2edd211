package objectcounts

import (
	"context"
	"errors"
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/example/ksmscale/controller/fixtures"
)

// countingReader has a number of objects of each kind, and refuses to list Secrets.
type countingReader struct {
	client.Reader
	remaining map[string]int64
	// err is the error of each request; nil for none.
	err error
	// withoutCounts is whether the API server does not report how many objects remain.
	withoutCounts bool
	requests      int
}

func (r *countingReader) List(_ context.Context, list client.ObjectList, options ...client.ListOption) error {
	r.requests++
	if r.err != nil {
		return r.err
	}
	var applied client.ListOptions
	applied.ApplyOptions(options)
	if applied.Limit != 1 {
		return errors.New("lists are of one object")
	}
	kind := list.GetObjectKind().GroupVersionKind().Kind
	if kind == "SecretList" {
		return apierrors.NewForbidden(schema.GroupResource{Resource: "secrets"}, "", errors.New("no"))
	}
	if r.withoutCounts {
		list.SetContinue("more")
		return nil
	}
	partial, ok := list.(*metav1.PartialObjectMetadataList)
	if !ok {
		return errors.New("lists are of metadata")
	}
	if group := list.GetObjectKind().GroupVersionKind().Group; group == "example.com" {
		kind = group + "/" + kind
	}
	count := r.remaining[kind]
	if count > 0 {
		partial.Items = make([]metav1.PartialObjectMetadata, 1)
	}
	if count > 1 {
		partial.RemainingItemCount = new(count - 1)
	}
	return nil
}

func TestObjectsAreCounted(t *testing.T) {
	mapper := meta.NewDefaultRESTMapper([]schema.GroupVersion{corev1.SchemeGroupVersion, {Group: "example.com", Version: "v1"}, appsv1.SchemeGroupVersion})
	for _, kind := range []schema.GroupVersionKind{
		{Group: "example.com", Version: "v1", Kind: "Deployment"}, // Another API group has a resource of this name.
		corev1.SchemeGroupVersion.WithKind("Pod"), corev1.SchemeGroupVersion.WithKind("Node"), corev1.SchemeGroupVersion.WithKind("Secret"), appsv1.SchemeGroupVersion.WithKind("Deployment"),
	} {
		mapper.Add(kind, meta.RESTScopeNamespace)
	}
	reader := &countingReader{remaining: map[string]int64{"PodList": 20_000, "NodeList": 1, "example.com/DeploymentList": 7}}
	now := clocktesting.NewFakeClock(fixtures.Time)
	counter := NewCounter(reader, mapper, now)
	wanted := map[string]int64{"pods": 20_000, "nodes": 1, "deployments": 0, "secrets": NotCounted, "widgets": NotCounted}
	resources := slices.Collect(maps.Keys(wanted))
	for range 2 {
		assert.Equal(t, wanted, counter.Count(t.Context(), resources))
		assert.Equal(t, 4, reader.requests, "one request for each resource that the API server has")
	}

	reader.remaining["NodeList"] = 2
	now.Step(countedFor)
	wanted["nodes"] = 2
	assert.Equal(t, wanted, counter.Count(t.Context(), resources))
	assert.Equal(t, 8, reader.requests)
}

// A failure that may pass is not remembered.
func TestObjectsAreCountedAfterFailure(t *testing.T) {
	mapper := meta.NewDefaultRESTMapper(nil)
	mapper.Add(corev1.SchemeGroupVersion.WithKind("Pod"), meta.RESTScopeNamespace)
	reader := &countingReader{remaining: map[string]int64{"PodList": 3}, err: errors.New("unavailable")}
	counter := NewCounter(reader, mapper, clocktesting.NewFakeClock(fixtures.Time))
	assert.Equal(t, map[string]int64{"pods": NotCounted}, counter.Count(t.Context(), []string{"pods"}))
	reader.err, reader.withoutCounts = nil, true
	assert.Equal(t, map[string]int64{"pods": NotCounted}, counter.Count(t.Context(), []string{"pods"}))
	reader.withoutCounts = false
	assert.Equal(t, map[string]int64{"pods": 3}, counter.Count(t.Context(), []string{"pods"}))
}
