package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/controller/objects"
	"github.com/example/ksmscale/scaling"
	"github.com/example/ksmscale/test/churn"
	"github.com/example/ksmscale/test/cluster"
	"github.com/example/ksmscale/test/installation"
	"github.com/example/ksmscale/test/replica"
)

const (
	// monitorVersion is the version of kube-state-metrics that is measured.
	monitorVersion = "v2.20.0"
	// quietLength and busyLength are the lengths of intervals without changes, and with pods that come and go. The gate counts
	// each minute, so intervals of one kind have the same number of counts.
	quietLength, busyLength = time.Minute, time.Minute
	// churnRate is how many pods are created each second, and how many are deleted. Each stays for churnLife.
	churnRate, churnLife = 10, 10 * time.Second
	// settling is how long after churnLife as many pods go as come.
	settling = 5 * time.Second
)

// replicaCost measures what one replica of a shard costs the API server, which has no other clients.
type replicaCost struct {
	local  *cluster.Cluster
	filled *replica.Filler
	// pods is how many there are.
	pods int
	// runs is the status of a pod that runs.
	runs    corev1.PodStatus
	options replica.Options
}

// newReplicaCommand returns the command that measures one replica, on a cluster of its own.
func newReplicaCommand(file *string) *cobra.Command {
	pods := 20_000
	command := &cobra.Command{
		Use:   "replica",
		Short: "Measures what one replica of a shard costs the API server, and writes tables",
		Args:  cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) (err error) {
			ctx := command.Context()
			local, err := cluster.Start(ctx, cluster.Options{Progress: os.Stderr})
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, local.Stop()) }()
			cost, err := newReplicaCost(ctx, local, pods)
			if err != nil {
				return err
			}
			return cost.measure(ctx, &page{file: *file})
		},
	}
	command.Flags().IntVar(&pods, "pods", pods, "Number of pods in the cluster.")
	return command
}

// newReplicaCost gives the replica the service account and the rights that it has in a cluster.
func newReplicaCost(ctx context.Context, local *cluster.Cluster, pods int) (*replicaCost, error) {
	filled, err := replica.NewFiller(local)
	if err != nil {
		return nil, err
	}
	writer, err := client.New(local.Config(), client.Options{})
	if err != nil {
		return nil, err
	}
	installed, err := installation.On(ctx, local)
	if err != nil {
		return nil, err
	}
	if _, err := installed.Kubectl(ctx, "apply", "-f", "config/rbac/kube-state-metrics.yaml"); err != nil {
		return nil, err
	}
	cost := &replicaCost{local: local, filled: filled, pods: pods, options: optionsOf(pods)}
	cost.options.Kubeconfig, err = kubeconfigFor(ctx, local, writer, "replica", objects.MonitorClusterRole)
	return cost, err
}

// optionsOf has the arguments that the controller gives the first of three shards.
func optionsOf(pods int) replica.Options {
	one := ksmScale("replica", v1alpha1.ModeNone)
	one.Spec.MonitorImage = "registry.k8s.io/kube-state-metrics/kube-state-metrics:" + monitorVersion
	shard := scaling.New(one, scaling.Cluster{Nodes: replica.NodesFor(pods)}).Shards[0]
	options := replica.Options{Version: monitorVersion}
	for _, container := range objects.Deployment(one, shard, objects.GateOptions{}).Spec.Template.Spec.Containers {
		switch *container.Name {
		case objects.ContainerName:
			options.Monitor = container.Args
		case objects.GateContainerName:
			options.Gate = container.Args
		}
	}
	return options
}

// measure measures everything, and writes the tables.
func (c *replicaCost) measure(ctx context.Context, page *page) error {
	progress("create %d pods", c.pods)
	if err := c.fill(ctx); err != nil {
		return err
	}
	var measured replicaFigures
	for _, step := range []func(context.Context, *replicaFigures) error{c.measureWithout, c.measureReplica, c.measureWithoutGate} {
		if err := step(ctx, &measured); err != nil {
			return err
		}
	}
	if err := page.replace("replica", measured.rows()); err != nil {
		return err
	}
	return page.replace("replica by resource", measured.rowsByResource())
}

