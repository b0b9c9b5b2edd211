package plugin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/spf13/cobra"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/controller/observation"
	"github.com/example/ksmscale/controller/partition"
	"github.com/example/ksmscale/plans"
	"github.com/example/ksmscale/plugin/cluster"
	"github.com/example/ksmscale/plugin/printer"
)

// watchInterval is the time between two looks of `status --watch` and `status --wait`.
const watchInterval = 2 * time.Second

// statusOptions are the flags of the command.
type statusOptions struct {
	watch, wait bool
	timeout     time.Duration
}

// overview is the result of the command for one KSMScale.
type overview struct {
	Name      string `json:"name"`
	Namespace string `json:"namespace"`
	// Phase, Ready and the reasons are from the status. Ready is Unknown until the controller has seen the last change of the spec.
	Phase   v1alpha1.Phase         `json:"phase"`
	Ready   metav1.ConditionStatus `json:"ready"`
	Reason  string                 `json:"reason,omitempty"`
	Message string                 `json:"message,omitempty"`
	Nodes   int32                  `json:"nodes"`
	// Desired is the desired number of pods, and Replicas and ReadyReplicas count the pods of all partitions.
	Desired       int64 `json:"desired"`
	Replicas      int32 `json:"replicas"`
	ReadyReplicas int32 `json:"readyReplicas"`
	// Conditions are all conditions that are not True, except Ready.
	Conditions []metav1.Condition  `json:"conditions,omitempty"`
	Partitions []partitionOverview `json:"partitions"`
}

// partitionOverview is one partition. Desired is whether it stays, and Retired whether Prometheus no longer scrapes it.
type partitionOverview struct {
	TotalShards int32           `json:"totalShards"`
	Desired     bool            `json:"desired"`
	Retired     bool            `json:"retired,omitempty"`
	Shards      []shardOverview `json:"shards"`
}

// shardOverview is one shard.
type shardOverview struct {
	Shard      int32               `json:"shard"`
	Desired    int32               `json:"desired"`
	Paused     int32               `json:"pausedReplicas,omitempty"`
	Replicas   int32               `json:"replicas"`
	Ready      int32               `json:"readyReplicas"`
	RollingOut bool                `json:"rollingOut,omitempty"`
	Missing    bool                `json:"missing,omitempty"`
	Autoscaler *autoscalerOverview `json:"autoscaler,omitempty"`
	Pods       []podOverview       `json:"pods"`
}

// autoscalerOverview is the HorizontalPodAutoscaler of a shard. Problem is why it does not act.
type autoscalerOverview struct {
	Current int32  `json:"current"`
	Desired int32  `json:"desired"`
	Problem string `json:"problem,omitempty"`
}

// podOverview is a pod of a shard. Waiting is what it waits for if it is not ready.
type podOverview struct {
	Name    string `json:"name"`
	Node    string `json:"node,omitempty"`
	Ready   bool   `json:"ready"`
	Waiting string `json:"waiting,omitempty"`
}

func (o *options) statusCommand() *cobra.Command {
	var flags statusOptions
	command := &cobra.Command{
		Use:   "status [NAME]",
		Short: "Show the shards of KSMScales, and what they wait for",
		Long: "Show each KSMScale as a tree: its partitions, their shards, and the pods of each shard, with what an unready pod waits for.\n" +
			"Exits with 1 if a KSMScale is not Ready.",
		Example: "  kubectl ksmscale status\n  kubectl ksmscale status main --watch\n  kubectl ksmscale status main --wait --timeout=15m",
		Args:    cobra.MaximumNArgs(1), ValidArgsFunction: o.named,
		RunE: func(command *cobra.Command, args []string) error { return o.status(command.Context(), args, flags) },
	}
	command.Flags().BoolVarP(&flags.watch, "watch", "w", false, "Print the status again whenever it changes, until Ctrl-C.")
	command.Flags().BoolVar(&flags.wait, "wait", false, "Wait until all are Ready.")
	command.Flags().DurationVar(&flags.timeout, "timeout", 15*time.Minute, "How long --wait waits.")
	return command
}

