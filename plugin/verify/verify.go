package verify

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/controller/objects"
	"github.com/example/ksmscale/controller/observation"
	"github.com/example/ksmscale/gate"
	"github.com/example/ksmscale/gate/exposition"
	"github.com/example/ksmscale/plugin/cluster"
	"github.com/example/ksmscale/shardpods"
)

const (
	// rounds is how often a difference must be seen. kube-state-metrics learns of a change a moment after the API server.
	rounds = 3
	// PauseLength is the time between two rounds.
	PauseLength = 5 * time.Second
	// printedDifferences is how many differences of a kind the text has. JSON and YAML have all.
	printedDifferences = 20
)

// Result is the result of the command.
type Result struct {
	Name string `json:"name"`
	// Complete is whether some partition exports each object once, and no partition has a difference.
	Complete   bool        `json:"complete"`
	Partitions []Partition `json:"partitions"`
	// Strangers are ready pods that are not of the KSMScale but have the labels of its shards, so Prometheus scrapes them too.
	Strangers   []string      `json:"strangers,omitempty"`
	NotCompared []NotCompared `json:"notCompared,omitempty"`
}

// Partition is one partition. Covered is whether each shard has a ready pod.
type Partition struct {
	TotalShards int32        `json:"totalShards"`
	Covered     bool         `json:"covered"`
	Objects     int          `json:"objects"`
	Resources   int          `json:"resources"`
	Pods        []Pod        `json:"pods"`
	Differences []Difference `json:"differences,omitempty"`
}

// Pod is a ready pod, with the number of objects that it exposes.
type Pod struct {
	Name    string `json:"name"`
	Shard   int32  `json:"shard"`
	Objects int    `json:"objects"`
}

// NotCompared is a resource that kube-state-metrics exports, and why its objects cannot be compared.
type NotCompared struct {
	Resource string `json:"resource"`
	Reason   string `json:"reason"`
}

// Verifier verifies one KSMScale.
type Verifier struct {
	*cluster.Cluster
	KSMScale *v1alpha1.KSMScale
	// CAFile has the CA of kube-state-metrics; empty for the CA of spec.monitoring.tlsConfig.
	CAFile string
	// Pause waits between two looks.
	Pause func(context.Context) error
	// skipped are the resources that are not compared, with the reason.
	skipped map[string]string
	// strangers are the pods of the last look that only look like pods of a shard.
	strangers []string
}

// Verify looks until a look finds no difference, and returns the differences that all looks have found.
func (v *Verifier) Verify(ctx context.Context) (Result, error) {
	v.skipped = map[string]string{}
	var result Result
	for round := 1; ; round++ {
		partitions, err := v.look(ctx)
		if err != nil {
			return Result{}, err
		}
		if round > 1 {
			keepCommon(partitions, result.Partitions)
		}
		result = v.result(partitions)
		if result.Complete || round == rounds {
			return result, nil
		}
		if err := v.Pause(ctx); err != nil {
			return Result{}, err
		}
	}
}

// keepCommon keeps the differences that the previous look has found too.
func keepCommon(partitions, previous []Partition) {
	for i := range partitions {
		before := map[string]bool{}
		for _, one := range previous {
			for _, difference := range one.Differences {
				before[fmt.Sprint(one.TotalShards, difference)] = true
			}
		}
		partitions[i].Differences = slices.DeleteFunc(partitions[i].Differences, func(one Difference) bool {
			return !before[fmt.Sprint(partitions[i].TotalShards, one)]
		})
	}
}

// result sums partitions up. While one partition is complete, another one may still lack shards.
func (v *Verifier) result(partitions []Partition) Result {
	result := Result{Name: v.KSMScale.Name, Partitions: partitions, Strangers: v.strangers}
	served := slices.ContainsFunc(partitions, func(one Partition) bool { return one.Covered && len(one.Differences) == 0 })
	for i := range partitions {
		if served && !partitions[i].Covered {
			partitions[i].Differences = slices.DeleteFunc(partitions[i].Differences, func(one Difference) bool { return one.Kind == Missing && one.Pod == "" })
		}
	}
	result.Complete = served && len(v.strangers) == 0 && !slices.ContainsFunc(partitions, func(one Partition) bool { return len(one.Differences) > 0 })
	for _, resource := range slices.Sorted(maps.Keys(v.skipped)) {
		result.NotCompared = append(result.NotCompared, NotCompared{resource, v.skipped[resource]})
	}
	return result
}

// reading is what a pod exposes.
type reading struct {
	pod     string
	shard   int32
	exposed gate.Exposed
}

// look compares each partition once. The objects are listed first: an object that is created later is not expected yet.
func (v *Verifier) look(ctx context.Context) ([]Partition, error) {
	snapshot, err := v.Snapshot(ctx, v.KSMScale)
	if err != nil {
		return nil, err
	}
	if len(snapshot.Deployments) == 0 {
		return nil, fmt.Errorf("KSMScale %s has no shards yet: `kubectl ksmscale status %s` shows why", v.KSMScale.Name, v.KSMScale.Name)
	}
	exporter, err := cluster.ExporterOf(v.KSMScale, &snapshot)
	if err != nil {
		return nil, err
	}
	kinds, err := v.compared(ctx, exporter)
	if err != nil {
		return nil, err
	}
	listed, err := v.list(ctx, exporter, kinds)
	if err != nil {
		return nil, err
	}
	if v.strangers, err = v.readyStrangers(ctx, snapshot.Pods); err != nil {
		return nil, err
	}
	readings, err := v.readAll(ctx, snapshot.Pods)
	if err != nil {
		return nil, err
	}
	v.dropUnread(listed, readings)
	var partitions []Partition
	for _, total := range slices.Sorted(maps.Keys(observation.Partitions(snapshot.Deployments))) {
		partitions = append(partitions, compare(total, listed, readings[total]))
	}
	return partitions, nil
}

