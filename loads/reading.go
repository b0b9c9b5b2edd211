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

// reading is the use of a kube-state-metrics since its start.
type reading struct {
	// cpu is the CPU time in seconds.
	cpu float64
	// scraped is the time in seconds for which it has answered scrapes.
	scraped float64
	// started is its start time. Another value means another process.
	started float64
	// at is the time at which the gate read these values, by the gate's clock.
	at time.Time
}

// read reads the gate of a pod. The gate is reachable even if kube-state-metrics uses TLS, or requires a token.
func read(ctx context.Context, client telemetry.Client, pod *corev1.Pod) (reading, error) {
	measured, err := measurements.Read(ctx, client, telemetry.URL(pod.Status.PodIP, v1alpha1.PortGate))
	if err != nil {
		return reading{}, fmt.Errorf("read pod %s: %w", pod.Name, err)
	}
	if measured.StartTimeSeconds == 0 {
		return reading{}, fmt.Errorf("read pod %s: its gate does not export the use of kube-state-metrics", pod.Name)
	}
	return reading{
		cpu: measured.CPUSeconds, scraped: measured.RequestSeconds, started: measured.StartTimeSeconds, at: measured.ReadAt,
	}, nil
}