func (o *options) status(ctx context.Context, args []string, flags statusOptions) error {
	if flags.watch && o.output != "" {
		return errors.New("--watch prints text only: leave out --output")
	}
	c, err := o.connect()
	if err != nil {
		return err
	}
	began, last, ready := o.clock.Now(), []byte(nil), false
	for look := 1; ; look++ {
		overviews, err := overviewsOf(ctx, c, args)
		if look > 1 && ctx.Err() != nil {
			// The user ends the command during a request. The result is the status of the last complete look.
			return asDesired(ready)
		}
		if err != nil {
			return err
		}
		ready = !slices.ContainsFunc(overviews, func(one overview) bool { return one.Ready != metav1.ConditionTrue })
		isLast := flags.isLast(ready, o.clock.Since(began))
		if last, err = o.printStatus(overviews, flags, isLast, last); err != nil {
			return err
		}
		if isLast {
			return asDesired(ready)
		}
		select {
		case <-ctx.Done():
			return asDesired(ready)
		case <-o.clock.After(watchInterval):
		}
	}
}

// isLast reports whether the status that has just been read is the last one to read.
func (f statusOptions) isLast(ready bool, waited time.Duration) bool {
	if f.wait {
		return ready || waited >= f.timeout
	}
	return !f.watch
}

// printStatus prints what has changed since the last text: with --watch the status, and otherwise what it waits for, and the status at
// the end. It returns the text.
func (o *options) printStatus(overviews []overview, flags statusOptions, isLast bool, last []byte) ([]byte, error) {
	switch {
	case flags.watch:
		return o.printChanged(overviews, last)
	case isLast:
		return o.printChanged(overviews, nil)
	default:
		return o.writeWaiting(overviews, last)
	}
}

// writeWaiting writes what KSMScales wait for to the error output, unless it is what was written last. It returns the text.
func (o *options) writeWaiting(overviews []overview, last []byte) ([]byte, error) {
	var text bytes.Buffer
	for _, one := range overviews {
		if one.Ready != metav1.ConditionTrue {
			fmt.Fprintf(&text, "Waiting for KSMScale %s: %s\n", one.Name, one.Message)
		}
	}
	if bytes.Equal(text.Bytes(), last) {
		return last, nil
	}
	_, err := o.ErrOut.Write(text.Bytes())
	return text.Bytes(), err
}

// printChanged prints overviews, unless their text is the last one. It returns the text.
func (o *options) printChanged(overviews []overview, last []byte) ([]byte, error) {
	var text bytes.Buffer
	buffered := *o
	buffered.Out = &text
	if err := buffered.print(map[string]any{"ksmScales": overviews}, func(p *printer.Painter) {
		p.Colored = o.colored()
		writeOverviews(p, overviews)
	}); err != nil || bytes.Equal(text.Bytes(), last) {
		return last, err
	}
	if last != nil {
		fmt.Fprintf(o.Out, "\n%s\n", o.clock.Now().Format(time.TimeOnly))
	}
	_, err := o.Out.Write(text.Bytes())
	return text.Bytes(), err
}

// asDesired is the result of a command that has printed what it found.
func asDesired(yes bool) error {
	if yes {
		return nil
	}
	return errNotAsDesired
}

// overviewsOf returns the KSMScale of the arguments, or all.
func overviewsOf(ctx context.Context, c *cluster.Cluster, args []string) ([]overview, error) {
	var ksmScales []v1alpha1.KSMScale
	if len(args) > 0 {
		ksmScale, err := c.KSMScale(ctx, args[0])
		if err != nil {
			return nil, err
		}
		ksmScales = []v1alpha1.KSMScale{*ksmScale}
	} else {
		var err error
		if ksmScales, err = c.KSMScales(ctx); err != nil {
			return nil, err
		}
	}
	all := make([]overview, len(ksmScales))
	for i := range ksmScales {
		snapshot, err := c.Snapshot(ctx, &ksmScales[i])
		if err != nil {
			return nil, err
		}
		all[i] = overviewOf(&ksmScales[i], snapshot, waitingOf(ctx, c, snapshot.Pods))
	}
	return all, nil
}

// waitingOf returns what the gates of running, unready pods wait for, by the name of the pod.
func waitingOf(ctx context.Context, c *cluster.Cluster, pods []corev1.Pod) map[string]string {
	answers := map[string]string{}
	var mu sync.Mutex
	var all sync.WaitGroup
	for i := range pods {
		pod := &pods[i]
		if pod.Status.Phase != corev1.PodRunning || observation.IsReady(pod) || pod.DeletionTimestamp != nil {
			continue
		}
		all.Go(func() {
			answer, err := c.GateAnswer(ctx, pod)
			if err != nil {
				answer = "its gate is closed, and gives no reason: " + printer.FirstLine(err.Error())
			}
			mu.Lock()
			defer mu.Unlock()
			answers[pod.Name] = answer
		})
	}
	all.Wait()
	return answers
}

