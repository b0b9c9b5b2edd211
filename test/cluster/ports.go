package cluster

import (
	"context"
	"fmt"
	"net"
)

// FreePort returns a free port of loopback. Use it immediately, because it is not reserved.
func FreePort(ctx context.Context) (int, error) {
	ports, err := FreePorts(ctx, 1)
	if err != nil {
		return 0, err
	}
	return ports[0], nil
}

// FreePorts returns several at a time, which all differ.
func FreePorts(ctx context.Context, number int) ([]int, error) {
	var ports []int
	for range number {
		listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address(0))
		if err != nil {
			return nil, fmt.Errorf("find a free port: %w", err)
		}
		// Only after all are found, so each port is found once.
		defer listener.Close()
		ports = append(ports, listener.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}
