package gate

import (
	"context"
	"fmt"
	"math"
	"time"

	"k8s.io/utils/clock"

	"github.com/example/ksmscale/gate/ksm"
)

const (
	// customInterval is the least time between two looks at the series of custom resources.
	customInterval = 10 * time.Second
	// customTolerance is the fraction by which their number may change between two looks. It falls when kube-state-metrics
	// reloads. A number that grows at a constant rate grows by less than this fraction after 200 s. kube-state-metrics may
	// take that long to load, and a growing cluster does not delay the gate for longer.
	customTolerance = 0.05
	// customPatience is how long the gate waits for the first series. A throttled kube-state-metrics exposes no series for
	// tens of seconds, and then most of them together.
	customPatience = time.Minute
)

// custom follows the series of custom resources. The configuration of kube-state-metrics decides which labels a series
// has, and whether an object has any series. So a list of objects cannot show which objects are missing. The number of
// series only shows when it stops growing.
type custom struct {
	monitor *ksm.Client
	clock   clock.PassiveClock

	// definitions is how many events of definitions kube-state-metrics had seen before, according to monitor.discoveries.
	definitions float64
	// none is the time since which there have been no series. series is their number at the last look, which ended at
	// looked, and err is its result.
	none   time.Time
	series int
	looked time.Time
	err    error
}

// look returns nil if the number of series is about the same as an interval ago, or if there have been none for
// customPatience.
func (c *custom) look(ctx context.Context) error {
	isFirst := c.looked.IsZero()
	if !isFirst && c.clock.Since(c.looked) < customInterval {
		return c.err
	}
	series, err := c.monitor.CustomSeries(ctx)
	if err != nil {
		return fmt.Errorf("count the series of custom resources: %w", err)
	}
	now := c.clock.Now()
	if isFirst || c.series > 0 {
		c.none = now
	}
	c.err = nil
	few := series == 0 && now.Sub(c.none) < customPatience
	if isFirst || few || math.Abs(float64(series-c.series)) > customTolerance*float64(c.series) {
		c.err = fmt.Errorf("kube-state-metrics exposes %d series of custom resources, and their number may still grow", series)
	}
	c.series, c.looked = series, now
	return c.err
}
