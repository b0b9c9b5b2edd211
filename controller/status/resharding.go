package status

import (
	"fmt"
	"strings"
	"time"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/controller/partition"
)

// reshardingMessage has the progress of a change of the number of shards, and the next step.
func reshardingMessage(in conditionInput) string {
	total, sharding := int(in.Planned.Total), in.status.ShardingStatus
	switch decision := in.Decision; {
	case decision.Awaited != nil:
		return fmt.Sprintf("%d of %s for %s; %s until then", total-len(uncovered(sharding)),
			plural(total, "new shard is ready, and it waits", "new shards are ready, and they wait"), awaitedMessage(decision.Awaited), previous(sharding, "serves", "serve"))
	case decision.Retired.Len() > 0:
		return fmt.Sprintf("%s taken over; %s for up to %s more, until Prometheus no longer scrapes it",
			plural(total, "new shard has", "new shards have"), previous(sharding, "runs", "run"), partition.DiscoveryDelay)
	default:
		return fmt.Sprintf("%s next to %s", plural(total, "new shard runs", "new shards run"), previous(sharding, "", ""))
	}
}

// previous names the other partitions, with the right form of a verb.
func previous(sharding *v1alpha1.ShardingStatus, one, many string) string {
	var others []string
	for _, total := range sharding.Partitions {
		if total != sharding.TotalShards {
			others = append(others, plural(int(total), "shard", "shards"))
		}
	}
	if len(others) == 1 {
		return strings.TrimSpace(fmt.Sprintf("the previous partition of %s %s", others[0], one))
	}
	return strings.TrimSpace(fmt.Sprintf("the previous partitions of %s %s", strings.Join(others, " and "), many))
}

// awaitedMessage completes a sentence about the step that the desired partition waits for.
func awaitedMessage(awaited *partition.Awaited) string {
	shard := fmt.Sprintf("shard %d of %d", awaited.Shard.ID, awaited.Shard.Total)
	switch awaited.Step {
	case partition.AwaitDeployment:
		return shard + " to be created"
	case partition.AwaitService:
		return shard + " to have a Service"
	case partition.AwaitUnretiredService:
		return fmt.Sprintf("the Service of %s to lose the label %s", shard, v1alpha1.LabelRetired)
	case partition.AwaitReadyPods:
		return fmt.Sprintf("%s to have %s (now %d)", shard, plural(int(awaited.NeededReplicas), "ready pod", "ready pods"), awaited.ReadyReplicas)
	case partition.AwaitRollout:
		return shard + " to replace its pods"
	default:
		return fmt.Sprintf("Prometheus to scrape them for two scrape intervals (%s), until %s", awaited.ScrapedFor, awaited.Until.UTC().Format(time.RFC3339))
	}
}

// Reasons of the events about the steps of a change of the number of shards. The first step has the reason Resharding.
const (
	EventNewShardsReady    = "NewShardsReady"
	EventNewShardsTookOver = "NewShardsTookOver"
	EventResharded         = "Resharded"
)

// ReshardEvent returns the reason and the note of the event about the current step of a change of the number of shards. The reason is empty
// if there is no such change. The statuses are the previous and the current one.
func ReshardEvent(decision partition.Decision, before, current *v1alpha1.ShardingStatus) (reason, note string) {
	total := int(current.TotalShards)
	if len(current.Partitions) < 2 {
		if before != nil && len(before.Partitions) > 1 {
			return EventResharded, plural(total, "shard runs", "shards run") + ", and every other partition is deleted"
		}
		return "", ""
	}
	switch {
	case decision.Awaited == nil:
		return EventNewShardsTookOver, fmt.Sprintf("%s taken over, and %s deleted once Prometheus no longer scrapes it",
			plural(total, "new shard has", "new shards have"), previous(current, "is", "are"))
	case decision.Awaited.Step == partition.AwaitScrapes:
		return EventNewShardsReady, fmt.Sprintf("%s ready, and %s until Prometheus has scraped them for %s",
			plural(total, "new shard is", "new shards are"), previous(current, "serves", "serve"), decision.Awaited.ScrapedFor)
	default:
		return v1alpha1.ReasonResharding, fmt.Sprintf("%s created; %s until they take over",
			plural(total, "new shard is", "new shards are"), previous(current, "serves", "serve"))
	}
}
