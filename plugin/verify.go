package plugin

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/controller/objects"
	"github.com/example/ksmscale/controller/observation"
	"github.com/example/ksmscale/gate"
	"github.com/example/ksmscale/gate/exposition"
	"github.com/example/ksmscale/shardpods"
)

const (
	// verifyRounds is how often a difference must be seen. kube-state-metrics learns of a change a moment after the API server.
	verifyRounds = 3
	// verifyPause is the time between two rounds.
	verifyPause = 5 * time.Second
	// printedDifferences is how many differences of a kind the text has. JSON and YAML have all.
	printedDifferences = 20
)

// verifyOptions are the flags of the command.
type verifyOptions struct {
	watch  bool
	caFile string
}

// verification is the result of the command.
type verification struct {
	Name string `json:"name"`
	// Complete is whether some partition exports each object once, and no partition has a difference.
	Complete   bool                `json:"complete"`
	Partitions []verifiedPartition `json:"partitions"`
	// Strangers are ready pods that are not of the KSMScale but have the labels of its shards, so Prometheus scrapes them too.
	Strangers   []string      `json:"strangers,omitempty"`
	NotCompared []notCompared `json:"notCompared,omitempty"`
}

// verifiedPartition is one partition. Covered is whether each shard has a ready pod.
type verifiedPartition struct {
	TotalShards int32         `json:"totalShards"`
	Covered     bool          `json:"covered"`
	Objects     int           `json:"objects"`
	Resources   int           `json:"resources"`
	Pods        []verifiedPod `json:"pods"`
	Differences []difference  `json:"differences,omitempty"`
}

// verifiedPod is a ready pod, with the number of objects that it exposes.
type verifiedPod struct {
	Name    string `json:"name"`
	Shard   int32  `json:"shard"`
	Objects int    `json:"objects"`
}

// notCompared is a resource that kube-state-metrics exports, and why its objects cannot be compared.
type notCompared struct {
	Resource string `json:"resource"`
	Reason   string `json:"reason"`
}

func (o *options) verifyCommand() *cobra.Command {
	var flags verifyOptions
	command := &cobra.Command{
		Use:   "verify NAME",
		Short: "Compare the objects in the metrics of all shards with the objects of the cluster",
		Long: "Read the metrics of each ready pod, and compare their objects with the objects of the cluster: the shards together must export\n" +
			"each object, and each object once. A difference counts if it is still there in three looks.\n" +
			"Exits with 1, and names the objects, if there is a difference.\n\n" +
			"It needs the rights to list the objects that are exported, and to create pods/portforward in the namespace of the shards.\n" +
			"With spec.metrics.authFilter, it also needs to create serviceaccounts/token of the service account of the shards.",
		Example: "  kubectl ksmscale verify main\n  kubectl ksmscale verify main --watch\n  kubectl ksmscale verify main -o json",
		Args:    cobra.ExactArgs(1), ValidArgsFunction: o.named,
		RunE: func(command *cobra.Command, args []string) error { return o.verify(command.Context(), args[0], flags) },
	}
	command.Flags().BoolVarP(&flags.watch, "watch", "w", false, "Verify again and again, until Ctrl-C. Exits with 1 if any look found a difference.")
	command.Flags().StringVar(&flags.caFile, "monitor-ca-file", "", "File with the CA of kube-state-metrics' certificate; empty for the CA of spec.monitoring.tlsConfig.")
	return command
}

func (o *options) verify(ctx context.Context, name string, flags verifyOptions) error {
	c, err := o.connect()
	if err != nil {
		return err
	}
	complete := true
	for {
		ksmScale, err := c.ksmScale(ctx, name)
		if err != nil {
			return err
		}
		v := verifier{cluster: c, ksmScale: ksmScale, caFile: flags.caFile, pause: o.pause}
		result, err := v.verify(ctx)
		if ctx.Err() != nil {
			return asDesired(complete)
		}
		if err != nil {
			return err
		}
		complete = complete && result.Complete
		if flags.watch {
			fmt.Fprintf(o.ErrOut, "%s\n", o.clock.Now().Format(time.TimeOnly))
		}
		if err := o.print(result, func(p *painter) { writeVerification(p, result) }); err != nil {
			return err
		}
		if !flags.watch || o.pause(ctx) != nil {
			return asDesired(complete)
		}
	}
}

// pause waits between two looks. It returns an error if the user ends the command.
func (o *options) pause(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-o.clock.After(verifyPause):
		return nil
	}
}

// verifier verifies one KSMScale.
type verifier struct {
	*cluster
	ksmScale *v1alpha1.KSMScale
	caFile   string
	pause    func(context.Context) error
	// skipped are the resources that are not compared, with the reason.
	skipped map[string]string
	// strangers are the pods of the last look that only look like pods of a shard.
	strangers []string
}

// verify looks until a look finds no difference, and returns the differences that all looks have found.
func (v *verifier) verify(ctx context.Context) (verification, error) {
	v.skipped = map[string]string{}
	var result verification
	for round := 1; ; round++ {
		partitions, err := v.look(ctx)
		if err != nil {
			return verification{}, err
		}
		if round > 1 {
			keepCommon(partitions, result.Partitions)
		}
		result = v.result(partitions)
		if result.Complete || round == verifyRounds {
			return result, nil
		}
		if err := v.pause(ctx); err != nil {
			return verification{}, err
		}
	}
}

