package cluster

import (
	"context"
	"fmt"
	"slices"
	"syscall"
	"time"
)

// Restart kills a component with SIGKILL, like a machine that fails, and starts it again at the same address. It returns
// before the component is ready. The name is the name of its log without the extension, such as kubelet-node-a.
func (c *Cluster) Restart(name string) error {
	one, err := c.component(name)
	if err != nil {
		return err
	}
	one.process.Kill()
	return c.rerun(one)
}

// Kill ends a component with SIGKILL. Revive starts it again. Until then, Check reports it.
func (c *Cluster) Kill(name string) error {
	one, err := c.component(name)
	if err != nil {
		return err
	}
	one.process.Kill()
	return nil
}

// Freeze stops a component with SIGSTOP, like a machine that swaps, and continues it after some time or when the context
// is done.
func (c *Cluster) Freeze(ctx context.Context, name string, length time.Duration) error {
	one, err := c.component(name)
	if err != nil {
		return err
	}
	// Another one may have replaced it in the meantime.
	frozen := one.process
	frozen.signal(syscall.SIGSTOP)
	defer frozen.signal(syscall.SIGCONT)
	select {
	case <-ctx.Done():
	case <-time.After(length):
	}
	return nil
}

// Revive starts all components again that have ended, and returns their names. A service manager does so on a node.
func (c *Cluster) Revive() ([]string, error) {
	var revived []string
	for _, name := range c.Components() {
		one, err := c.component(name)
		if err != nil || one.process.Running() {
			continue
		}
		revived = append(revived, name)
		if err := c.rerun(one); err != nil {
			return revived, err
		}
	}
	return revived, nil
}

// Components returns the names of the components, in the order of their start.
func (c *Cluster) Components() []string {
	var names []string
	for _, process := range c.started() {
		names = append(names, process.name)
	}
	return names
}

// component returns a component by its name. An API server is the component of its Server, which Server.Restart changes.
func (c *Cluster) component(name string) (*component, error) {
	for _, server := range c.apiServed {
		if server.name == name {
			return &server.component, nil
		}
	}
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if one, launched := c.launched[name]; launched {
		return one, nil
	}
	return nil, fmt.Errorf("the cluster has no component %s", name)
}

// rerun starts a component again whose process has ended.
func (c *Cluster) rerun(one *component) error {
	ended := one.process
	if err := c.run(one); err != nil {
		return err
	}
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if place := slices.Index(c.processes, ended); place >= 0 {
		c.processes[place] = one.process
	}
	return nil
}