// overviewOf describes a KSMScale. waiting has what the gates wait for.
func overviewOf(ksmScale *v1alpha1.KSMScale, snapshot observation.Snapshot, waiting map[string]string) overview {
	planned := partition.Targets(plans.New(ksmScale, cluster.Reported(ksmScale), time.Time{}), snapshot)
	view := overview{
		Name: ksmScale.Name, Namespace: ksmScale.Spec.Namespace, Phase: ksmScale.Status.Phase, Ready: metav1.ConditionUnknown,
		Reason: "NotObserved", Message: "The controller has not seen the last change of the spec yet: `kubectl ksmscale check` tells whether it runs",
		Nodes: ksmScale.Status.NodeCount, Desired: planned.Desired,
	}
	if ready := meta.FindStatusCondition(ksmScale.Status.Conditions, v1alpha1.ConditionReady); ready != nil && ready.ObservedGeneration >= ksmScale.Generation {
		view.Ready, view.Reason, view.Message = ready.Status, ready.Reason, ready.Message
	}
	for _, condition := range ksmScale.Status.Conditions {
		if condition.Status != metav1.ConditionTrue && condition.Type != v1alpha1.ConditionReady {
			view.Conditions = append(view.Conditions, condition)
		}
	}
	existing := observation.Partitions(snapshot.Deployments)
	desired := partitionOverview{TotalShards: planned.Total, Desired: true}
	for _, shard := range planned.Shards {
		one := shardOverviewOf(shard.Shard, &snapshot, waiting)
		one.Desired, one.Paused = shard.Replicas, shard.PausedReplicas
		desired.Shards = append(desired.Shards, one)
	}
	view.Partitions = append(view.Partitions, desired)
	for _, total := range slices.Sorted(maps.Keys(existing.Delete(planned.Total))) {
		view.Partitions = append(view.Partitions, otherPartition(ksmScale, total, &snapshot, waiting))
	}
	for _, one := range view.Partitions {
		for _, shard := range one.Shards {
			view.Replicas += shard.Replicas
			view.ReadyReplicas += shard.Ready
		}
	}
	return view
}

// otherPartition describes a partition that runs until the desired one takes over.
func otherPartition(ksmScale *v1alpha1.KSMScale, total int32, snapshot *observation.Snapshot, waiting map[string]string) partitionOverview {
	other := partitionOverview{TotalShards: total}
	for id := range total {
		shard := v1alpha1.Shard{KSMScale: ksmScale.Name, ID: id, Total: total}
		one := shardOverviewOf(shard, snapshot, waiting)
		one.Desired = one.Replicas
		if service := snapshot.Service(shard); service != nil && observation.IsRetired(service) {
			other.Retired = true
		}
		other.Shards = append(other.Shards, one)
	}
	return other
}

func shardOverviewOf(shard v1alpha1.Shard, snapshot *observation.Snapshot, waiting map[string]string) shardOverview {
	replicas := snapshot.Replicas(shard)
	view := shardOverview{Shard: shard.ID, Replicas: replicas.Replicas, Ready: replicas.Ready, Missing: true, Pods: []podOverview{}}
	if deployment := snapshot.Deployment(shard); deployment != nil {
		isNew := deployment.Status.ObservedGeneration == 0
		view.Missing, view.RollingOut = false, !isNew && (observation.IsUnobserved(*deployment) || observation.IsRollingOut(*deployment))
	}
	for i := range snapshot.Autoscalers {
		if snapshot.Autoscalers[i].Name == shard.Name() {
			view.Autoscaler = autoscalerOverviewOf(&snapshot.Autoscalers[i])
		}
	}
	for _, pod := range observation.SortedByName(snapshot.PodsOf(shard)) {
		if observation.IsActive(pod) {
			view.Pods = append(view.Pods, podOverview{Name: pod.Name, Node: pod.Spec.NodeName, Ready: observation.IsReady(pod), Waiting: cluster.WaitingFor(pod, waiting[pod.Name])})
		}
	}
	return view
}

