package e2e

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/scaling"
	"github.com/example/ksmscale/test/cluster"
	clusteraudit "github.com/example/ksmscale/test/cluster/audit"
	"github.com/example/ksmscale/test/e2e/audit"
	"github.com/example/ksmscale/test/installation"
	"github.com/example/ksmscale/test/prometheus/server"
)

const (
	// CHAOS_SEED repeats the faults of a run, and CHAOS_DURATION sets its length.
	chaosSeedVariable, chaosDurationVariable = "CHAOS_SEED", "CHAOS_DURATION"
	chaosDuration                            = 3 * time.Minute
	// chaosPause is the time from one step to the next, if its faults do not take longer.
	chaosPause = 10 * time.Second
	// chaosFaultsPerMinute is the least number of faults that a run has.
	chaosFaultsPerMinute = 4
	// frozen is how long SIGSTOP lasts. A ready pod may fail its probes for 15 s, and a gate waits 30 s for the API server.
	frozen = 8 * time.Second
	// reach is the time after a fault in which it may cause a gap.
	reach = 20 * time.Second
	// returns is how long a component takes to do its work again after it was killed or stopped.
	returns = 5 * time.Second

	chaosReplicas = 2
	// churned is the number of objects that exist for a while.
	churned = 40
)

// chaosKind is a kind of fault.
type chaosKind struct {
	name string
	// inject returns once the fault is over. gap is how long objects may be missing because of it.
	inject func(ctx context.Context, c *chaos, random *rand.Rand) (gap time.Duration, err error)
}

// chaosKinds are all kinds of faults, in a fixed order, so that a seed chooses the same ones.
func chaosKinds() []chaosKind {
	var kinds []chaosKind
	for _, name := range []string{
		"kubelet-node-a", "kubelet-node-b", "containerd-node-a", "containerd-node-b", cluster.KubeProxy, cluster.Scheduler,
		cluster.ControllerManager, cluster.APIServer, cluster.APIServer + "-2", cluster.Etcd,
	} {
		// kube-state-metrics empties its memory when it lists again, which a lost watch can cause. Nothing outside it can prevent that.
		var gap time.Duration
		if strings.HasPrefix(name, cluster.APIServer) || name == cluster.Etcd {
			gap = alone
		}
		kinds = append(kinds,
			chaosKind{name + " killed", func(context.Context, *chaos, *rand.Rand) (time.Duration, error) {
				return gap, shared.cluster.Restart(name)
			}},
			chaosKind{name + " stopped", func(ctx context.Context, _ *chaos, _ *rand.Rand) (time.Duration, error) {
				return gap, shared.cluster.Freeze(ctx, name, frozen)
			}})
	}
	for _, program := range []string{"adapter", "controller", "gate", "kube-state-metrics"} {
		kinds = append(kinds,
			chaosKind{program + " killed", func(ctx context.Context, c *chaos, random *rand.Rand) (time.Duration, error) {
				return c.signal(ctx, random, program, syscall.SIGKILL)
			}},
			chaosKind{program + " stopped", func(ctx context.Context, c *chaos, random *rand.Rand) (time.Duration, error) {
				return c.freeze(ctx, random, program)
			}})
	}
	return append(kinds,
		chaosKind{"node drained", drainForChaos},
		chaosKind{"pod evicted", evictForChaos},
		chaosKind{"nodes come and go", func(ctx context.Context, c *chaos, random *rand.Rand) (time.Duration, error) {
			c.fakeNodes = random.IntN(4)
			return 0, shared.cluster.SetNodes(ctx, c.fakeNodes)
		}},
		chaosKind{"number of shards changed", func(ctx context.Context, c *chaos, _ *rand.Rand) (time.Duration, error) {
			// From 2 to 3, or back.
			return 0, c.update(ctx, func(spec *v1alpha1.KSMScaleSpec) { spec.Sharding.ShardCount = 5 - spec.Sharding.ShardCount })
		}},
		chaosKind{"args changed", func(ctx context.Context, c *chaos, random *rand.Rand) (time.Duration, error) {
			return 0, c.update(ctx, args(fmt.Sprintf("--v=%d", 2+random.IntN(3))))
		}})
}

