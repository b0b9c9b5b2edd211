package audit

import (
	"fmt"
	"time"
)

// Report is the result since the last reset.
type Report struct {
	// Seconds is how long the audit took, and Ticks how often it looked.
	Seconds float64
	Ticks   int
	// Objects is the number of objects that the API server had at the end.
	Objects int
	// MissingObjectSeconds is the time that objects were missing from the metrics, summed over all objects.
	MissingObjectSeconds float64
	// WorstShareMissing is the largest fraction of all objects that was missing at one time, from 0 to 1.
	WorstShareMissing float64
	// LongestGapSeconds is the longest time that one object was missing for.
	LongestGapSeconds float64
	// CompleteSeconds is the time since the last missing object; the whole time if no object was missing.
	CompleteSeconds float64
	// MissedScrapes15 and MissedScrapes30 are the scrapes that would have missed some object at an interval of 15
	// and 30 seconds, with the most unlucky offset.
	MissedScrapes15, MissedScrapes30 int
	// Twice is the largest number of objects that two targets of a partition exported at one time.
	Twice int
	// SlowScrapes is the number of scrapes whose answer took longer than Prometheus waits by default.
	SlowScrapes int
	// FailedScrapes is the number of scrapes without an answer, of targets that others may have stood in for.
	FailedScrapes int
	// Gaps are the times at which objects were missing, in order.
	Gaps []Gap
	// Problems are the first looks that missed something: how much, an example, and which scrapes failed.
	Problems []string
}

// Gap is a time at which some object was missing at each look.
type Gap struct {
	From, To time.Time
	// Objects is the largest number of objects that were missing at one time, and Example one of them.
	Objects int
	Example string
	// Failures are the failed scrapes of the first look that missed something.
	Failures []string
}

const maxProblems = 10

// ledger sums up an audit. Its callers pass the time.
type ledger struct {
	report   Report
	began    time.Time
	last     time.Time
	complete time.Time            // since when nothing is missing
	missing  map[string]time.Time // since when, by object
	unlucky  map[time.Duration]map[int]int
	expected int
}

func newLedger(now time.Time) *ledger {
	return &ledger{
		began: now, last: now, complete: now, missing: map[string]time.Time{},
		unlucky: map[time.Duration]map[int]int{15 * time.Second: {}, 30 * time.Second: {}},
	}
}

// tick records one look: the expected objects, how often the targets of each partition exported each of them, and why
// scrapes failed.
func (l *ledger) tick(now time.Time, expected []string, exported map[string]map[string]int, failures ...string) {
	l.report.Ticks++
	l.report.FailedScrapes += len(failures)
	previous := l.last
	elapsed := now.Sub(previous).Seconds()
	l.last = now
	l.expected = len(expected)
	missing, example := 0, ""
	present := make(map[string]bool, len(expected))
	for _, object := range expected {
		present[object] = true
		if isExported(object, exported) {
			l.end(object, now)
			continue
		}
		missing, example = missing+1, object
		l.report.MissingObjectSeconds += elapsed
		if _, since := l.missing[object]; !since {
			l.missing[object] = now.Add(-time.Duration(elapsed * float64(time.Second)))
		}
	}
	for object := range l.missing {
		if !present[object] {
			l.end(object, now)
		}
	}
	if len(expected) > 0 {
		l.report.WorstShareMissing = max(l.report.WorstShareMissing, float64(missing)/float64(len(expected)))
	}
	if missing > 0 {
		l.gap(previous, now, missing, example, failures)
		l.complete = now
		l.problem(fmt.Sprintf("%s: %d missing, such as %s; failed scrapes: %q", now.UTC().Format(time.TimeOnly), missing, example, failures))
		for interval, offsets := range l.unlucky {
			offset := int(now.Sub(l.began)/time.Second) % int(interval/time.Second)
			offsets[offset]++
		}
	}
	l.twice(exported)
}

// gap extends the last gap if that includes the previous look, and otherwise begins another one.
func (l *ledger) gap(previous, now time.Time, missing int, example string, failures []string) {
	last := len(l.report.Gaps) - 1
	if last < 0 || l.report.Gaps[last].To.Before(previous) {
		l.report.Gaps = append(l.report.Gaps, Gap{From: previous, Example: example, Failures: failures})
		last++
	}
	l.report.Gaps[last].To = now
	l.report.Gaps[last].Objects = max(l.report.Gaps[last].Objects, missing)
}

func (l *ledger) twice(exported map[string]map[string]int) {
	twice := 0
	for _, partition := range exported {
		for _, times := range partition {
			if times > 1 {
				twice++
			}
		}
	}
	l.report.Twice = max(l.report.Twice, twice)
}

// end ends the gap of an object, if it has one.
func (l *ledger) end(object string, now time.Time) {
	if since, missing := l.missing[object]; missing {
		l.report.LongestGapSeconds = max(l.report.LongestGapSeconds, now.Sub(since).Seconds())
		delete(l.missing, object)
	}
}

func (l *ledger) problem(text string) {
	if len(l.report.Problems) < maxProblems {
		l.report.Problems = append(l.report.Problems, text)
	}
}

// sum returns the report up to now.
func (l *ledger) sum(now time.Time) Report {
	report := l.report
	report.Seconds, report.Objects = now.Sub(l.began).Seconds(), l.expected
	report.CompleteSeconds = now.Sub(l.complete).Seconds()
	for _, since := range l.missing {
		report.LongestGapSeconds = max(report.LongestGapSeconds, now.Sub(since).Seconds())
	}
	report.MissedScrapes15 = most(l.unlucky[15*time.Second])
	report.MissedScrapes30 = most(l.unlucky[30*time.Second])
	return report
}

func most(offsets map[int]int) int {
	greatest := 0
	for _, count := range offsets {
		greatest = max(greatest, count)
	}
	return greatest
}
