package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestResultIsTheEndOfARow(t *testing.T) {
	measured := result{series: 7, bytes: 1_200_000, memory: 3 << 20, most: 4 << 20, gateMost: 5 << 20, load: 2500 * time.Millisecond, scrape: 15 * time.Millisecond, gateLoad: time.Second}
	assert.Equal(t, "7 | 1.2 MB | 3 MiB | 4 MiB | 2.50 s | 0.015 s | 5 MiB | 1.00 s", measured.String())
}
