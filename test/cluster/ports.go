package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
)

// Ports are below those that Linux uses for outgoing connections (32768 to 60999) and for NodePorts (30000 to 32767). So no connection takes
// a port before its server listens, or while its server restarts. Each process reserves a block of them, so that two processes never
// choose the same port.
const (
	firstPort, lastPort = 20000, 29999
	portsInBlock        = 200
)

// block is the block of ports of this process.
var block portBlock

// portBlock hands out the ports of a block in turn, so that a port rests after its server has ended.
type portBlock struct {
	mu sync.Mutex
	// reservation listens on the first port of the block until the process ends.
	reservation net.Listener
	last        int
}

// FreePort returns a free port of loopback. No other process that uses this function gets it.
func FreePort(ctx context.Context) (int, error) {
	ports, err := FreePorts(ctx, 1)
	if err != nil {
		return 0, err
	}
	return ports[0], nil
}

// FreePorts returns several ports that all differ.
func FreePorts(ctx context.Context, number int) ([]int, error) {
	block.mu.Lock()
	defer block.mu.Unlock()
	var ports []int
	for range number {
		port, err := block.next(ctx)
		if err != nil {
			return nil, fmt.Errorf("find a free port: %w", err)
		}
		ports = append(ports, port)
	}
	return ports, nil
}

// next returns the next port that is free.
func (b *portBlock) next(ctx context.Context) (int, error) {
	if b.reservation == nil {
		if err := b.reserve(ctx); err != nil {
			return 0, err
		}
	}
	first := b.reservation.Addr().(*net.TCPAddr).Port
	for range portsInBlock - 1 {
		b.last = first + 1 + (b.last-first)%(portsInBlock-1)
		listener, err := listen(ctx, b.last)
		if err == nil {
			return b.last, listener.Close()
		}
	}
	return 0, fmt.Errorf("all ports from %d to %d are in use", first, first+portsInBlock-1)
}

// reserve takes a block that no other process has.
func (b *portBlock) reserve(ctx context.Context) error {
	var errs []error
	for first := firstPort; first < lastPort; first += portsInBlock {
		listener, err := listen(ctx, first)
		if err == nil {
			b.reservation, b.last = listener, first
			return nil
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func listen(ctx context.Context, port int) (net.Listener, error) {
	return new(net.ListenConfig).Listen(ctx, "tcp", address(port))
}
