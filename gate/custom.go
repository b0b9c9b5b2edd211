package gate

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"maps"
	"math"
	"net/url"
	"slices"
	"strings"
	"time"

	"k8s.io/utils/clock"
)

const (
	// customInterval is the least time between two looks at the series of custom resources.
	customInterval = 10 * time.Second
	// customTolerance is the part of them by which they may grow or shrink in between; they shrink when kube-state-metrics begins
	// anew. What grows at a constant rate grows by less once it has done so for 200 s: so long may kube-state-metrics take to
	// load, and no longer does a cluster in which custom resources become more and more hold the gate.
	customTolerance = 0.05
	// customPatience is how long there must have been none before it is believed that there are none: a throttled
	// kube-state-metrics exposes nothing for tens of seconds, and then most of them at once.
	customPatience = time.Minute
)

// custom follows the series that kube-state-metrics makes of custom resources. Its configuration decides which labels these
// have, and whether an object has any, so that no list of objects tells what is missing: only that no more come.
type custom struct {
	monitor *monitor
	clock   clock.PassiveClock

	// definitions is how many events of definitions kube-state-metrics had seen before, as monitor.discoveries counts them.
	definitions float64
	// none is since when there have been no series, and series how many there were at the last look, which ended at looked. err
	// is what followed from it.
	none   time.Time
	series int
	looked time.Time
	err    error
}

// look returns nil if there are about as many series as an interval ago, or none for long.
func (c *custom) look(ctx context.Context) error {
	first := c.looked.IsZero()
	if !first && c.clock.Since(c.looked) < customInterval {
		return c.err
	}
	series, err := c.monitor.customSeries(ctx)
	if err != nil {
		return fmt.Errorf("count the series of custom resources: %w", err)
	}
	now := c.clock.Now()
	if first || c.series > 0 {
		c.none = now
	}
	c.err = nil
	few := series == 0 && now.Sub(c.none) < customPatience
	if first || few || math.Abs(float64(series-c.series)) > customTolerance*float64(c.series) {
		c.err = fmt.Errorf("kube-state-metrics exposes %d series of custom resources, and there may be more to come", series)
	}
	c.series, c.looked = series, now
	return c.err
}

// customSeries is how many series kube-state-metrics exposes that are of custom resources.
func (m *monitor) customSeries(ctx context.Context) (int, error) {
	// Versions before v2.18.0 do not know the parameter, and answer with everything.
	others := url.Values{"exclude_resources": {strings.Join(slices.Sorted(maps.Keys(resources)), ",")}}
	body, err := m.get(ctx, m.metrics+"?"+others.Encode())
	if err != nil {
		return 0, err
	}
	defer body.Close()
	return countCustom(body)
}

// countCustom counts the series of families that are of none of the known resources.
func countCustom(from io.Reader) (int, error) {
	lines := bufio.NewScanner(from)
	lines.Buffer(make([]byte, 64<<10), maxLine)
	count, current, isCustom := 0, "", false
	for lines.Scan() {
		line := lines.Bytes()
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		if family := familyOf(line); string(family) != current {
			current = string(family)
			isCustom = ownerOf(current) == nil
		}
		if isCustom {
			count++
		}
	}
	if err := lines.Err(); err != nil {
		return 0, fmt.Errorf("read metrics: %w", err)
	}
	return count, nil
}