// chaosFault is a fault that has happened.
type chaosFault struct {
	kind     string
	from, to time.Time
	gap      time.Duration
	// failed is whether another fault prevented it, or parts of it.
	failed bool
}

// chaos injects faults.
type chaos struct {
	t         *testing.T
	ksmScale  *v1alpha1.KSMScale
	auditor   string // its node, which is not drained
	fakeNodes int

	mu     sync.Mutex
	faults []chaosFault
	// hit has when a pod of a shard was last hit.
	hit map[v1alpha1.Shard]time.Time
}

// TestChaos injects faults at random, alone and in pairs, while objects are created and deleted all the time. An audit looks once a second,
// and a real Prometheus scrapes the shards' Services.
func TestChaos(t *testing.T) {
	needsLocal(t)
	seed, length := chaosOptions(t)
	t.Logf("%s=%d %s=%s", chaosSeedVariable, seed, chaosDurationVariable, length)
	install(t)
	scaleController(t, 2)
	t.Cleanup(func() { scaleController(t, 1) })
	addAPIServer(t)
	constant := makeObjects(t, objectCount()/3)
	ksmScale := newKSMScale(both(shards(2), replicas(chaosReplicas)), func(spec *v1alpha1.KSMScaleSpec) {
		spec.Monitoring.Interval.Duration = prometheusInterval
	})
	create(t, ksmScale)
	awaitReady(t, ksmScale)
	machine := server.WatchMachine(t.Context())
	stored := startStored(t, constant, ksmScale, machine)
	running := startAuditor(t, audit.Options{Namespace: monitoringNamespace, Selector: scraped(ksmScale), PartitionLabel: v1alpha1.LabelTotalShards})
	awaitNoGap(t, running)
	stored.await(t)
	running.reset(t)

	c := &chaos{t: t, ksmScale: ksmScale, auditor: auditorNode(t), hit: map[v1alpha1.Shard]time.Time{}}
	t.Cleanup(func() { require.NoError(t, shared.cluster.SetNodes(context.Background(), 0)) })
	marks := auditMarks(t)
	stop := c.background(c.churn, c.watchMinimum)
	c.run(rand.New(rand.NewPCG(seed, 0)), length)
	stop()
	c.awaitEnd()
	ended := time.Now()
	c.awaitTrueStatus(ended, machine)
	c.awaitRightReplicas(machine)
	awaitReady(t, ksmScale)
	report := running.reportAfter(t, tail)
	c.count(length)
	c.explain(report, machine)
	// Its discovery has survived as well.
	stored.Await(t, `count(up{job="kube-state-metrics"} == 1)`, int(c.ksmScale.Spec.Sharding.ShardCount))
	stored.AwaitEvaluation(t, ended)
	stored.explain(c)
	assert.Zero(t, report.Twice, "objects exported twice by shards of one partition")
	c.noRepeatedWrites(marks)
}

func chaosOptions(t *testing.T) (seed uint64, length time.Duration) {
	t.Helper()
	seed, length = uint64(time.Now().UnixNano()), chaosDuration
	var err error
	if text := os.Getenv(chaosSeedVariable); text != "" {
		seed, err = strconv.ParseUint(text, 10, 64)
		require.NoError(t, err, chaosSeedVariable)
	}
	if text := os.Getenv(chaosDurationVariable); text != "" {
		length, err = time.ParseDuration(text)
		require.NoError(t, err, chaosDurationVariable)
	}
	return seed, length
}

// awaitNoGap waits until several looks in a row have found all objects.
func awaitNoGap(t *testing.T, running auditor) {
	t.Helper()
	await(t, "an audit without a gap", func(ctx context.Context) error {
		report, err := running.report(ctx)
		if err == nil && (report.CompleteSeconds < tail.Seconds() || report.Objects == 0) {
			err = fmt.Errorf("all %d objects since %.0f s: %v", report.Objects, report.CompleteSeconds, report.Problems)
		}
		return err
	})
}

