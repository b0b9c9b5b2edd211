package e2e

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/sets"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/example/ksmscale/api/v1alpha1"
)

// connectInterval is shorter than kube-proxy takes to notice that a pod has ended.
const connectInterval = 200 * time.Millisecond

// connectionWatch connects to the Services that Prometheus scrapes, several times a second, and requests /healthz of
// kube-state-metrics. This is cheap, and a scrape is expensive. Prometheus rarely scrapes at the moment at which a pod
// leaves too early.
type connectionWatch struct {
	targets  client.Reader
	services client.MatchingLabelsSelector
	through  *http.Client

	mu sync.Mutex
	// answered are the addresses that a connection has succeeded to.
	answered sets.Set[string]
	// failed are the later ones that were refused or cut, and the answers other than that it is healthy.
	failed []string
}

// watchConnections connects to the Services of a KSMScale until the test ends.
func watchConnections(t *testing.T, targets client.Reader, ksmScale *v1alpha1.KSMScale) *connectionWatch {
	t.Helper()
	services, err := labels.Parse(scraped(ksmScale))
	require.NoError(t, err)
	c := &connectionWatch{
		targets:  targets,
		services: client.MatchingLabelsSelector{Selector: services},
		through:  &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: prometheusInterval},
		answered: sets.New[string](),
	}
	go c.watch(t.Context())
	return c
}

func (c *connectionWatch) watch(ctx context.Context) {
	ticker := time.NewTicker(connectInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		targets, err := servicesOf(ctx, c.targets, c.services)
		if err != nil {
			continue // The next look at the Services is soon.
		}
		var all sync.WaitGroup
		for _, target := range targets {
			for _, address := range target.Targets {
				all.Go(func() { c.note(address, c.connect(ctx, address)) })
			}
		}
		all.Wait()
	}
}

func (c *connectionWatch) connect(ctx context.Context, address string) error {
	probe, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/healthz", nil)
	if err != nil {
		return err
	}
	response, err := c.through.Do(probe)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return errors.New(response.Status)
	}
	return nil
}

// note ignores timeouts. A stalling machine also causes them, and Prometheus distinguishes both.
func (c *connectionWatch) note(address string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var timeout net.Error
	switch {
	case err == nil:
		c.answered.Insert(address)
	case errors.Is(err, context.Canceled), errors.As(err, &timeout) && timeout.Timeout():
	case c.answered.Has(address):
		c.failed = append(c.failed, fmt.Sprintf("%s: %v", time.Now().Format(time.TimeOnly), err))
	}
}

// take returns the failures since its last call; empty where Services cannot be reached.
func (c *connectionWatch) take() []string {
	if c == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	failed := c.failed
	c.failed = nil
	return failed
}