// fill creates pods, and then ends all clients of the API server. Their lists and heartbeats would be in the figures.
func (c *replicaCost) fill(ctx context.Context) error {
	if err := c.filled.Fill(ctx, c.pods); err != nil {
		return err
	}
	running, err := c.filled.Client.CoreV1().Pods(metav1.NamespaceDefault).Get(ctx, replica.NewPod(0).Name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	c.runs = running.Status
	for _, name := range []string{cluster.KWOK, cluster.Scheduler, cluster.ControllerManager} {
		if err := c.local.Kill(name); err != nil {
			return err
		}
	}
	return pause(ctx, settle)
}

// measureWithout measures the cluster without a replica.
func (c *replicaCost) measureWithout(ctx context.Context, measured *replicaFigures) (err error) {
	progress("without a replica")
	measured.without, err = c.measureSteady(ctx)
	return err
}

// measureReplica measures kube-state-metrics with its gate, and then kube-state-metrics after its gate has ended.
func (c *replicaCost) measureReplica(ctx context.Context, measured *replicaFigures) (err error) {
	progress("start a replica")
	var running *replica.Replica
	began := time.Now()
	measured.started, err = c.during(ctx, func(ctx context.Context) (err error) {
		if running, err = replica.Start(ctx, c.local, c.options); err != nil {
			return err
		}
		defer func() { measured.opened = time.Since(began) }()
		return running.AwaitOpen(ctx)
	})
	if running != nil {
		defer running.Stop()
	}
	if err != nil {
		return err
	}
	progress("the gate is open after %s", measured.opened)
	if measured.series, _, err = replica.Scrape(ctx, running.MetricsURL); err != nil {
		return err
	}
	if measured.withGate, err = c.measureSteady(ctx); err != nil {
		return err
	}
	if err := running.Check(); err != nil {
		return err
	}
	progress("without the gate")
	running.StopGate()
	measured.withoutGate, err = c.measureSteady(ctx)
	return errors.Join(err, running.Check())
}

// measureWithoutGate measures the start of kube-state-metrics without a gate, in the time that a gate took to open, and the
// same time without any.
func (c *replicaCost) measureWithoutGate(ctx context.Context, measured *replicaFigures) (err error) {
	if err := pause(ctx, settle); err != nil {
		return err
	}
	if measured.idle, err = c.during(ctx, func(ctx context.Context) error { return pause(ctx, measured.opened) }); err != nil {
		return err
	}
	progress("start kube-state-metrics without a gate")
	options := c.options
	options.Ungated = true
	began := time.Now()
	var running *replica.Replica
	measured.startedWithoutGate, err = c.during(ctx, func(ctx context.Context) (err error) {
		if running, err = replica.Start(ctx, c.local, options); err != nil {
			return err
		}
		return pause(ctx, measured.opened-time.Since(began))
	})
	if running != nil {
		defer running.Stop()
	}
	if err != nil {
		return err
	}
	series, _, err := replica.Scrape(ctx, running.MetricsURL)
	if err == nil && series < measured.series*99/100 {
		err = fmt.Errorf("kube-state-metrics has loaded %d of %d series without a gate in %s", series, measured.series, measured.opened)
	}
	return err
}

// during returns what the API server does during a function.
func (c *replicaCost) during(ctx context.Context, do func(context.Context) error) (served, error) {
	before, err := readServed(ctx, c.filled.Client.RESTClient())
	if err != nil {
		return served{}, err
	}
	if err := do(ctx); err != nil {
		return served{}, err
	}
	after, err := readServed(ctx, c.filled.Client.RESTClient())
	return after.minus(before), err
}

// measureSteady returns what the API server does in a minute without changes, and in a minute while pods come and go.
func (c *replicaCost) measureSteady(ctx context.Context) (measured steady, err error) {
	if err := pause(ctx, untilNoRound(time.Now())); err != nil {
		return measured, err
	}
	measured.quiet, err = c.during(ctx, func(ctx context.Context) error { return pause(ctx, quietLength) })
	if err != nil {
		return measured, err
	}
	measured.busy, err = c.duringChurn(ctx)
	return steady{quiet: measured.quiet.over(quietLength.Minutes()), busy: measured.busy.over(busyLength.Minutes())}, err
}

// duringChurn returns what the API server does while as many pods come as go.
func (c *replicaCost) duringChurn(ctx context.Context) (busy served, err error) {
	churning, stop := context.WithCancel(ctx)
	defer stop()
	var created int
	began := time.Now()
	var running errgroup.Group
	running.Go(func() (err error) {
		created, err = churn.Run(churning, churnRate, churnLife, c.createPod, c.deletePod)
		return err
	})
	if err := pause(ctx, churnLife+settling); err != nil {
		return busy, err
	}
	if err := pause(ctx, untilNoRound(time.Now())); err != nil {
		return busy, err
	}
	busy, err = c.during(ctx, func(ctx context.Context) error { return pause(ctx, busyLength) })
	stop()
	lasted := time.Since(began)
	if err := errors.Join(err, running.Wait()); err != nil {
		return busy, err
	}
	if expected := churnRate * lasted.Seconds(); float64(created) < 0.95*expected {
		return busy, fmt.Errorf("%d pods have come in %s, and not %.0f", created, lasted, expected)
	}
	progress("%d pods came and went in %s", created, lasted)
	return busy, nil
}

// passing is a pod that comes and goes.
func passing(number int) *corev1.Pod {
	pod := replica.NewPod(number)
	pod.Name = fmt.Sprintf("passing-%d", number)
	return pod
}

// createPod creates a pod that runs at once, with two writes.
func (c *replicaCost) createPod(ctx context.Context, number int) error {
	pods := c.filled.Client.CoreV1().Pods(metav1.NamespaceDefault)
	pod, err := pods.Create(ctx, passing(number), metav1.CreateOptions{})
	if err != nil {
		return err
	}
	pod.Status = c.runs
	_, err = pods.UpdateStatus(ctx, pod, metav1.UpdateOptions{})
	return err
}

// deletePod deletes a pod with one write, because no kubelet confirms its end.
func (c *replicaCost) deletePod(ctx context.Context, number int) error {
	return c.filled.Client.CoreV1().Pods(metav1.NamespaceDefault).Delete(ctx, passing(number).Name, *metav1.NewDeleteOptions(0))
}

// untilNoRound is the time until gates have ended a round of counts, and do not begin the next one soon. They begin one at
// each full minute.
func untilNoRound(now time.Time) time.Duration {
	const ended, soon = 10 * time.Second, 50 * time.Second
	switch since := now.Sub(now.Truncate(time.Minute)); {
	case since < ended:
		return ended - since
	case since > soon:
		return time.Minute + ended - since
	default:
		return 0
	}
}
