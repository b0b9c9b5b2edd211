package completeness

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// Objects come and go for hours, and no kube-state-metrics loses any.
func TestNoFalseAlarmWhileObjectsComeAndGo(t *testing.T) {
	const minutes = 60
	for name, churn := range map[string]func(*world){
		"100 objects a second come and go":       func(w *world) { w.comeAndGo(100, 1, 30, 60*minutes) },
		"they stay for seconds only":             func(w *world) { w.comeAndGo(100, 1, 2, 60*minutes) },
		"they come together":                     func(w *world) { w.comeAndGo(100, 100, 20, 60*minutes) },
		"few come and go":                        func(w *world) { w.comeAndGo(1, 1, 60, 60*minutes) },
		"the cluster grows":                      func(w *world) { w.comeAndGo(20, 1, 0, 60*minutes) },
		"the cluster shrinks":                    func(w *world) { w.shrinks(5, 60*minutes) },
		"the cluster shrinks while objects come": func(w *world) { w.shrinks(5, 60*minutes); w.comeAndGo(20, 5, 60, 60*minutes) },
	} {
		for _, shards := range []int{1, 3} {
			for seed := range uint64(2) {
				t.Run(fmt.Sprintf("%s/%d shards/%d", name, shards, seed), func(t *testing.T) {
					t.Parallel()
					w := newWorld(seed, shards, 2, 20_000)
					churn(w)
					w.run(minutes, func(number int, result Result) {
						assert.Equal(t, number >= Rounds-1, result.Known)
						assert.Zero(t, result.Total(), "after %d minutes", number)
					})
				})
			}
		}
	}
}

// A kube-state-metrics loses objects, in one pod of a shard or in all.
func TestLostObjectsAreFoundInThreeRounds(t *testing.T) {
	for name, test := range map[string]struct {
		churn    func(*world)
		lost     []int64
		lostPods int
		atLeast  int64
		shards   []int32
	}{
		"one object":                        {lost: []int64{0, 1, 0}, lostPods: 2, atLeast: 1},
		"one object, in one replica":        {lost: []int64{0, 1, 0}, lostPods: 1, atLeast: 1},
		"many objects of one shard":         {lost: []int64{0, 0, 1000}, lostPods: 1, atLeast: 1000, shards: []int32{2}},
		"all objects of a shard":            {lost: []int64{10_000, 0, 0}, lostPods: 2, atLeast: 6000, shards: []int32{0}},
		"objects of each shard":             {lost: []int64{2000, 2000, 2000}, lostPods: 2, atLeast: 6000, shards: []int32{0, 1, 2}},
		"while 100 a second come and go":    {churn: func(w *world) { w.comeAndGo(100, 1, 10, 1200) }, lost: []int64{0, 0, 1000}, lostPods: 2, atLeast: 700, shards: []int32{2}},
		"while the cluster slowly shrinks":  {churn: func(w *world) { w.shrinks(1, 1200) }, lost: []int64{0, 500, 0}, lostPods: 2, atLeast: 400, shards: []int32{1}},
		"while the cluster grows":           {churn: func(w *world) { w.comeAndGo(1, 1, 0, 1200) }, lost: []int64{0, 500, 0}, lostPods: 2, atLeast: 350},
		"while a few come and go each time": {churn: func(w *world) { w.comeAndGo(0.5, 1, 60, 1200) }, lost: []int64{50, 0, 0}, lostPods: 2, atLeast: 20},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(7, 3, 2, 20_000)
			if test.churn != nil {
				test.churn(w)
			}
			const lossRound = 10
			w.lost, w.lostPods, w.lostAt = test.lost, test.lostPods, 60*lossRound
			w.run(20, func(number int, result Result) {
				if number < lossRound+Rounds-1 {
					require.Zero(t, result.Total(), number)
					return
				}
				require.GreaterOrEqual(t, result.Total(), test.atLeast, number)
				if test.shards != nil {
					require.Equal(t, test.shards, result.Resources["pods"].Shards)
				}
			})
		})
	}
}

// In a cluster that does not change, the number of missing objects is exact.
func TestMissingObjectsAreExactWithoutChanges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		shards := rapid.IntRange(1, 10).Draw(t, "shards")
		w := newWorld(rapid.Uint64().Draw(t, "seed"), shards, rapid.IntRange(1, 3).Draw(t, "pods"), rapid.Int64Range(0, 500).Draw(t, "objects"))
		want := int64(0)
		for shard := range w.lost {
			w.lost[shard] = rapid.Int64Range(0, w.base[shard]).Draw(t, "lost")
			want += w.lost[shard]
		}
		w.run(Rounds, func(number int, result Result) {
			if number == Rounds-1 {
				require.Equal(t, want, result.Total())
			}
		})
	})
}

// A round whose exposed objects reach the smallest count proves that nothing is missing, whatever the other rounds have.
func TestOneCompleteRoundOfThreeIsNoAlarm(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sums := make([]sum, Rounds+1)
		for i := range sums {
			smallest := rapid.Int64Range(0, 1000).Draw(t, "smallest")
			sums[i] = sum{smallest: smallest, largest: smallest + rapid.Int64Range(0, 100).Draw(t, "change"), exposed: []int64{rapid.Int64Range(0, 1000).Draw(t, "exposed")}, foreign: []int64{0}}
		}
		complete := rapid.IntRange(1, Rounds).Draw(t, "complete")
		sums[complete].exposed[0] = max(sums[complete].exposed[0], min(sums[complete].smallest, sums[complete-1].smallest))
		require.Zero(t, compare(sums).Objects)
	})
}
