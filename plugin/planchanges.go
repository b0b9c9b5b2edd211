package plugin

import (
	"fmt"
	"time"

	"github.com/example/ksmscale/plugin/changes"
	"github.com/example/ksmscale/plugin/printer"
)

// plannedChanges is what differs between the cluster and a KSMScale.
type plannedChanges struct {
	Name        string           `json:"name"`
	TotalShards int32            `json:"totalShards"`
	Plan        planRow          `json:"plan"`
	Changes     []changes.Change `json:"changes"`
	// RecommendedShards, Recommendation and ReplicaAdvice come from the status.
	RecommendedShards int32  `json:"recommendedShards,omitempty"`
	Recommendation    string `json:"recommendation,omitempty"`
	ReplicaAdvice     string `json:"replicaAdvice,omitempty"`
	// MemoryRequestBytes is the memory request of each kube-state-metrics, and RecommendedMemoryBytes the recommended one.
	MemoryRequestBytes     int64 `json:"memoryRequestBytes"`
	RecommendedMemoryBytes int64 `json:"recommendedMemoryBytes,omitempty"`
}

func writeChanges(p *printer.Painter, result plannedChanges) {
	row := result.Plan
	byShard := ""
	if result.TotalShards > 1 {
		byShard = ": " + row.shards() + " by shard"
	}
	p.Printf("KSMScale %s: %s, %s, %s%s%s\n", result.Name, printer.Plural(result.TotalShards, "shard"), printer.Plural(row.Nodes, "node"),
		printer.Plural(row.Desired, "pod"), boundText(row.Bound), byShard)
	if len(result.Changes) == 0 {
		p.Printf("No pod changes.\n")
	}
	for _, one := range result.Changes {
		p.Printf("\n%s: %s\n", one.Kind, one.Detail)
		writer := p.Columns()
		fmt.Fprintf(writer, "  pods\t%d now, %d started, at most %d at a time, %d afterwards\n", one.PodsNow, one.PodsStarted, one.PodsAtMost, one.PodsAfterwards)
		if one.EstimatedSeconds > 0 {
			fmt.Fprintf(writer, "  time\tabout %s\n", time.Duration(one.EstimatedSeconds)*time.Second)
		} else {
			fmt.Fprintf(writer, "  time\t%s\n", one.TimeUnknown)
		}
		if one.SeriesExportedTwice > 0 {
			fmt.Fprintf(writer, "  series\t%d exported twice meanwhile, which Prometheus stores once; %d per shard afterwards\n", one.SeriesExportedTwice, one.SeriesPerShard)
		} else if one.SeriesPerShard > 0 {
			fmt.Fprintf(writer, "  series\t%d per shard\n", one.SeriesPerShard)
		}
		if one.MemoryPerPodBytes > 0 {
			fmt.Fprintf(writer, "  memory\tabout %d MiB for each pod\n", one.MemoryPerPodBytes>>20)
		}
		_ = writer.Flush() // The page is in memory.
	}
	if result.RecommendedShards > 0 {
		p.Printf("\nRecommended: %s (%s)\n", printer.Plural(result.RecommendedShards, "shard"), result.Recommendation)
	}
	if result.RecommendedMemoryBytes > 0 {
		requested := "no memory"
		if result.MemoryRequestBytes > 0 {
			requested = fmt.Sprintf("%d MiB", result.MemoryRequestBytes>>20)
		}
		p.Printf("Memory: each kube-state-metrics requests %s; %d MiB are recommended\n", requested, result.RecommendedMemoryBytes>>20)
	}
	if result.ReplicaAdvice != "" {
		p.Printf("Replicas: %s\n", result.ReplicaAdvice)
	}
}
