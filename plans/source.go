package plans

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/nodes"
	"github.com/example/ksmscale/scaling"
)

// ErrNotSynced is returned until every node has been counted and every KSMScale is known. A caller must not act as if
// there were none.
var ErrNotSynced = errors.New("the nodes of the cluster have not all been counted yet")

// Planned is the plan of one KSMScale, and its input.
type Planned struct {
	// KSMScale may belong to a cache and must not be changed.
	KSMScale *v1alpha1.KSMScale
	// Cluster is the picture of the cluster.
	Cluster scaling.Cluster
	// AsOf is the time of the picture.
	AsOf time.Time
	// Plan is the plan of the desired partition.
	scaling.Plan
	// Others are the plans of other partitions, which run until the desired shards have taken over.
	Others []scaling.Plan
}

// AllShards are the shards of all partitions, the desired partition first.
func (p *Planned) AllShards() []scaling.Shard {
	shards := p.Shards
	for _, other := range p.Others {
		shards = append(slices.Clip(shards), other.Shards...)
	}
	return shards
}

// Source plans the KSMScales that it reads.
type Source struct {
	ksmScales client.Reader
	nodes     *nodes.Counter
	synced    func() bool
}

// NewSource returns a Source that reads KSMScales from a reader. synced reports whether the reader has all KSMScales and
// all nodes have been counted.
func NewSource(ksmScales client.Reader, nodes *nodes.Counter, synced func() bool) *Source {
	return &Source{ksmScales: ksmScales, nodes: nodes, synced: synced}
}

// Watch returns a Source that watches KSMScales and nodes through a cache. The cache may start before or after. It returns
// an error if the CustomResourceDefinition is not installed.
func Watch(ctx context.Context, objects cache.Cache, nodes *nodes.Counter) (*Source, error) {
	informer, err := objects.GetInformer(ctx, &v1alpha1.KSMScale{}, cache.BlockUntilSynced(false))
	if err != nil {
		return nil, fmt.Errorf("watch KSMScales: %w", err)
	}
	if err := nodes.Watch(ctx, objects); err != nil {
		return nil, err
	}
	source := NewSource(objects, nodes, func() bool { return informer.HasSynced() && nodes.Synced() })
	if _, err := informer.AddEventHandler(source.forgetting(ctx)); err != nil {
		return nil, fmt.Errorf("watch KSMScales: %w", err)
	}
	return source, nil
}

// forgetting is a handler that stops counts of nodes that no KSMScale uses any more.
func (s *Source) forgetting(ctx context.Context) toolscache.ResourceEventHandler {
	forget := func() {
		err := s.nodes.Keep(func() ([]*v1alpha1.KSMScaleSpec, error) { return s.specs(ctx) })
		if err != nil && ctx.Err() == nil {
			klog.FromContext(ctx).Error(err, "Cannot stop unused counts of nodes")
		}
	}
	return toolscache.ResourceEventHandlerFuncs{
		UpdateFunc: func(any, any) { forget() },
		DeleteFunc: func(any) { forget() },
	}
}

func (s *Source) specs(ctx context.Context) ([]*v1alpha1.KSMScaleSpec, error) {
	list, err := s.list(ctx)
	if err != nil {
		return nil, err
	}
	specs := make([]*v1alpha1.KSMScaleSpec, len(list))
	for i := range list {
		specs[i] = &list[i].Spec
	}
	return specs, nil
}

// Synced reports whether every node that existed at the start has been counted, and every KSMScale is known.
func (s *Source) Synced() bool { return s.synced() }

// All returns the plan of every KSMScale, or ErrNotSynced.
func (s *Source) All(ctx context.Context) ([]Planned, error) {
	if !s.Synced() {
		return nil, ErrNotSynced
	}
	list, err := s.list(ctx)
	if err != nil {
		return nil, err
	}
	planned := make([]Planned, len(list))
	for i := range list {
		planned[i] = s.plan(&list[i])
	}
	return planned, nil
}

func (s *Source) list(ctx context.Context) ([]v1alpha1.KSMScale, error) {
	var list v1alpha1.KSMScaleList
	if err := s.ksmScales.List(ctx, &list, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("list KSMScales: %w", err)
	}
	return list.Items, nil
}

// One returns the plan of a KSMScale, or ErrNotSynced.
func (s *Source) One(ksmScale *v1alpha1.KSMScale) (Planned, error) {
	if !s.Synced() {
		return Planned{}, ErrNotSynced
	}
	return s.plan(ksmScale), nil
}

func (s *Source) plan(ksmScale *v1alpha1.KSMScale) Planned {
	cluster, asOf := s.nodes.Cluster(&ksmScale.Spec)
	return New(ksmScale, cluster, asOf)
}

// New plans a KSMScale, and the other partitions that run according to its status.
func New(ksmScale *v1alpha1.KSMScale, cluster scaling.Cluster, asOf time.Time) Planned {
	planned := Planned{KSMScale: ksmScale, Cluster: cluster, AsOf: asOf, Plan: scaling.New(ksmScale, cluster)}
	if sharding := ksmScale.Status.ShardingStatus; sharding != nil {
		for _, total := range sharding.Partitions {
			if total != planned.Total {
				planned.Others = append(planned.Others, scaling.NewPartition(ksmScale, cluster, total))
			}
		}
	}
	return planned
}
