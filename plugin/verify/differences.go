package verify

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/types"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/gate"
	"github.com/example/ksmscale/gate/sharding"
	"github.com/example/ksmscale/plugin/printer"
)

// Kind is how the metrics of a pod differ from the cluster.
type Kind string

// The kinds of differences.
const (
	// Missing is an object of the shard that a pod does not expose. Without a pod, the shard has no ready pod.
	Missing Kind = "Missing"
	// WrongShard is an object of another shard that a pod exposes, so Prometheus gets it twice.
	WrongShard Kind = "WrongShard"
	// Deleted is an object that a pod exposes and the cluster no longer has.
	Deleted Kind = "Deleted"
)

// Difference is one object, in one pod.
type Difference struct {
	Kind      Kind   `json:"kind"`
	Resource  string `json:"resource"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
	// Shard is the shard that the object belongs to; -1 for a deleted object.
	Shard int32 `json:"shard"`
	// Pod is the pod that misses or exposes the object, and PodShard its shard.
	Pod      string `json:"pod,omitempty"`
	PodShard int32  `json:"podShard"`
}

// Object is the object as `kubectl get` names it.
func (d Difference) Object() string {
	text := d.Resource + "/" + d.Name
	if d.Namespace != "" {
		text += " in namespace " + d.Namespace
	}
	return text
}

// compare compares what the pods of a partition expose with the listed objects. The listed resources are those that can be compared.
func compare(total int32, listed map[string]map[types.NamespacedName][]gate.Identity, readings []reading) Partition {
	result := Partition{TotalShards: total, Covered: true, Resources: len(listed)}
	for _, one := range readings {
		pod := Pod{Name: one.pod, Shard: one.shard}
		for resource := range listed {
			pod.Objects += one.exposed[resource].Len()
		}
		result.Pods = append(result.Pods, pod)
	}
	down := map[int32]bool{}
	for id := range total {
		down[id] = !slices.ContainsFunc(readings, func(one reading) bool { return one.shard == id })
		result.Covered = result.Covered && !down[id]
	}
	for resource, objects := range listed {
		for key, identities := range objects {
			result.Objects += len(identities)
			result.Differences = append(result.Differences, differencesOf(resource, key, identities, total, down, readings)...)
		}
		result.Differences = append(result.Differences, deletedOf(resource, objects, readings)...)
	}
	slices.SortFunc(result.Differences, func(a, b Difference) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Resource, b.Resource), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Pod, b.Pod))
	})
	return result
}

// differencesOf compares the objects with one name in metrics. There is more than one only if the metrics of the resource lack the
// namespace. A pod then has to expose the name if any of them belongs to its shard.
func differencesOf(resource string, key types.NamespacedName, identities []gate.Identity, total int32, down map[int32]bool, readings []reading) []Difference {
	var differences []Difference
	owners := map[int32]gate.Identity{}
	for _, identity := range identities {
		owners[sharding.ShardOf(identity.UID, total)] = identity
	}
	add := func(kind Kind, identity gate.Identity, pod string, podShard int32) {
		differences = append(differences, Difference{
			Kind: kind, Resource: resource, Namespace: identity.Namespace, Name: key.Name, Shard: sharding.ShardOf(identity.UID, total), Pod: pod, PodShard: podShard,
		})
	}
	for id, identity := range owners {
		if down[id] {
			add(Missing, identity, "", id)
		}
	}
	for _, one := range readings {
		identity, owns := owners[one.shard]
		exposed, isCompared := one.exposed[resource]
		switch exposes := exposed.Has(key); {
		case !isCompared:
		case owns && !exposes:
			add(Missing, identity, one.pod, one.shard)
		case exposes && !owns:
			add(WrongShard, identities[0], one.pod, one.shard)
		}
	}
	return differences
}

// deletedOf returns the exposed objects of a resource that the cluster does not have.
func deletedOf(resource string, objects map[types.NamespacedName][]gate.Identity, readings []reading) []Difference {
	var differences []Difference
	for _, one := range readings {
		for key := range one.exposed[resource] {
			if len(objects[key]) == 0 {
				differences = append(differences, Difference{Kind: Deleted, Resource: resource, Namespace: key.Namespace, Name: key.Name, Shard: -1, Pod: one.pod, PodShard: one.shard})
			}
		}
	}
	return differences
}

// explanation completes the line of a difference.
func (d Difference) explanation() string {
	switch d.Kind {
	case Missing:
		return fmt.Sprintf("of shard %d, and pod %s does not export it", d.Shard, d.Pod)
	case WrongShard:
		return fmt.Sprintf("of shard %d, and pod %s of shard %d exports it too", d.Shard, d.Pod, d.PodShard)
	default:
		return fmt.Sprintf("no longer exists, and pod %s still exports it", d.Pod)
	}
}

// Write writes a result as text.
func Write(p *printer.Painter, result Result) {
	p.Printf("KSMScale %s: %s\n", result.Name, p.Verdict(result.Complete, map[bool]string{true: "complete", false: "not complete"}[result.Complete]))
	for _, one := range result.Partitions {
		var verdict string
		switch {
		case one.Covered && len(one.Differences) == 0:
			verdict = "each is exported once"
		case result.Complete:
			verdict = "not all shards are ready, and another partition exports each object"
		case len(one.Differences) == 0:
			verdict = "not all shards are ready"
		default:
			verdict = printer.Plural(len(one.Differences), "difference")
		}
		p.Printf("\nPartition of %s: %s of %s, %s\n", printer.Plural(one.TotalShards, "shard"), printer.Plural(one.Objects, "object"), printer.Plural(one.Resources, "resource"), verdict)
		var rows [][]string
		for _, pod := range one.Pods {
			count := map[Kind]int{}
			for _, difference := range one.Differences {
				if difference.Pod == pod.Name {
					count[difference.Kind]++
				}
			}
			rows = append(rows, []string{strconv.Itoa(int(pod.Shard)), pod.Name, strconv.Itoa(pod.Objects), strconv.Itoa(count[Missing]), strconv.Itoa(count[WrongShard]), strconv.Itoa(count[Deleted])})
		}
		p.Table([]string{"SHARD", "POD", "OBJECTS", "MISSING", "WRONG SHARD", "DELETED"}, rows)
		writeDifferences(p, one.Differences)
	}
	writeStrangers(p, result.Strangers)
	if len(result.NotCompared) > 0 {
		p.Printf("\nNot compared:\n")
	}
	for _, one := range result.NotCompared {
		p.Printf("  %s: %s\n", one.Resource, one.Reason)
	}
}

// ofWholeShard reports whether an object is missing because its shard has no ready pod.
func (d Difference) ofWholeShard() bool { return d.Kind == Missing && d.Pod == "" }

// wholeShards has a line for each shard without a ready pod. Naming its objects would hide the cause.
func wholeShards(differences []Difference) []string {
	objects := map[int32]int{}
	for _, one := range differences {
		if one.ofWholeShard() {
			objects[one.Shard]++
		}
	}
	var lines []string
	for _, shard := range slices.Sorted(maps.Keys(objects)) {
		lines = append(lines, fmt.Sprintf("  %s of shard %d, which has no ready pod", printer.Plural(objects[shard], "object"), shard))
	}
	return lines
}

// writeStrangers writes what to do about pods that only look like pods of a shard.
func writeStrangers(p *printer.Painter, strangers []string) {
	if len(strangers) > 0 {
		p.Printf("\nPods of others with the labels of a shard, which Prometheus scrapes too:\n")
	}
	for _, one := range strangers {
		p.Printf("  %s: delete it, or remove its label %s\n", one, v1alpha1.LabelKSMScale)
	}
}

// writeDifferences writes some differences of each kind.
func writeDifferences(p *printer.Painter, differences []Difference) {
	titles := map[Kind]string{Missing: "Missing", WrongShard: "Exported by a wrong shard", Deleted: "Deleted"}
	for _, kind := range []Kind{Missing, WrongShard, Deleted} {
		var lines []string
		if kind == Missing {
			lines = wholeShards(differences)
		}
		for _, one := range differences {
			if one.Kind == kind && !one.ofWholeShard() {
				lines = append(lines, "  "+one.Object()+": "+one.explanation())
			}
		}
		if len(lines) == 0 {
			continue
		}
		p.Printf("\n%s:\n%s\n", titles[kind], strings.Join(lines[:min(len(lines), printedDifferences)], "\n"))
		if more := len(lines) - printedDifferences; more > 0 {
			p.Printf("  and %d more, which -o json names\n", more)
		}
	}
}