// run injects one or two faults in each step. All choices come from the seed, except which pod is hit, because names of pods differ.
func (c *chaos) run(random *rand.Rand, length time.Duration) {
	kinds := chaosKinds()
	// Each kind comes once before any comes again.
	var deck []int
	for began := time.Now(); time.Since(began) < length; {
		next := time.NewTimer(chaosPause)
		var together sync.WaitGroup
		for range 1 + random.IntN(2) {
			if len(deck) == 0 {
				deck = random.Perm(len(kinds))
			}
			kind, own := kinds[deck[0]], rand.New(rand.NewPCG(random.Uint64(), 0))
			deck = deck[1:]
			together.Go(func() { c.inject(kind, own) })
		}
		together.Wait()
		<-next.C
		revived, err := shared.cluster.Revive()
		require.NoError(c.t, err)
		if len(revived) > 0 {
			c.t.Logf("%s: started again, because they had ended: %v", time.Now().UTC().Format(time.TimeOnly), revived)
		}
	}
}

func (c *chaos) inject(kind chaosKind, random *rand.Rand) {
	ctx, cancel := context.WithTimeout(c.t.Context(), time.Minute)
	defer cancel()
	fault := chaosFault{kind: kind.name, from: time.Now()}
	var err error
	fault.gap, err = kind.inject(ctx, c, random)
	fault.to = time.Now()
	fault.failed = err != nil
	// A request may fail because of another fault.
	c.t.Logf("%s to %s: %s (%v)", fault.from.UTC().Format(time.TimeOnly), fault.to.UTC().Format(time.TimeOnly), kind.name, err)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.faults = append(c.faults, fault)
}

// background runs functions until the returned function is called.
func (c *chaos) background(functions ...func(context.Context)) (stop func()) {
	ctx, cancel := context.WithCancel(c.t.Context())
	var running sync.WaitGroup
	for _, function := range functions {
		running.Go(func() { function(ctx) })
	}
	return func() {
		cancel()
		running.Wait()
	}
}

// awaitEnd waits for the end of the last faults: a component that was killed works again, and requests of faults that have failed because of
// other faults succeed.
func (c *chaos) awaitEnd() {
	c.t.Helper()
	await(c.t, "the end of the last faults", func(ctx context.Context) error {
		if _, err := shared.cluster.Revive(); err != nil {
			return err
		}
		if _, err := tryKubectl("uncordon", "node-a", "node-b"); err != nil {
			return err
		}
		if err := shared.cluster.SetNodes(ctx, c.fakeNodes); err != nil {
			return err
		}
		for _, apiServer := range shared.cluster.APIServers() {
			if err := apiServer.AwaitReady(ctx); err != nil {
				return err
			}
		}
		return nil
	})
}

// churn creates and deletes objects all the time. Requests fail while no API server answers.
func (c *chaos) churn(ctx context.Context) {
	ticker := time.NewTicker(500 * time.Millisecond)
	defer ticker.Stop()
	for number := 0; ; number++ {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		object := func(number int) *corev1.ConfigMap {
			return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceDefault, Name: fmt.Sprintf("churn-%05d", number)}}
		}
		_ = shared.client.Create(ctx, object(number))
		if number >= churned {
			_ = shared.client.Delete(ctx, object(number-churned))
		}
	}
}

// watchMinimum checks once a second that no Deployment of a shard has fewer replicas than the minimum, once it has had as many.
func (c *chaos) watchMinimum(ctx context.Context) {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	reached := map[types.UID]bool{}
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		var list appsv1.DeploymentList
		if shared.client.List(ctx, &list, client.InNamespace(monitoringNamespace), client.MatchingLabels{v1alpha1.LabelKSMScale: c.ksmScale.Name}) != nil {
			continue
		}
		for _, deployment := range list.Items {
			count := *deployment.Spec.Replicas
			if reached[deployment.UID] {
				assert.GreaterOrEqual(c.t, count, int32(chaosReplicas), "%s at %s", deployment.Name, time.Now().UTC().Format(time.TimeOnly))
			}
			reached[deployment.UID] = count >= chaosReplicas
		}
	}
}

