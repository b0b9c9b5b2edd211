package cluster

import (
	"context"
	"fmt"
	"net"
)

// FreePort returns a port of loopback that nobody listens on. It is to be used at once: nothing reserves it.
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
		// Not before all are found, so that none is found twice.
		defer listener.Close()
		ports = append(ports, listener.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}
