// Package churn lets objects come and go at a rate, for tests and measurements of a cluster that changes all the time.
package churn

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"
)

// Run creates objects until the context is done, as many each second as the rate. It removes each of them after its life, or
// once the context is done. Their numbers count from 0. It returns once all are removed, with the number of objects that it
// tried to create, and the first error. The functions get a context that does not end.
func Run(ctx context.Context, rate int, life time.Duration, create, remove func(ctx context.Context, number int) error) (created int, err error) {
	ticker := time.NewTicker(time.Second / time.Duration(rate))
	defer ticker.Stop()
	var living errgroup.Group
	// Above this, the cluster is slower than the rate.
	living.SetLimit(rate * (1 + 2*int(life/time.Second)))
	for number := 0; ; number++ {
		select {
		case <-ctx.Done():
			return number, living.Wait()
		case <-ticker.C:
		}
		living.Go(func() error {
			endless := context.WithoutCancel(ctx)
			if err := create(endless, number); err != nil {
				return err
			}
			select {
			case <-ctx.Done():
			case <-time.After(life):
			}
			return remove(endless, number)
		})
	}
}
