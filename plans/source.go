package plans

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
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
	// watched lists and watches nodes, and known reports whether the reader has all KSMScales; nil without a watch.
	watched toolscache.ListerWatcher
	known   toolscache.InformerSynced

	mu sync.Mutex
	// plans has the last plan of each KSMScale by its name.
	plans map[string]versionedPlan
}

// versionedPlan is a plan and the version of its input.
type versionedPlan struct {
	uid             types.UID
	resourceVersion string
	nodes           uint64
	Planned
}

// NewSource returns a Source that reads KSMScales from a reader. synced reports whether the reader has all KSMScales and
// all nodes have been counted.
func NewSource(ksmScales client.Reader, nodes *nodes.Counter, synced func() bool) *Source {
	return &Source{ksmScales: ksmScales, nodes: nodes, synced: synced, plans: map[string]versionedPlan{}}
}

// Watch returns a Source that watches KSMScales through a cache, which may start before or after. It watches nodes once it
// is started. It returns an error if the CustomResourceDefinition is not installed.
func Watch(ctx context.Context, objects cache.Cache, nodes *nodes.Counter, watched toolscache.ListerWatcher) (*Source, error) {
	informer, err := objects.GetInformer(ctx, &v1alpha1.KSMScale{}, cache.BlockUntilSynced(false))
	if err != nil {
		return nil, fmt.Errorf("watch KSMScales: %w", err)
	}
	source := NewSource(objects, nodes, func() bool { return informer.HasSynced() && nodes.Synced() })
	source.watched, source.known = watched, informer.HasSynced
	if _, err := informer.AddEventHandler(source.forgetting(ctx)); err != nil {
		return nil, fmt.Errorf("watch KSMScales: %w", err)
	}
	return source, nil
}

// Start counts nodes until the context is done. It first waits for the KSMScales, so one list of the nodes has all labels
// that they name.
func (s *Source) Start(ctx context.Context) error {
	if !toolscache.WaitForCacheSync(ctx.Done(), s.known) {
		return nil // The context is done.
	}
	specs, err := s.specs(ctx)
	if err != nil {
		return err
	}
	for _, spec := range specs {
		s.nodes.Cluster(spec)
	}
	s.nodes.Run(ctx, s.watched)
	return nil
}

// NeedLeaderElection lets a manager start the Source on each replica.
func (s *Source) NeedLeaderElection() bool { return false }

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
		DeleteFunc: func(obj any) {
			if name, err := toolscache.DeletionHandlingMetaNamespaceKeyFunc(obj); err == nil {
				s.mu.Lock()
				delete(s.plans, name)
				s.mu.Unlock()
			}
			forget()
		},
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

// All returns the plan of every KSMScale, or ErrNotSynced. While nodes are listed again because a KSMScale names a label
// for the first time, its plan is the last one. If it is new, it is missing.
func (s *Source) All(ctx context.Context) ([]Planned, error) {
	if !s.Synced() {
		return nil, ErrNotSynced
	}
	list, err := s.list(ctx)
	if err != nil {
		return nil, err
	}
	planned := make([]Planned, 0, len(list))
	for i := range list {
		if one, ok := s.last(&list[i]); ok {
			planned = append(planned, one)
		}
	}
	return planned, nil
}

// Named returns the plan of a KSMScale like All, or ErrNotSynced if it has none yet. The result is false if no KSMScale has
// the name. Its cost does not depend on the number of KSMScales.
func (s *Source) Named(ctx context.Context, name string) (Planned, bool, error) {
	if !s.Synced() {
		return Planned{}, false, ErrNotSynced
	}
	ksmScale := &v1alpha1.KSMScale{}
	err := s.ksmScales.Get(ctx, client.ObjectKey{Name: name}, ksmScale, client.UnsafeDisableDeepCopy)
	if apierrors.IsNotFound(err) {
		return Planned{}, false, nil
	}
	if err != nil {
		return Planned{}, false, fmt.Errorf("get KSMScale %s: %w", name, err)
	}
	planned, ok := s.last(ksmScale)
	if !ok {
		return Planned{}, false, ErrNotSynced
	}
	return planned, true, nil
}

func (s *Source) list(ctx context.Context) ([]v1alpha1.KSMScale, error) {
	var list v1alpha1.KSMScaleList
	if err := s.ksmScales.List(ctx, &list, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("list KSMScales: %w", err)
	}
	return list.Items, nil
}

// One returns the plan of a KSMScale, or ErrNotSynced. The nodes may have to be listed again for a label that no KSMScale
// has named before, and this counts as not synced.
func (s *Source) One(ksmScale *v1alpha1.KSMScale) (Planned, error) {
	if !s.Synced() {
		return Planned{}, ErrNotSynced
	}
	cluster, asOf, ok := s.nodes.Cluster(&ksmScale.Spec)
	if !ok {
		return Planned{}, ErrNotSynced
	}
	return New(ksmScale, cluster, asOf), nil
}

// last returns the plan of a KSMScale of the cache. It computes the plan again only if the KSMScale or the nodes have
// changed. The result is false if there is no plan yet.
func (s *Source) last(ksmScale *v1alpha1.KSMScale) (Planned, bool) {
	// The version is read before the count, so after a change in between the next request computes the plan again.
	version := s.nodes.Version()
	s.mu.Lock()
	before, known := s.plans[ksmScale.Name]
	s.mu.Unlock()
	known = known && before.uid == ksmScale.UID
	if known && before.nodes == version && before.resourceVersion == ksmScale.ResourceVersion && ksmScale.ResourceVersion != "" {
		before.AsOf = s.nodes.AsOf()
		return before.Planned, true
	}
	cluster, asOf, ok := s.nodes.Cluster(&ksmScale.Spec)
	if !ok {
		return before.Planned, known
	}
	planned := New(ksmScale, cluster, asOf)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.plans[ksmScale.Name] = versionedPlan{uid: ksmScale.UID, resourceVersion: ksmScale.ResourceVersion, nodes: version, Planned: planned}
	return planned, true
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
