// Command shards prints the shard that exports each of a list of UIDs, for 1 to 10 shards, as kube-state-metrics decides it. The
// gate's tests compare with this table, which `make generate` writes to gate/sharding/testdata/shards.csv.
package main

import (
	"encoding/csv"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
	"k8s.io/kube-state-metrics/v2/pkg/sharding"
)

const (
	randomUIDs = 1000
	maxShards  = 10
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	objects := &metav1.PartialObjectMetadataList{}
	for _, uid := range uids() {
		objects.Items = append(objects.Items, metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{UID: uid}})
	}
	header, rows := []string{"uid"}, map[types.UID][]string{}
	for total := 1; total <= maxShards; total++ {
		header = append(header, strconv.Itoa(total))
		for shard := range total {
			kept, err := keptBy(shard, total, objects)
			if err != nil {
				return err
			}
			for _, uid := range kept {
				rows[uid] = append(rows[uid], strconv.Itoa(shard))
			}
		}
	}
	writer := csv.NewWriter(os.Stdout)
	if err := writer.Write(header); err != nil {
		return err
	}
	for _, object := range objects.Items {
		if len(rows[object.UID]) != maxShards {
			return fmt.Errorf("UID %q does not belong to one shard of each number of shards: %v", object.UID, rows[object.UID])
		}
		if err := writer.Write(append([]string{string(object.UID)}, rows[object.UID]...)); err != nil {
			return err
		}
	}
	writer.Flush()
	return writer.Error()
}

// keptBy returns the UIDs of the objects that kube-state-metrics keeps when it lists them for one shard.
func keptBy(shard, total int, objects runtime.Object) ([]types.UID, error) {
	lister := sharding.NewShardedListWatch(int32(shard), total, &cache.ListWatch{
		ListFunc: func(metav1.ListOptions) (runtime.Object, error) { return objects, nil },
	})
	list, err := lister.List(metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	var kept []types.UID
	err = meta.EachListItem(list, func(item runtime.Object) error {
		object, err := meta.Accessor(item)
		if err == nil {
			kept = append(kept, object.GetUID())
		}
		return err
	})
	return kept, err
}

// uids returns random UUIDs, which are the same each time, and unusual UIDs: the empty one, and some that are no UUIDs.
func uids() []types.UID {
	all := []types.UID{"", "00000000-0000-0000-0000-000000000000", "7f3c1f0f1c2d4a5b8e9fa0b1c2d3e4f5", "a", "b"}
	random := rand.NewChaCha8([32]byte{})
	for range randomUIDs {
		var id [16]byte
		// It never returns an error.
		_, _ = random.Read(id[:])
		id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80
		all = append(all, types.UID(fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:])))
	}
	return all
}
