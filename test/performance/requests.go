package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/rest"

	"github.com/example/ksmscale/test/cluster"
	"github.com/example/ksmscale/test/installation"
)

const (
	rounds = 10
	// alone and together are the numbers of requests of a round, by one client and by several.
	alone, together, clients = 200, 800, 8
)

// side is one of the two servers that are compared.
type side struct {
	server *installation.Component
	client *rest.RESTClient
	path   string
	took   []time.Duration
	cpu    time.Duration
}

// measureRequests sends requests to adapter and test adapter, in turns. Their selectors are equally long, because the library parses them.
func (b *bench) measureRequests(ctx context.Context, table, ksmScale string, size int, page *page) error {
	const external = "/apis/external.metrics.k8s.io/v1beta1/namespaces/"
	own := &side{server: b.adapter, path: external + namespace + "/ksmscale_desired_replicas?labelSelector=ksmscale%3D" + ksmScale + "%2Cshard%3D0%2Ctotal_shards%3D3"}
	other := &side{server: b.other, path: external + "default/my-external-metric?labelSelector=foo%3Dbar%2Cshard%21%3D0%2Ctotal_shards%21%3D3"}
	for _, one := range []*side{own, other} {
		var err error
		if one.client, err = b.direct(one.server.HealthURL); err != nil {
			return err
		}
		if err := one.warmUp(ctx); err != nil {
			return err
		}
	}
	for range rounds {
		for _, one := range []*side{own, other} {
			if err := one.round(ctx); err != nil {
				return err
			}
		}
	}
	perRequest := func(s *side) float64 { return float64(s.cpu.Microseconds()) / (rounds * together) }
	return page.add(table, size, fmt.Sprintf("%.2f ms | %.2f ms | %s | %.0f µs | %.0f µs | %s",
		milliseconds(own.median()), milliseconds(other.median()), ratio(milliseconds(own.median()), milliseconds(other.median())),
		perRequest(own), perRequest(other), ratio(perRequest(own), perRequest(other))))
}

func (s *side) get(ctx context.Context) error {
	return s.client.Get().RequestURI(s.path).Do(ctx).Error()
}

func (s *side) warmUp(ctx context.Context) error {
	for range alone {
		if err := s.get(ctx); err != nil {
			return fmt.Errorf("request %s: %w", s.path, err)
		}
	}
	return nil
}

func (s *side) round(ctx context.Context) error {
	for range alone {
		started := time.Now()
		if err := s.get(ctx); err != nil {
			return fmt.Errorf("request %s: %w", s.path, err)
		}
		s.took = append(s.took, time.Since(started))
	}
	before, err := cluster.UsageOf(s.server.PID())
	if err != nil {
		return err
	}
	if err := inParallel(ctx, together, func(ctx context.Context, _ int) error { return s.get(ctx) }); err != nil {
		return err
	}
	after, err := cluster.UsageOf(s.server.PID())
	s.cpu += after.CPU - before.CPU
	return err
}

func (s *side) median() time.Duration {
	slices.Sort(s.took)
	return s.took[len(s.took)/2]
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func ratio(a, b float64) string { return fmt.Sprintf("%.2f", a/b) }

// inParallel calls a function for each number below n, as many at a time as there are clients.
func inParallel(ctx context.Context, n int, do func(context.Context, int) error) error {
	running, ctx := errgroup.WithContext(ctx)
	running.SetLimit(clients)
	for i := range n {
		running.Go(func() error { return do(ctx, i) })
	}
	return running.Wait()
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
