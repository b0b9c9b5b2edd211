package audit

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// exports are the exported objects of one target of each partition, at one look.
type exports map[string][]string

func TestLedger(t *testing.T) {
	const first, second = "1", "2"
	all := exports{first: {"a", "b"}}
	for _, test := range []struct {
		name string
		// looks are a second apart, and each expects a and b.
		looks []exports
		// want is the expected report without the time and the examples.
		want Report
	}{
		{"nothing is missing", []exports{all, all}, Report{Ticks: 2, Objects: 2}},
		{"one of two is missing twice", []exports{all, {first: {"a"}}, {first: {"a"}}, all}, Report{
			Ticks: 4, Objects: 2, MissingObjectSeconds: 2, WorstShareMissing: 0.5, LongestGapSeconds: 3, MissedScrapes15: 1, MissedScrapes30: 1,
		}},
		{"a gap that has no end yet", []exports{all, {}}, Report{
			Ticks: 2, Objects: 2, MissingObjectSeconds: 2, WorstShareMissing: 1, LongestGapSeconds: 1, MissedScrapes15: 1, MissedScrapes30: 1,
		}},
		{"two partitions are whole together", []exports{{first: {"a"}, second: {"b"}}}, Report{Ticks: 1, Objects: 2}},
		{"two partitions export the same", []exports{{first: {"a", "b"}, second: {"a", "b"}}}, Report{Ticks: 1, Objects: 2}},
		{"two targets of a partition export the same", []exports{{first: {"a", "b", "b"}}}, Report{Ticks: 1, Objects: 2, Twice: 1}},
	} {
		t.Run(test.name, func(t *testing.T) {
			now := time.Unix(0, 0)
			l := newLedger(now)
			for _, look := range test.looks {
				now = now.Add(time.Second)
				l.tick(now, []string{"a", "b"}, counts(look))
			}
			report := l.sum(now)
			assert.InDelta(t, float64(len(test.looks)), report.Seconds, 0)
			report.Seconds, report.CompleteSeconds, report.Problems, report.Gaps = 0, 0, nil, nil
			assert.Equal(t, test.want, report)
		})
	}
}

// The report has the failed scrapes only of looks that missed an object. In other looks, other targets exported it.
func TestProblemsAreThoseOfLooksThatMissedSomething(t *testing.T) {
	l := newLedger(time.Unix(0, 0))
	l.tick(time.Unix(1, 0), []string{"a"}, counts(exports{"1": {"a"}}), "harmless")
	l.tick(time.Unix(2, 0), []string{"a"}, nil, "harmful")
	report := l.sum(time.Unix(2, 0))
	assert.Equal(t, []string{`00:00:02: 1 missing, such as a; failed scrapes: ["harmful"]`}, report.Problems)
	assert.Equal(t, 2, report.FailedScrapes)
}

func TestCompleteIsSinceTheLastLookThatMissedSomething(t *testing.T) {
	start := time.Unix(0, 0)
	l := newLedger(start)
	for second, exported := range []exports{{"1": {"a"}}, {}, {"1": {"a"}}, {"1": {"a"}}} {
		l.tick(start.Add(time.Duration(second+1)*time.Second), []string{"a"}, counts(exported))
	}
	assert.InDelta(t, 3, l.sum(start.Add(5*time.Second)).CompleteSeconds, 0)
}

func TestGapsAreTheTimesAtWhichObjectsWereMissing(t *testing.T) {
	start := time.Unix(0, 0)
	l := newLedger(start)
	for second, exported := range []exports{{"": {"a", "b"}}, {"": {"a"}}, {}, {"": {"a", "b"}}, {"": {"b"}}} {
		l.tick(start.Add(time.Duration(second+1)*time.Second), []string{"a", "b"}, counts(exported))
	}
	assert.Equal(t, []Gap{
		{From: start.Add(time.Second), To: start.Add(3 * time.Second), Objects: 2, Example: "b"},
		{From: start.Add(4 * time.Second), To: start.Add(5 * time.Second), Objects: 1, Example: "a"},
	}, l.sum(start.Add(6*time.Second)).Gaps)
}

func TestAnObjectThatIsDeletedIsNotMissing(t *testing.T) {
	start := time.Unix(0, 0)
	l := newLedger(start)
	l.tick(start.Add(time.Second), []string{"a"}, nil)
	l.tick(start.Add(2*time.Second), nil, nil)
	l.tick(start.Add(9*time.Second), nil, nil)
	assert.InDelta(t, 2, l.sum(start.Add(9*time.Second)).LongestGapSeconds, 0)
}

// With an unlucky offset, a scrape every 15 seconds meets every gap of a series of gaps that are 15 seconds apart.
func TestMissedScrapesAreThoseOfTheUnluckiestOffset(t *testing.T) {
	start := time.Unix(0, 0)
	l := newLedger(start)
	for second := range 61 {
		var exported exports
		if second%15 != 7 {
			exported = exports{"": {"a"}}
		}
		l.tick(start.Add(time.Duration(second)*time.Second), []string{"a"}, counts(exported))
	}
	report := l.sum(start.Add(61 * time.Second))
	assert.Equal(t, 4, report.MissedScrapes15)
	assert.Equal(t, 2, report.MissedScrapes30)
}

func counts(look exports) map[string]map[string]int {
	exported := map[string]map[string]int{}
	for partition, objects := range look {
		exported[partition] = map[string]int{}
		for _, object := range objects {
			exported[partition][object]++
		}
	}
	return exported
}
