package e2e

import (
	"context"
	"fmt"
	"net/url"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/test/prometheus/server"
)

// staleLimit is how long a pod may stay ready although its kube-state-metrics exposes old values, on a machine that does
// not stall.
const staleLimit = time.Minute

// A kube-state-metrics exposes old values when it hangs, and when it has lost the API server.
func TestWhatGrowsOldIsUnready(t *testing.T) {
	needsLocal(t)
	install(t)
	machine := server.WatchMachine(t.Context())
	for _, trouble := range []struct {
		name  string
		begin func(*testing.T, corev1.Pod) (end func())
	}{
		{"hangs", hang},
		{"has lost the API server", cutOff},
	} {
		t.Run(trouble.name, func(t *testing.T) {
			t.Parallel()
			ksmScale := newKSMScale(shards(2))
			create(t, ksmScale)
			awaitReady(t, ksmScale)
			pod := shardPods(t, ksmScale)[0]
			end := trouble.begin(t, pod)
			began := time.Now()
			awaitPodReady(t, pod, corev1.ConditionFalse)
			took, stalled := time.Since(began), machine.Stalled(began, time.Now())
			t.Logf("unready after %s, of which the machine stalled for %s", took.Round(time.Second), stalled.Round(time.Second))
			assert.Less(t, took-stalled, staleLimit)
			awaitCondition(t, ksmScale, v1alpha1.ConditionCovered, v1alpha1.ReasonShardsNotReady)
			end()
			awaitPodReady(t, pod, corev1.ConditionTrue)
			awaitReady(t, ksmScale)
		})
	}
}

// hang stops kube-state-metrics of a pod. The kubelet may start another one, when it notices.
func hang(t *testing.T, pod corev1.Pod) (end func()) {
	t.Helper()
	process := processOf(t, pod, "kube-state-metrics")
	require.NoError(t, syscall.Kill(process, syscall.SIGSTOP))
	end = func() { _ = syscall.Kill(process, syscall.SIGCONT) }
	t.Cleanup(end)
	return end
}

// cutOff drops what a pod sends to the API server.
func cutOff(t *testing.T, pod corev1.Pod) (end func()) {
	t.Helper()
	iptables := func(action string) {
		arguments := []string{"--wait", action, "INPUT", "--source", pod.Status.PodIP, "--protocol", "tcp", "--dport", apiServerPort(t), "--jump", "DROP"}
		output, err := exec.CommandContext(context.WithoutCancel(t.Context()), "iptables", arguments...).CombinedOutput()
		require.NoError(t, err, string(output))
	}
	iptables("--insert")
	end = sync.OnceFunc(func() { iptables("--delete") })
	t.Cleanup(end)
	return end
}

func awaitPodReady(t *testing.T, pod corev1.Pod, expected corev1.ConditionStatus) {
	t.Helper()
	await(t, fmt.Sprintf("readiness of pod %s: %s", pod.Name, expected), func(ctx context.Context) error {
		if err := shared.client.Get(ctx, client.ObjectKeyFromObject(&pod), &pod); err != nil {
			return err
		}
		if ready := readiness(pod); ready.Status != expected {
			return fmt.Errorf("%s %s", ready.Status, ready.Message)
		}
		return nil
	})
}

func apiServerPort(t *testing.T) string {
	t.Helper()
	address, err := url.Parse(shared.config.Host)
	require.NoError(t, err)
	return address.Port()
}
