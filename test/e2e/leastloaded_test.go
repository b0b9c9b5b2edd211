package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/example/ksmscale/api/v1alpha1"
)

// Two shards are busy in turn, because of many scrapes, and the cluster grows each time.
func TestLeastLoaded(t *testing.T) {
	needsLocal(t)
	install(t)
	setControllerArgs(t, "--load-interval=1s")
	makeObjects(t, ciObjects)
	ksmScale := newKSMScale(func(spec *v1alpha1.KSMScaleSpec) { spec.Sharding.ReplicationStrategy = v1alpha1.LeastLoaded })
	create(t, ksmScale)
	awaitReady(t, ksmScale)
	awaitCondition(t, ksmScale, v1alpha1.ConditionAutoscaling, v1alpha1.ReasonLeastLoaded)
	t.Cleanup(func() { require.NoError(t, shared.cluster.SetNodes(context.Background(), 0)) })

	growth := []int{1, 4}
	if full() {
		growth = []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}
	}
	for _, busy := range []int32{0, 1} {
		rest := makeBusy(t, ksmScale, busy)
		for _, nodes := range growth {
			require.NoError(t, shared.cluster.SetNodes(t.Context(), nodes))
			awaitSeats(t, ksmScale, busy, int32(nodes))
		}
		rest()
	}
}

// setControllerArgs gives the controller arguments until the test ends.
func setControllerArgs(t *testing.T, arguments ...string) {
	t.Helper()
	const argsPath = "/spec/template/spec/containers/0/args"
	change := func(operations string) {
		changeController(t, "patch", "deployment/"+controllerName, "--type=json", "-p", operations)
	}
	value, err := json.Marshal(arguments)
	require.NoError(t, err)
	change(fmt.Sprintf(`[{"op":"add","path":"%s","value":%s}]`, argsPath, value))
	t.Cleanup(func() { change(fmt.Sprintf(`[{"op":"remove","path":"%s"}]`, argsPath)) })
}

// makeBusy scrapes a shard's Service all the time until the returned function is called.
func makeBusy(t *testing.T, ksmScale *v1alpha1.KSMScale, shard int32) (rest func()) {
	t.Helper()
	service := &corev1.Service{}
	name := v1alpha1.Shard{KSMScale: ksmScale.Name, ID: shard, Total: ksmScale.TotalShards()}.Name()
	require.NoError(t, shared.client.Get(t.Context(), client.ObjectKey{Namespace: monitoringNamespace, Name: name}, service))
	ctx, cancel := context.WithCancel(t.Context())
	// Each scrape opens a connection, so scrapes reach all replicas.
	scraper := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	var scraping sync.WaitGroup
	scraping.Go(func() {
		for ctx.Err() == nil {
			scrape, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://%s:%d/metrics", service.Spec.ClusterIP, v1alpha1.PortMetrics), nil)
			if err != nil {
				return
			}
			if response, err := scraper.Do(scrape); err == nil {
				_, _ = io.Copy(io.Discard, response.Body)
				_ = response.Body.Close()
			}
		}
	})
	rest = sync.OnceFunc(func() {
		cancel()
		scraping.Wait()
	})
	t.Cleanup(rest)
	return rest
}

// awaitSeats waits until the busy shard has the greatest weight, and all shards are set to the replicas that the
// recorded weights give them.
func awaitSeats(t *testing.T, ksmScale *v1alpha1.KSMScale, busy, fakeNodes int32) {
	t.Helper()
	await(t, fmt.Sprintf("seats by the load of shard %d, with %d fake nodes", busy, fakeNodes), func(ctx context.Context) error {
		if err := shared.client.Get(ctx, client.ObjectKeyFromObject(ksmScale), ksmScale); err != nil {
			return err
		}
		total := ksmScale.TotalShards()
		weights := ksmScale.Status.WeightsOf(total)
		if len(weights) == 0 || slices.Max(weights) != weights[busy] || slices.Min(weights) == weights[busy] {
			return fmt.Errorf("the weights are %v", weights)
		}
		// The cluster has two real nodes, and each pod needs one.
		wanted, actual := seats(weights, max(fakeNodes+2, total)), make([]int32, total)
		for id := range total {
			deployment := &appsv1.Deployment{}
			name := v1alpha1.Shard{KSMScale: ksmScale.Name, ID: id, Total: total}.Name()
			if err := shared.client.Get(ctx, client.ObjectKey{Namespace: monitoringNamespace, Name: name}, deployment); err != nil {
				return err
			}
			actual[id] = *deployment.Spec.Replicas
		}
		if !slices.Equal(wanted, actual) {
			return fmt.Errorf("weights %v make %v, and replicas are %v", weights, wanted, actual)
		}
		t.Logf("weights %v, replicas %v", weights, actual)
		return nil
	})
}

// seats gives each shard one seat, and the others by D'Hondt's method: one after the other to the highest average.
func seats(weights []int32, total int32) []int32 {
	given := make([]int32, len(weights))
	for shard := range given {
		given[shard] = 1
	}
	for range total - int32(len(weights)) {
		best := 0
		for shard := range weights {
			if weights[shard]*(given[best]+1) > weights[best]*(given[shard]+1) {
				best = shard
			}
		}
		given[best]++
	}
	return given
}
