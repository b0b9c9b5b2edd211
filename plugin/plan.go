package plugin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/controller/objects"
	"github.com/example/ksmscale/plans"
	"github.com/example/ksmscale/plugin/changes"
	"github.com/example/ksmscale/plugin/cluster"
	"github.com/example/ksmscale/plugin/printer"
	"github.com/example/ksmscale/scaling"
)

// planOptions are the flags of the command.
type planOptions struct {
	file       string
	nodes      []int
	shardCount int32
}

// planTable is the plan of a KSMScale for some numbers of nodes.
type planTable struct {
	Name            string    `json:"name"`
	TotalShards     int32     `json:"totalShards"`
	NodesPerMonitor int32     `json:"nodesPerMonitor"`
	Rows            []planRow `json:"rows"`
}

// planRow is the plan for one number of nodes. Bound is why desired differs from calculated, if it does.
type planRow struct {
	Nodes      int           `json:"nodes"`
	Calculated int64         `json:"calculated"`
	Desired    int64         `json:"desired"`
	Bound      scaling.Bound `json:"bound,omitempty"`
	// Shards has the replicas of each shard, from shard 0.
	Shards []int32 `json:"shards"`
}

func (o *options) planCommand() *cobra.Command {
	var flags planOptions
	command := &cobra.Command{
		Use:   "plan NAME | -f FILE",
		Short: "Compute the replicas for numbers of nodes, or what a change would do",
		Long: "With --nodes, print the replicas of each shard for these numbers of nodes. With --filename too, this needs no cluster.\n" +
			"Without --nodes, print what a KSMScale in the cluster is about to change, or what applying the file would change:\n" +
			"scaling, a rollout, or a reshard, with the pods, the time and the series of each.\n" +
			"Times are estimates. Exits with 1 if anything would change.",
		Example: "  kubectl ksmscale plan -f config/samples/medium.yaml --nodes 45,90,300\n" +
			"  kubectl ksmscale plan main\n  kubectl ksmscale plan main --shard-count 5\n  kubectl ksmscale plan -f main.yaml",
		Args: cobra.MaximumNArgs(1), ValidArgsFunction: o.named,
		RunE: func(command *cobra.Command, args []string) error { return o.plan(command.Context(), args, flags) },
	}
	command.Flags().StringVarP(&flags.file, "filename", "f", "", "File with a KSMScale; - for standard input.")
	command.Flags().IntSliceVar(&flags.nodes, "nodes", nil, "Numbers of nodes, such as 45,90,300.")
	command.Flags().Int32Var(&flags.shardCount, "shard-count", 0, "Another spec.sharding.shardCount; 1 for no sharding.")
	return command
}

// validate returns the errors in the flags.
func (f planOptions) validate(args []string) error {
	if (len(args) == 0) == (f.file == "") {
		return errors.New("plan needs the name of a KSMScale or --filename, and not both")
	}
	for _, number := range f.nodes {
		if number < 0 {
			return fmt.Errorf("--nodes has %d, and must have numbers from 0", number)
		}
	}
	if f.shardCount < 0 {
		return fmt.Errorf("--shard-count is %d, and must be from 1 to 10", f.shardCount)
	}
	return nil
}

func (o *options) plan(ctx context.Context, args []string, flags planOptions) error {
	if err := flags.validate(args); err != nil {
		return err
	}
	var desired *v1alpha1.KSMScale
	var err error
	if flags.file != "" {
		if desired, err = o.readFile(flags.file); err != nil {
			return err
		}
		if len(flags.nodes) > 0 {
			return o.planTable(desired, flags)
		}
	}
	c, err := o.connect()
	if err != nil {
		return err
	}
	live, err := liveOf(ctx, c, args, desired)
	if err != nil {
		return err
	}
	if desired == nil {
		desired = live.DeepCopy()
	}
	if len(flags.nodes) > 0 {
		return o.planTable(desired, flags)
	}
	if desired, err = flags.withShardCount(desired); err != nil {
		return err
	}
	return o.planChanges(ctx, c, live, desired)
}

// liveOf returns the KSMScale of the cluster with the name of the arguments or of the file. It is nil if the file's does not exist.
func liveOf(ctx context.Context, c *cluster.Cluster, args []string, desired *v1alpha1.KSMScale) (*v1alpha1.KSMScale, error) {
	if desired == nil {
		return c.KSMScale(ctx, args[0])
	}
	live := &v1alpha1.KSMScale{}
	err := c.Client.Get(ctx, client.ObjectKeyFromObject(desired), live)
	if apierrors.IsNotFound(err) {
		return nil, nil //nolint:nilnil // A new KSMScale is ordinary, and has no error.
	}
	return live, cluster.Explained(err)
}

func (o *options) planTable(ksmScale *v1alpha1.KSMScale, flags planOptions) error {
	ksmScale, err := flags.withShardCount(ksmScale)
	if err != nil {
		return err
	}
	table := planTable{Name: ksmScale.Name, TotalShards: ksmScale.TotalShards(), NodesPerMonitor: ksmScale.Spec.NodesPerMonitor}
	for _, number := range flags.nodes {
		// What is paused now depends on the nodes of now.
		imagined := ksmScale.DeepCopy()
		if imagined.Status.ShardingStatus != nil {
			imagined.Status.ShardingStatus.ScaleUpPaused = nil
		}
		table.Rows = append(table.Rows, rowOf(number, scaling.New(imagined, scaling.Cluster{Nodes: number})))
	}
	return o.print(table, func(p *printer.Painter) { writePlanTable(p, ksmScale, table) })
}