// victim is a pod of a shard, and whether the shard has another ready one. Its status may be older than what has just hit it.
func (c *chaos) victim(ctx context.Context, random *rand.Rand) (pod corev1.Pod, hasSibling bool, err error) {
	list, err := shared.clientset.CoreV1().Pods(monitoringNamespace).List(ctx, metav1.ListOptions{LabelSelector: v1alpha1.LabelKSMScale + "=" + c.ksmScale.Name})
	if err != nil || len(list.Items) == 0 {
		return pod, false, fmt.Errorf("no pod of a shard: %w", err)
	}
	pod = list.Items[random.IntN(len(list.Items))]
	shard, _ := v1alpha1.ShardOf(pod.Labels)
	c.mu.Lock()
	defer c.mu.Unlock()
	justHit := time.Since(c.hit[shard]) < chaosPause
	c.hit[shard] = time.Now()
	hasSibling = !justHit && slices.ContainsFunc(list.Items, func(other corev1.Pod) bool {
		same, _ := v1alpha1.ShardOf(other.Labels)
		return same == shard && other.UID != pod.UID && other.DeletionTimestamp == nil && readiness(other).Status == corev1.ConditionTrue
	})
	return pod, hasSibling, nil
}

// process finds a process of a program, and how long objects may be missing without it.
func (c *chaos) process(ctx context.Context, random *rand.Rand, program string) (id int, gap time.Duration, err error) {
	if program == "adapter" || program == "controller" {
		list, err := shared.clientset.CoreV1().Pods(systemNamespace).List(ctx, metav1.ListOptions{LabelSelector: "app.kubernetes.io/component=" + program})
		if err != nil || len(list.Items) == 0 {
			return 0, 0, fmt.Errorf("no pod of %s: %w", program, err)
		}
		return findProcess(list.Items[random.IntN(len(list.Items))], program), 0, nil
	}
	pod, hasSibling, err := c.victim(ctx, random)
	if err != nil {
		return 0, 0, err
	}
	gap = alone
	if hasSibling {
		gap = handover
	}
	return findProcess(pod, program), gap, nil
}

func (c *chaos) signal(ctx context.Context, random *rand.Rand, program string, signal syscall.Signal) (time.Duration, error) {
	id, gap, err := c.process(ctx, random, program)
	if err != nil || id == 0 {
		return 0, fmt.Errorf("no process: %w", err)
	}
	return gap, syscall.Kill(id, signal)
}

func (c *chaos) freeze(ctx context.Context, random *rand.Rand, program string) (time.Duration, error) {
	id, gap, err := c.process(ctx, random, program)
	if err != nil || id == 0 {
		return 0, fmt.Errorf("no process: %w", err)
	}
	if err := syscall.Kill(id, syscall.SIGSTOP); err != nil {
		return 0, err
	}
	select {
	case <-ctx.Done():
	case <-time.After(frozen):
	}
	return gap, syscall.Kill(id, syscall.SIGCONT)
}

// drainForChaos drains the node without the auditor, and lets pods return.
func drainForChaos(_ context.Context, c *chaos, _ *rand.Rand) (time.Duration, error) {
	node := "node-a"
	if c.auditor == node {
		node = "node-b"
	}
	_, err := tryKubectl("drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=45s")
	retried := retry.OnError(retry.DefaultBackoff, func(error) bool { return true }, func() error {
		_, err := tryKubectl("uncordon", node)
		return err
	})
	if retried != nil {
		err = retried
	}
	return handover, err
}

func evictForChaos(ctx context.Context, c *chaos, random *rand.Rand) (time.Duration, error) {
	pod, hasSibling, err := c.victim(ctx, random)
	if err != nil {
		return 0, err
	}
	gap := alone
	if hasSibling {
		gap = handover
	}
	err = shared.clientset.PolicyV1().Evictions(pod.Namespace).Evict(ctx, &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name}})
	if apierrors.IsTooManyRequests(err) || apierrors.IsNotFound(err) {
		gap = 0 // The pod stays, or has gone already. Any other error may come after the eviction.
	}
	return gap, err
}

func (c *chaos) update(ctx context.Context, spec func(*v1alpha1.KSMScaleSpec)) error {
	return retry.RetryOnConflict(retry.DefaultRetry, func() error {
		var latest v1alpha1.KSMScale
		if err := shared.client.Get(ctx, client.ObjectKeyFromObject(c.ksmScale), &latest); err != nil {
			return err
		}
		spec(&latest.Spec)
		return shared.client.Update(ctx, &latest)
	})
}

