package server

import (
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"time"
)

const (
	// controlInterval is how often the control page is scraped, and how long a scrape of it takes at least if the machine has
	// stalled. A scrape needs 20 ms of CPU time; with 25 busy processes on two cores it takes 1 to 2 s.
	controlInterval = 500 * time.Millisecond
	// controlSeries have the size of a small shard's page.
	controlSeries = 10_000
)

// Machine records when the machine of the tests had no CPU time for scrapes. It scrapes a control page of its own process.
// If that takes long, the shards are not the cause.
type Machine struct {
	mu     sync.Mutex
	stalls []period
}

type period struct{ from, to time.Time }

// WatchMachine watches the machine until the context is done.
func WatchMachine(ctx context.Context) *Machine {
	machine := &Machine{}
	go machine.watch(ctx)
	return machine
}

func (m *Machine) watch(ctx context.Context) {
	control := httptest.NewServer(controlHandler())
	defer control.Close()
	// Each scrape opens a connection, like scrapes of shards.
	scraper := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	ticker := time.NewTicker(controlInterval)
	defer ticker.Stop()
	for last := time.Now(); ; last = time.Now() {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		from := due(last, time.Now())
		// One that fails excuses no other.
		if err := scrapeControl(ctx, scraper, control.URL); err == nil {
			m.add(period{from, time.Now()})
		}
	}
}

// due is when a scrape of the control page should have begun that begins now. A machine that stalls between two scrapes delays the next.
func due(last, now time.Time) time.Time {
	if latest := last.Add(controlInterval); latest.Before(now) {
		return latest
	}
	return now
}

// controlHandler compresses the control page, like kube-state-metrics.
func controlHandler() http.Handler {
	page := controlPage()
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		compressed := gzip.NewWriter(w)
		_, _ = io.WriteString(compressed, page)
		_ = compressed.Close()
	})
}

func controlPage() string {
	var page strings.Builder
	for i := range controlSeries {
		_, _ = fmt.Fprintf(&page, "kube_pod_info{namespace=\"control\",pod=\"object-%05d\",uid=\"6f1f4b6e-0000-4000-8000-%012d\",host_ip=\"\",pod_ip=\"\",node=\"\"} 1\n", i, i*7919)
	}
	return page.String()
}

func scrapeControl(ctx context.Context, scraper *http.Client, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := scraper.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, response.Body)
	return err
}

// add notes a scrape of the control page, if it was slow.
func (m *Machine) add(scrape period) {
	if scrape.to.Sub(scrape.from) < controlInterval {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stalls = append(m.stalls, scrape)
}

// Stalled is how much of a time the machine had stalled for.
func (m *Machine) Stalled(from, to time.Time) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	var stalled time.Duration
	for _, stall := range m.stalls {
		begin, end := stall.from, stall.to
		if begin.Before(from) {
			begin = from
		}
		if end.After(to) {
			end = to
		}
		stalled += max(end.Sub(begin), 0)
	}
	return stalled
}

// Stalls are how often and for how long the machine stalled since a time, and the longest that a scrape of the control page took.
func (m *Machine) Stalls(since time.Time) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var count int
	var all, longest time.Duration
	for _, stall := range m.stalls {
		if stall.from.Before(since) {
			continue
		}
		count++
		all += stall.to.Sub(stall.from)
		longest = max(longest, stall.to.Sub(stall.from))
	}
	return fmt.Sprintf("%d scrapes of the control page were slow, %s together, the longest %s",
		count, all.Round(time.Millisecond), longest.Round(time.Millisecond))
}