func rowOf(number int, plan scaling.Plan) planRow {
	row := planRow{Nodes: number, Calculated: plan.Calculated, Desired: plan.Desired, Bound: plan.Bound}
	for _, shard := range plan.Shards {
		row.Shards = append(row.Shards, shard.Replicas)
	}
	return row
}

// withShardCount returns a KSMScale with the number of shards of the flag, if it is set.
func (f planOptions) withShardCount(ksmScale *v1alpha1.KSMScale) (*v1alpha1.KSMScale, error) {
	if f.shardCount == 0 {
		return ksmScale, nil
	}
	if ksmScale.Spec.AutoSharding() != nil {
		return nil, errors.New("--shard-count has no effect, because spec.sharding.auto sets the number of shards: set spec.sharding.auto.minShards in a file, and plan that")
	}
	changed := ksmScale.DeepCopy()
	if changed.Spec.Sharding == nil {
		changed.Spec.Sharding = &v1alpha1.ShardingConfig{}
	}
	if changed.Spec.Sharding.Enabled = f.shardCount > 1; changed.Spec.Sharding.Enabled {
		changed.Spec.Sharding.ShardCount = f.shardCount
	}
	changed.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("KSMScale"))
	changed.Status = v1alpha1.KSMScaleStatus{}
	encoded, err := json.Marshal(changed)
	if err != nil {
		return nil, err
	}
	if changed, err = admit(encoded); err != nil {
		return nil, err
	}
	changed.Status = *ksmScale.Status.DeepCopy()
	return changed, nil
}

func writePlanTable(p *printer.Painter, ksmScale *v1alpha1.KSMScale, table planTable) {
	lower, upper := scaling.ReplicaBounds(ksmScale.Spec.Sharding)
	limit := "at least " + printer.Plural(lower, "replica")
	if upper < math.MaxInt32 {
		limit = fmt.Sprintf("%d to %s", lower, printer.Plural(upper, "replica"))
	}
	p.Printf("KSMScale %s: %s, a pod for every %s, %s of each shard\n\n", table.Name, printer.Plural(table.TotalShards, "shard"),
		printer.Plural(table.NodesPerMonitor, "node"), limit)
	var rows [][]string
	for _, row := range table.Rows {
		rows = append(rows, []string{strconv.Itoa(row.Nodes), strconv.FormatInt(row.Calculated, 10), strconv.FormatInt(row.Desired, 10) + boundText(row.Bound), row.shards()})
	}
	p.Table([]string{"NODES", "CALCULATED PODS", "ACTUAL PODS", "SHARDS"}, rows)
}

// boundText explains the number of pods as the table of the documentation does.
func boundText(bound scaling.Bound) string {
	switch bound {
	case scaling.AtMinimum:
		return " (minimum)"
	case scaling.AtMaximum:
		return " (maximum)"
	default:
		return ""
	}
}

// shards are the replicas of each shard, such as 2/1/1.
func (r planRow) shards() string {
	replicas := make([]string, len(r.Shards))
	for i, count := range r.Shards {
		replicas[i] = strconv.Itoa(int(count))
	}
	return strings.Join(replicas, "/")
}

// planChanges prints what differs between the cluster and a KSMScale.
func (o *options) planChanges(ctx context.Context, c *cluster.Cluster, live, desired *v1alpha1.KSMScale) error {
	counted := []*v1alpha1.KSMScale{desired}
	if live != nil {
		if live.Spec.Namespace != desired.Spec.Namespace {
			return fmt.Errorf("spec.namespace must stay %s: it cannot be changed; create another KSMScale, and then delete this one", live.Spec.Namespace)
		}
		desired = desired.DeepCopy()
		desired.Status, desired.UID = *live.Status.DeepCopy(), live.UID
		counted = []*v1alpha1.KSMScale{desired, live}
	}
	pictures, err := c.Counted(ctx, counted...)
	if err != nil {
		return err
	}
	snapshot, err := c.Snapshot(ctx, desired)
	if err != nil {
		return err
	}
	planned := plans.New(desired, pictures[0], time.Time{})
	var before *plans.Planned
	if live != nil {
		before = new(plans.New(live, pictures[1], time.Time{}))
	}
	result := plannedChanges{
		Name: desired.Name, TotalShards: planned.Total, Plan: rowOf(planned.Cluster.Nodes, planned.Plan), Changes: changes.To(before, planned, snapshot),
	}
	requested := objects.MonitorResources(desired).Requests
	result.MemoryRequestBytes = requested.Memory().Value()
	if recommendation := desired.Status.Recommendation; recommendation != nil {
		result.Recommendation, result.ReplicaAdvice = recommendation.Message, recommendation.ReplicaAdvice
		result.RecommendedShards = recommendation.Shards
		if recommendation.MemoryRequest != nil {
			result.RecommendedMemoryBytes = recommendation.MemoryRequest.Value()
		}
	}
	if err := o.print(result, func(p *printer.Painter) { writeChanges(p, result) }); err != nil {
		return err
	}
	return asDesired(len(result.Changes) == 0)
}