// readyStrangers returns the names of ready pods that are none of the owned ones, and that the Services of the shards select.
func (v *Verifier) readyStrangers(ctx context.Context, owned []corev1.Pod) ([]string, error) {
	var list corev1.PodList
	if err := v.Client.List(ctx, &list, client.InNamespace(v.KSMScale.Spec.Namespace), observation.LabelledKSMScale(v.KSMScale.Name)); err != nil {
		return nil, fmt.Errorf("list pods: %w", err)
	}
	var strangers []string
	for _, pod := range observation.SortedByName(list.Items) {
		isOwned := slices.ContainsFunc(owned, func(one corev1.Pod) bool { return one.Name == pod.Name })
		if _, isShard := v1alpha1.ShardOf(pod.Labels); isShard && !isOwned && observation.IsReady(pod) && observation.IsActive(pod) {
			strangers = append(strangers, pod.Name)
		}
	}
	return strangers, nil
}

// dropUnread removes the resources that no pod has in a form that can be compared: the version that runs decides that.
func (v *Verifier) dropUnread(listed map[string]map[types.NamespacedName][]gate.Identity, readings map[int32][]reading) {
	read, anyPod := map[string]bool{}, false
	for _, of := range readings {
		for _, one := range of {
			anyPod = true
			for resource := range one.exposed {
				read[resource] = true
			}
		}
	}
	for resource := range listed {
		if anyPod && !read[resource] {
			delete(listed, resource)
			v.skipped[resource] = "the version that runs has no family that each object has"
		}
	}
}

// compared returns the resources to compare. It records the others, and returns an error if the user lacks a right.
func (v *Verifier) compared(ctx context.Context, exporter *gate.Options) ([]exposition.Resource, error) {
	if exporter.CustomResources {
		v.skipped["custom resources"] = "the configuration decides which objects have series"
	}
	if exporter.ObjectLimit > 0 {
		v.skipped["all resources"] = "with spec.metrics.objectLimit, some objects have no series"
		return nil, nil
	}
	kinds, err := exporter.Comparable(objects.ImageVersion(v.KSMScale.Spec.MonitorImage))
	if err != nil {
		v.skipped["all resources"] = err.Error()
		return nil, nil
	}
	for _, name := range exporter.Resources {
		if !slices.ContainsFunc(kinds, func(kind exposition.Resource) bool { return kind.Name == name }) {
			v.skipped[name] = "the lists of metrics leave no family that each object has"
		}
	}
	if err := v.requireRights(ctx, exporter, kinds); err != nil {
		return nil, err
	}
	return v.withoutUnlistable(ctx, kinds), nil
}

// list lists the objects of resources, by resource. A resource that the API server does not have is not compared.
func (v *Verifier) list(ctx context.Context, exporter *gate.Options, kinds []exposition.Resource) (map[string]map[types.NamespacedName][]gate.Identity, error) {
	listed := map[string]map[types.NamespacedName][]gate.Identity{}
	for _, kind := range kinds {
		of, err := exporter.Listed(ctx, v.Metadata, kind)
		if apierrors.IsNotFound(err) {
			v.skipped[kind.Name] = "the API server does not have it"
			continue
		}
		if err != nil {
			return nil, err
		}
		listed[kind.Name] = of
	}
	return listed, nil
}

// readAll reads all ready pods, by partition. A pod that leaves meanwhile does not count.
func (v *Verifier) readAll(ctx context.Context, pods []corev1.Pod) (map[int32][]reading, error) {
	pods = slices.DeleteFunc(slices.Clone(pods), func(pod corev1.Pod) bool { return !observation.IsReady(&pod) || !observation.IsActive(&pod) })
	access, err := v.access(ctx)
	if err != nil {
		return nil, err
	}
	unread := map[string][]string{}
	results := shardpods.ReadEach(ctx, pods, func(ctx context.Context, pod *corev1.Pod) (gate.Exposed, error) {
		return v.ReadPod(ctx, pod, access)
	}, func(pod *corev1.Pod, err error) {
		current := &corev1.Pod{}
		if v.Client.Get(ctx, client.ObjectKeyFromObject(pod), current) == nil && current.UID == pod.UID && observation.IsReady(current) && current.DeletionTimestamp == nil {
			unread[err.Error()] = append(unread[err.Error()], pod.Name)
		}
	})
	readings := map[int32][]reading{}
	for _, pod := range observation.SortedByName(pods) {
		shard, isShard := v1alpha1.ShardOf(pod.Labels)
		if exposed, read := results[pod.UID]; read && isShard {
			readings[shard.Total] = append(readings[shard.Total], reading{pod.Name, shard.ID, exposed})
		}
	}
	return readings, unreadError(unread)
}

// unreadError names the pods that cannot be read, by the reason. Often it is the same for all of them.
func unreadError(unread map[string][]string) error {
	var errs []error
	for _, reason := range slices.Sorted(maps.Keys(unread)) {
		names := unread[reason]
		slices.Sort(names)
		errs = append(errs, fmt.Errorf("read the metrics of %s, as `kubectl port-forward` would: %s", strings.Join(names, ", "), reason))
	}
	return errors.Join(errs...)
}
