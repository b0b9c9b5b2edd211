package main

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestTheReplicaHasTheArgumentsOfTheController(t *testing.T) {
	options := optionsOf(20_000)
	for _, args := range [][]string{options.Monitor, options.Gate} {
		assert.Subset(t, args, []string{"--shard=0", "--total-shards=3"})
		assert.Condition(t, func() bool {
			return slices.ContainsFunc(args, func(arg string) bool { return strings.HasPrefix(arg, "--resources=") })
		})
	}
}

func TestIntervalsBeginBetweenRounds(t *testing.T) {
	minute := time.Date(2026, 1, 1, 0, 7, 0, 0, time.UTC)
	for second, expected := range map[int]int{0: 10, 4: 6, 10: 0, 30: 0, 50: 0, 55: 15} {
		wait := untilNoRound(minute.Add(time.Duration(second) * time.Second))
		assert.Equal(t, time.Duration(expected)*time.Second, wait, "second %d", second)
	}
}

func TestRowsAreInAdditionToTheCluster(t *testing.T) {
	of := func(listed, watched, requests float64) served {
		return served{
			listed: map[string]float64{"pods": listed}, watched: map[string]float64{"leases": watched},
			requests: requests, lists: requests / 2, watches: 27, cpu: requests / 100,
		}
	}
	figures := replicaFigures{
		started: of(30_000_000, 5000, 120), startedWithoutGate: of(20_000_000, 5000, 60), idle: of(0, 4000, 10), opened: 17600 * time.Millisecond,
		without:     steady{quiet: of(0, 10_000, 20), busy: of(0, 20_000, 40)},
		withoutGate: steady{quiet: of(0, 15_000, 20), busy: of(0, 50_000, 40)},
		withGate:    steady{quiet: of(9000, 15_000, 80), busy: of(9000, 2_050_000, 100)},
	}
	figures.idle.watches = 0
	assert.Equal(t, []string{
		"start, 18 s | KSM | 20.0 MB | 1 kB | 27 | 50 | 25 | 0.50 s",
		" | KSM and gate | 30.0 MB | 1 kB | 27 | 110 | 55 | 1.10 s",
		"a minute without changes | no replica | 0 kB | 10 kB | 27 | 20 | 10 | 0.20 s",
		" | KSM | 0 kB | 5 kB | 0 | 0 | 0 | 0.00 s",
		" | KSM and gate | 9 kB | 5 kB | 0 | 60 | 30 | 0.60 s",
		"a minute with churn, 10 pods a second | no replica | 0 kB | 20 kB | 27 | 40 | 20 | 0.40 s",
		" | KSM | 0 kB | 30 kB | 0 | 0 | 0 | 0.00 s",
		" | KSM and gate | 9 kB | 2.0 MB | 0 | 60 | 30 | 0.60 s",
	}, figures.rows())
	assert.Equal(t, []string{
		"pods | 30.0 MB | 9 kB | 9 kB",
		"nodes | 0 kB | 0 kB | 0 kB",
		"leases | 1 kB | 5 kB | 2.0 MB",
		"others | 0 kB | 0 kB | 0 kB",
	}, figures.rowsByResource())
}
