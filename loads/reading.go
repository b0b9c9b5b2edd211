package loads

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/measurements"
	"github.com/example/ksmscale/telemetry"
)

// reading is what a kube-state-metrics has used since it started.
type reading struct {
	// cpu is all the CPU, in seconds.
	cpu float64
	// scraped is for how many seconds it has answered scrapes.
	scraped float64
	// started is when it started: another value is another process.
	started float64
	// at is when the gate read that, by the gate's clock.
	at time.Time
}

// read reads the gate of a pod. It is reachable also if kube-state-metrics serves with TLS, or only those with a token.
func read(ctx context.Context, client telemetry.Client, pod *corev1.Pod) (reading, error) {
	measured, err := measurements.Read(ctx, client, telemetry.URL(pod.Status.PodIP, v1alpha1.PortGate))
	if err != nil {
		return reading{}, fmt.Errorf("read pod %s: %w", pod.Name, err)
	}
	if measured.StartTimeSeconds == 0 {
		return reading{}, fmt.Errorf("read pod %s: its gate does not export what kube-state-metrics uses", pod.Name)
	}
	return reading{
		cpu: measured.CPUSeconds, scraped: measured.RequestSeconds, started: measured.StartTimeSeconds, at: measured.ReadAt,
	}, nil
}