// awaitRightReplicas checks that each shard has the replicas for the current nodes within one sync of its autoscaler. While a reshard is under
// way, this begins once all shards exist: each waits for a ready pod of the one before.
func (c *chaos) awaitRightReplicas(machine *server.Machine) {
	c.t.Helper()
	want := map[string]int32{}
	for _, shard := range scaling.New(c.ksmScale, scaling.Cluster{Nodes: c.nodes()}).Shards {
		want[shard.Name()] = shard.Replicas
	}
	selector := client.MatchingLabels{v1alpha1.LabelKSMScale: c.ksmScale.Name, v1alpha1.LabelTotalShards: strconv.Itoa(len(want))}
	replicas := func(ctx context.Context) (map[string]int32, error) {
		var list appsv1.DeploymentList
		err := shared.client.List(ctx, &list, client.InNamespace(monitoringNamespace), selector)
		has := map[string]int32{}
		for _, deployment := range list.Items {
			has[deployment.Name] = *deployment.Spec.Replicas
		}
		return has, err
	}
	await(c.t, fmt.Sprintf("%d shards", len(want)), func(ctx context.Context) error {
		has, err := replicas(ctx)
		if err == nil && len(has) != len(want) {
			err = fmt.Errorf("%d shards", len(has))
		}
		return err
	})
	c.awaitAfter(time.Now(), machine, installation.AutoscalerSyncPeriod+returns, fmt.Sprintf("replicas %v", want), func(ctx context.Context) error {
		has, err := replicas(ctx)
		if err == nil && !maps.Equal(has, want) {
			err = fmt.Errorf("replicas %v", has)
		}
		return err
	})
}

// awaitTrueStatus checks that the status is about the current spec and the current nodes within 30 s of the end.
func (c *chaos) awaitTrueStatus(ended time.Time, machine *server.Machine) {
	c.t.Helper()
	nodes := int32(c.nodes())
	c.awaitAfter(ended, machine, 30*time.Second, "a true status", func(ctx context.Context) error {
		if err := shared.client.Get(ctx, client.ObjectKeyFromObject(c.ksmScale), c.ksmScale); err != nil {
			return err
		}
		status := c.ksmScale.Status
		if status.ObservedGeneration != c.ksmScale.Generation || status.NodeCount != nodes {
			return fmt.Errorf("generation %d of %d, %d of %d nodes", status.ObservedGeneration, c.ksmScale.Generation, status.NodeCount, nodes)
		}
		return nil
	})
}

func (c *chaos) nodes() int { return cluster.MaxRealNodes + c.fakeNodes }

// awaitAfter is await with a limit to the time since a beginning. Stalls of the machine do not count.
func (c *chaos) awaitAfter(began time.Time, machine *server.Machine, limit time.Duration, what string, ready func(ctx context.Context) error) {
	c.t.Helper()
	await(c.t, what, ready)
	took := time.Since(began)
	stalled := machine.Stalled(began, time.Now())
	c.t.Logf("%s after %s; the machine had stalled for %s", what, took, stalled)
	assert.LessOrEqual(c.t, took-stalled, limit, what)
}

// count reports the faults by kind.
func (c *chaos) count(length time.Duration) {
	c.t.Helper()
	counts := map[string]int{}
	injected := 0
	for _, fault := range c.faults {
		if !fault.failed {
			counts[fault.kind]++
			injected++
		}
	}
	for _, kind := range slices.Sorted(maps.Keys(counts)) {
		c.t.Logf("%3d %s", counts[kind], kind)
	}
	c.t.Logf("%3d faults of %d kinds, and %d that failed", injected, len(counts), len(c.faults)-injected)
	assert.GreaterOrEqual(c.t, float64(injected), chaosFaultsPerMinute*length.Minutes())
}

// explain checks that each gap has a fault before it that may cause it, or a stall of the machine.
func (c *chaos) explain(report audit.Report, machine *server.Machine) {
	c.t.Helper()
	for _, gap := range report.Gaps {
		c.explainGap("the audit", gap, 0, machine, 0)
	}
	c.t.Logf("%d looks in %.0f s, %.0f object-seconds missing, %d failed scrapes; %s", report.Ticks, report.Seconds,
		report.MissingObjectSeconds, report.FailedScrapes, machine.Stalls(time.Time{}))
}

