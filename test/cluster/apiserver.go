package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
)

// Server is one of the cluster's API servers.
type Server struct {
	cluster *Cluster
	component
}

// APIServers returns the running API servers. The kubeconfigs lead to the first one. The list is empty if another program
// started the cluster.
func (c *Cluster) APIServers() []*Server { return slices.Clone(c.apiServed) }

// AddAPIServer starts a second API server, like a control plane on several machines. It returns once pods also reach it
// through the kubernetes Service. It needs two real nodes, because the API servers use their addresses.
func (c *Cluster) AddAPIServer(ctx context.Context) (*Server, error) {
	if len(c.nodes) < MaxRealNodes {
		return nil, fmt.Errorf("a second API server has the address of a second real node, and there are %d: start the cluster with RealNodes %d", len(c.nodes), MaxRealNodes)
	}
	added := &Server{cluster: c, component: c.apiServed[0].component}
	added.name, added.program = APIServer+"-2", []string{c.options.Binary, APIServer}
	// The port has to be the same: the kubernetes Service has one for all.
	added.url = strings.Replace(added.url, nodeAddress(0), nodeAddress(1), 1)
	added.flags = slices.Concat(added.flags, c.options.Flags[APIServer], []string{
		"--bind-address=" + nodeAddress(1),
		"--advertise-address=" + nodeAddress(1),
		"--audit-log-path=" + added.AuditLog(),
	})
	if err := c.run(&added.component); err != nil {
		return nil, err
	}
	c.mutex.Lock()
	c.processes = append(c.processes, added.process)
	c.mutex.Unlock()
	if err := errors.Join(added.AwaitReady(ctx), added.awaitEndpoint(ctx, nodeAddress(1))); err != nil {
		return nil, errors.Join(err, added.Stop(ctx))
	}
	c.apiServed = append(c.apiServed, added)
	return added, nil
}

// AuditLog returns the path of the API server's audit log, which package audit reads.
func (s *Server) AuditLog() string { return s.cluster.auditLogOf(s.name) }

// Restart kills the API server, like a failing machine. It starts the API server again at the same address, and returns
// once it is ready. Only one API server may restart at a time.
func (s *Server) Restart(ctx context.Context) error {
	s.process.Kill()
	if err := s.cluster.rerun(&s.component); err != nil {
		return err
	}
	return s.AwaitReady(ctx)
}

// Stop ends the API server, which pods no longer reach then, and returns once it is gone. The first one has to stay.
func (s *Server) Stop(ctx context.Context) error {
	s.cluster.mutex.Lock()
	s.cluster.processes = slices.DeleteFunc(s.cluster.processes, func(p *Process) bool { return p == s.process })
	s.cluster.mutex.Unlock()
	s.cluster.apiServed = slices.DeleteFunc(s.cluster.apiServed, func(server *Server) bool { return server == s })
	return s.process.Terminate(ctx)
}

// AwaitReady returns once the API server is ready. Cluster.Restart does not wait for that.
func (s *Server) AwaitReady(ctx context.Context) error {
	client, err := rest.HTTPClientFor(s.cluster.config)
	if err != nil {
		return fmt.Errorf("create client: %w", err)
	}
	return s.cluster.awaitReady(ctx, client, s.component)
}

// awaitEndpoint waits until the kubernetes Service leads to an address.
func (s *Server) awaitEndpoint(ctx context.Context, serverAddress string) error {
	client, err := s.cluster.client()
	if err != nil {
		return err
	}
	return s.cluster.await(ctx, s.component, "the endpoint of "+s.name, func(ctx context.Context) error {
		slice, err := client.DiscoveryV1().EndpointSlices(metav1.NamespaceDefault).Get(ctx, "kubernetes", metav1.GetOptions{})
		if err != nil {
			return err
		}
		for _, endpoint := range slice.Endpoints {
			if slices.Contains(endpoint.Addresses, serverAddress) {
				return nil
			}
		}
		return fmt.Errorf("it is not among %d", len(slice.Endpoints))
	})
}