// keepCommon keeps the differences that the previous look has found too.
func keepCommon(partitions, previous []verifiedPartition) {
	for i := range partitions {
		before := map[string]bool{}
		for _, one := range previous {
			for _, difference := range one.Differences {
				before[fmt.Sprint(one.TotalShards, difference)] = true
			}
		}
		partitions[i].Differences = slices.DeleteFunc(partitions[i].Differences, func(one difference) bool {
			return !before[fmt.Sprint(partitions[i].TotalShards, one)]
		})
	}
}

// result sums partitions up. While one partition is complete, another one may still lack shards.
func (v *verifier) result(partitions []verifiedPartition) verification {
	result := verification{Name: v.ksmScale.Name, Partitions: partitions, Strangers: v.strangers}
	served := slices.ContainsFunc(partitions, func(one verifiedPartition) bool { return one.Covered && len(one.Differences) == 0 })
	for i := range partitions {
		if served && !partitions[i].Covered {
			partitions[i].Differences = slices.DeleteFunc(partitions[i].Differences, func(one difference) bool { return one.Kind == missing && one.Pod == "" })
		}
	}
	result.Complete = served && len(v.strangers) == 0 && !slices.ContainsFunc(partitions, func(one verifiedPartition) bool { return len(one.Differences) > 0 })
	for _, resource := range slices.Sorted(maps.Keys(v.skipped)) {
		result.NotCompared = append(result.NotCompared, notCompared{resource, v.skipped[resource]})
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
func (v *verifier) look(ctx context.Context) ([]verifiedPartition, error) {
	snapshot, err := v.snapshot(ctx, v.ksmScale)
	if err != nil {
		return nil, err
	}
	if len(snapshot.Deployments) == 0 {
		return nil, fmt.Errorf("KSMScale %s has no shards yet: `kubectl ksmscale status %s` shows why", v.ksmScale.Name, v.ksmScale.Name)
	}
	exporter, err := exporterOf(v.ksmScale, &snapshot)
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
	var partitions []verifiedPartition
	for _, total := range slices.Sorted(maps.Keys(observation.Partitions(snapshot.Deployments))) {
		partitions = append(partitions, compare(total, listed, readings[total]))
	}
	return partitions, nil
}

// readyStrangers returns the names of ready pods that are none of the owned ones, and that the Services of the shards select.
func (v *verifier) readyStrangers(ctx context.Context, owned []corev1.Pod) ([]string, error) {
	var list corev1.PodList
	if err := v.client.List(ctx, &list, client.InNamespace(v.ksmScale.Spec.Namespace), observation.LabelledKSMScale(v.ksmScale.Name)); err != nil {
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
func (v *verifier) dropUnread(listed map[string]map[types.NamespacedName][]gate.Identity, readings map[int32][]reading) {
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

// exporterOf returns the options of the gates of the desired partition, which say what kube-state-metrics exports.
func exporterOf(ksmScale *v1alpha1.KSMScale, snapshot *observation.Snapshot) (*gate.Options, error) {
	deployment := &snapshot.Deployments[0]
	if desired := snapshot.Deployment(v1alpha1.Shard{KSMScale: ksmScale.Name, Total: ksmScale.TotalShards()}); desired != nil {
		deployment = desired
	}
	return gateOptions(&deployment.Spec.Template.Spec)
}

// gateOptions returns the options of the gate of a pod.
func gateOptions(pod *corev1.PodSpec) (*gate.Options, error) {
	for i := range pod.Containers {
		if pod.Containers[i].Name == objects.GateContainerName {
			return gate.OptionsOf(pod.Containers[i].Args)
		}
	}
	return nil, fmt.Errorf("the pods have no container %s", objects.GateContainerName)
}

// compared returns the resources to compare. It records the others, and returns an error if the user lacks a right.
func (v *verifier) compared(ctx context.Context, exporter *gate.Options) ([]exposition.Resource, error) {
	if exporter.CustomResources {
		v.skipped["custom resources"] = "the configuration decides which objects have series"
	}
	if exporter.ObjectLimit > 0 {
		v.skipped["all resources"] = "with spec.metrics.objectLimit, some objects have no series"
		return nil, nil
	}
	kinds, err := exporter.Comparable(objects.ImageVersion(v.ksmScale.Spec.MonitorImage))
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
func (v *verifier) list(ctx context.Context, exporter *gate.Options, kinds []exposition.Resource) (map[string]map[types.NamespacedName][]gate.Identity, error) {
	listed := map[string]map[types.NamespacedName][]gate.Identity{}
	for _, kind := range kinds {
		of, err := exporter.Listed(ctx, v.metadata, kind)
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
func (v *verifier) readAll(ctx context.Context, pods []corev1.Pod) (map[int32][]reading, error) {
	pods = slices.DeleteFunc(slices.Clone(pods), func(pod corev1.Pod) bool { return !observation.IsReady(&pod) || !observation.IsActive(&pod) })
	access, err := v.access(ctx)
	if err != nil {
		return nil, err
	}
	unread := map[string][]string{}
	results := shardpods.ReadEach(ctx, pods, func(ctx context.Context, pod *corev1.Pod) (gate.Exposed, error) {
		return v.readPod(ctx, pod, access)
	}, func(pod *corev1.Pod, err error) {
		current := &corev1.Pod{}
		if v.client.Get(ctx, client.ObjectKeyFromObject(pod), current) == nil && current.UID == pod.UID && observation.IsReady(current) && current.DeletionTimestamp == nil {
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