// explainGap checks one gap. It seems to last longer, by up to late, to who looks less often than the audit. A dead pod is missed for longer
// while what takes it out of its Service is away as well, and while the machine stalls. A stall for half of the time in which probes fail
// explains any gap; timedOut is how long a scrape took that timed out in a stall.
func (c *chaos) explainGap(missedBy string, gap audit.Gap, late time.Duration, machine *server.Machine, timedOut time.Duration) {
	c.t.Helper()
	length := gap.To.Sub(gap.From)
	stalled := max(machine.Stalled(gap.From.Add(-probesFail), gap.To), timedOut)
	late += c.leadingToDeadPods(gap.From, gap.To) + machine.Stalled(gap.From, gap.To)
	var causes []string
	explained := stalled >= probesFail/2
	for _, fault := range c.faults {
		if fault.from.After(gap.To) || fault.to.Add(reach).Before(gap.From) {
			continue
		}
		causes = append(causes, fault.kind)
		mayCause := fault.gap > 0 && gap.To.Sub(fault.from) <= fault.gap+fault.to.Sub(fault.from)+reach+late && length <= fault.gap+late
		explained = explained || mayCause
	}
	text := fmt.Sprintf("%s: %s missed %d objects, such as %s, for %s after %v; failed scrapes: %v; the machine had stalled for %s",
		gap.From.UTC().Format(time.TimeOnly), missedBy, gap.Objects, gap.Example, length.Round(time.Millisecond), causes, gap.Failures, stalled)
	if explained {
		c.t.Log("explained: " + text)
	} else {
		c.t.Error(text)
	}
}

// leadingToDeadPods is for how much of a time a component was away without which a Service keeps leading to a dead pod: the kubelet and
// containerd notice its death, the controller manager takes it out of the EndpointSlice, and kube-proxy takes it out of the Service.
func (c *chaos) leadingToDeadPods(from, to time.Time) (away time.Duration) {
	faults := slices.Clone(c.faults)
	slices.SortFunc(faults, func(a, b chaosFault) int { return a.from.Compare(b.from) })
	for _, fault := range faults {
		isNeeded := slices.ContainsFunc([]string{"kubelet", "containerd", cluster.ControllerManager, cluster.KubeProxy}, func(name string) bool {
			return strings.HasPrefix(fault.kind, name)
		})
		if !isNeeded {
			continue
		}
		begin, end := fault.from, fault.to.Add(returns)
		if begin.Before(from) {
			begin = from
		}
		if end.After(to) {
			end = to
		}
		if begin.Before(end) {
			away += end.Sub(begin)
			from = end // The time of another component that was away as well counts once.
		}
	}
	return away
}

// auditMarks are the ends of the audit logs, by the path of the log.
func auditMarks(t *testing.T) map[string]int64 {
	t.Helper()
	marks := map[string]int64{}
	for _, apiServer := range shared.cluster.APIServers() {
		mark, err := clusteraudit.Mark(apiServer.AuditLog())
		require.NoError(t, err)
		marks[apiServer.AuditLog()] = mark
	}
	return marks
}

// noRepeatedWrites checks that the controller sent no patch again that had changed its object. A request whose answer was lost may be sent
// again: one for each fault that cuts connections or replaces the controller.
func (c *chaos) noRepeatedWrites(marks map[string]int64) {
	c.t.Helper()
	lost := 0
	for _, fault := range c.faults {
		if strings.HasPrefix(fault.kind, cluster.APIServer) || strings.HasPrefix(fault.kind, cluster.Etcd) || strings.HasPrefix(fault.kind, "controller") {
			lost++
		}
	}
	// A patch through one API server may repeat a patch through the other one.
	var events []auditv1.Event
	for log, mark := range marks {
		ofServer, err := clusteraudit.Since(log, mark)
		require.NoError(c.t, err)
		events = append(events, ofServer...)
	}
	slices.SortStableFunc(events, func(a, b auditv1.Event) int { return a.StageTimestamp.Compare(b.StageTimestamp.Time) })
	var repeated []string
	for _, patch := range clusteraudit.NoOpPatches(events, "system:serviceaccount:"+systemNamespace+":ksmscale-controller") {
		repeated = append(repeated, patch.RequestReceivedTimestamp.UTC().Format(time.TimeOnly)+" "+patch.RequestURI)
	}
	c.t.Logf("%d patches changed nothing, after %d faults that lose answers: %v", len(repeated), lost, repeated)
	assert.LessOrEqual(c.t, len(repeated), lost)
}