func autoscalerOverviewOf(autoscaler *autoscalingv2.HorizontalPodAutoscaler) *autoscalerOverview {
	view := &autoscalerOverview{Current: autoscaler.Status.CurrentReplicas, Desired: autoscaler.Status.DesiredReplicas}
	for _, condition := range autoscaler.Status.Conditions {
		isProblem := condition.Type == autoscalingv2.ScalingActive || condition.Type == autoscalingv2.AbleToScale
		if isProblem && condition.Status == corev1.ConditionFalse && view.Problem == "" {
			view.Problem = condition.Reason + ": " + condition.Message
		}
	}
	return view
}

func writeOverviews(p *printer.Painter, overviews []overview) {
	if len(overviews) == 0 {
		p.Printf("There is no KSMScale. To create one: kubectl apply -f config/samples/medium.yaml\n")
	}
	for i, one := range overviews {
		if i > 0 {
			p.Printf("\n")
		}
		p.Tree(overviewBranch(p, one))
	}
}

func overviewBranch(p *printer.Painter, view overview) printer.Branch {
	ready := view.Ready == metav1.ConditionTrue
	word := map[metav1.ConditionStatus]string{metav1.ConditionTrue: "Ready", metav1.ConditionFalse: "not Ready", metav1.ConditionUnknown: "Ready unknown"}[view.Ready]
	root := printer.Branch{Text: fmt.Sprintf("KSMScale %s: %s, %s", view.Name, p.Verdict(ready, word), view.Reason)}
	add := func(text string, below ...printer.Branch) {
		root.Branches = append(root.Branches, printer.Branch{Text: text, Branches: below})
	}
	if view.Message != "" {
		add(view.Message)
	}
	for _, condition := range view.Conditions {
		if condition.Message != view.Message {
			add(fmt.Sprintf("%s %s, %s: %s", condition.Type, p.Verdict(false, string(condition.Status)), condition.Reason, condition.Message))
		}
	}
	add(fmt.Sprintf("phase %s, %s, %d/%d pods ready, %d desired", orNone(string(view.Phase)), printer.Plural(view.Nodes, "node"), view.ReadyReplicas, view.Replicas, view.Desired))
	for _, one := range view.Partitions {
		text := "partition of " + printer.Plural(one.TotalShards, "shard")
		switch {
		case one.Retired:
			text += ", which Prometheus no longer scrapes"
		case !one.Desired:
			text += ", until the desired one takes over"
		case len(view.Partitions) > 1:
			text += ", the desired one"
		}
		var shards []printer.Branch
		for _, shard := range one.Shards {
			shards = append(shards, shardBranch(p, shard))
		}
		add(text, shards...)
	}
	return root
}

func orNone(text string) string {
	if text == "" {
		return "none"
	}
	return text
}

func shardBranch(p *printer.Painter, shard shardOverview) printer.Branch {
	if shard.Missing {
		return printer.Branch{Text: fmt.Sprintf("shard %d: %s", shard.Shard, p.Verdict(false, "not created yet"))}
	}
	text := fmt.Sprintf("shard %d: %s, %d desired", shard.Shard, p.Verdict(shard.Ready > 0 && shard.Ready >= shard.Desired, fmt.Sprintf("%d/%d ready", shard.Ready, shard.Replicas)), shard.Desired)
	if shard.Paused > 0 {
		text += fmt.Sprintf(" (scale-up by %d paused)", shard.Paused)
	}
	if autoscaler := shard.Autoscaler; autoscaler != nil {
		text += fmt.Sprintf(", HPA %d -> %d", autoscaler.Current, autoscaler.Desired)
	}
	if shard.RollingOut {
		text += ", replaces its pods"
	}
	one := printer.Branch{Text: text}
	if shard.Autoscaler != nil && shard.Autoscaler.Problem != "" {
		one.Branches = append(one.Branches, printer.Branch{Text: "HPA: " + shard.Autoscaler.Problem})
	}
	for _, pod := range shard.Pods {
		text := fmt.Sprintf("pod %s: %s", pod.Name, p.Verdict(pod.Ready, map[bool]string{true: "ready", false: "not ready"}[pod.Ready]))
		if pod.Node != "" {
			text += ", node " + pod.Node
		}
		if pod.Waiting != "" {
			text += "; " + pod.Waiting
		}
		one.Branches = append(one.Branches, printer.Branch{Text: text})
	}
	return one
}
