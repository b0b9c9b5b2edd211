package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"k8s.io/client-go/rest"

	"github.com/example/ksmscale/test/cluster/audit"
)

// stopGrace is short, because the state is deleted next.
const stopGrace = 5 * time.Second

// Options of a cluster. The zero value is a good one for tests.
type Options struct {
	// Dir holds all state. It must be empty or not exist; Stop removes it. Default: a new temporary folder.
	Dir string
	// Binary is the path of the kube binary. Default: the result of FindBinary.
	Binary string
	// HPASyncPeriod is how often the HPA controller computes replicas. Default: Kubernetes' own, 15 s.
	HPASyncPeriod time.Duration
	// HPADownscaleStabilization is how long the HPA controller looks back before it scales down. Default:
	// Kubernetes' own, 5 min. It is a pointer because zero is a useful value.
	HPADownscaleStabilization *time.Duration
	// Flags are given to a component after its own, which they override: "--feature-gates=X=true". The keys
	// are the component names, such as APIServer.
	Flags map[string][]string
	// Progress receives one line for each wait. Default: no output.
	Progress io.Writer
	// NodeLabels are further labels of the fake nodes.
	NodeLabels map[string]string
	// RealNodes is the number of nodes that run containers, up to MaxRealNodes. Call Isolate first. They are called node-a
	// and node-b, in zone-a and zone-b. Fake nodes then have the taint kwok.x-k8s.io/node=fake:NoSchedule, which keeps
	// real pods off them. Default: no real nodes.
	RealNodes int
	// NodeBinary is the path of the node binary. Default: bin/node next to bin/kube.
	NodeBinary string
	// Detached lets the cluster live on when this program ends; Open finds it again.
	Detached bool
}

// Cluster is a running control plane.
type Cluster struct {
	dir       string
	options   Options
	began     time.Time
	config    *rest.Config
	apiServed []*Server // once launched
	nodes     []realNode
	cgroup    string // of the real nodes' containers

	mutex     sync.Mutex
	processes []*Process            // in the order of their start
	launched  map[string]*component // by name, except added API servers
}

// Start starts a control plane and returns once it is ready. Then every component is healthy, and the default namespace
// has its service account, which pods need. The context is only for the start.
//
// An error names the component that failed and quotes the end of its log. Start has stopped everything by then. The folder
// stays, with the logs, unless ctx was cancelled.
func Start(ctx context.Context, options Options) (*Cluster, error) {
	c := &Cluster{options: options, began: time.Now(), launched: map[string]*component{}}
	if err := c.prepare(); err != nil {
		return nil, err
	}
	if err := c.start(ctx); err != nil {
		c.stopProcesses()
		c.clearNodes()
		if errors.Is(ctx.Err(), context.Canceled) {
			return nil, errors.Join(err, os.RemoveAll(c.dir))
		}
		return nil, fmt.Errorf("start cluster in %s: %w", c.dir, err)
	}
	return c, nil
}

// FindBinary returns the path of bin/kube in the current folder or the nearest one above it that has one.
func FindBinary() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find bin/kube: %w", err)
	}
	for {
		path := filepath.Join(dir, "bin", "kube")
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			return path, nil
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("no bin/kube here or in a folder above: run `make kube`")
		}
		dir = filepath.Dir(dir)
	}
}

// Config returns a new client configuration for the cluster's administrator, with rate limits high enough
// to create thousands of objects.
func (c *Cluster) Config() *rest.Config { return rest.CopyConfig(c.config) }

// Kubeconfig returns the path of the administrator's kubeconfig.
func (c *Cluster) Kubeconfig() string { return c.kubeconfigOf(admin) }

// Dir returns the folder with all state.
func (c *Cluster) Dir() string { return c.dir }

// Logs returns the folder with a NAME.log for each component. Logs of further processes may go there too.
func (c *Cluster) Logs() string { return c.path("logs") }

// AuditLog returns the path of the API server's audit log, which package audit reads.
func (c *Cluster) AuditLog() string { return c.auditLogOf(APIServer) }

func (c *Cluster) auditLogOf(apiServer string) string {
	return filepath.Join(c.Logs(), apiServer+"-audit.log")
}

// KeepLogs copies the logs to a new temporary folder, which stays when the cluster is stopped, and returns its path.
func (c *Cluster) KeepLogs() (string, error) {
	dir, err := os.MkdirTemp("", "ksmscale-logs-")
	if err == nil {
		err = os.CopyFS(dir, os.DirFS(c.Logs()))
	}
	if err != nil {
		return "", fmt.Errorf("keep logs: %w", err)
	}
	return dir, nil
}

// Check returns an error if a component has ended, with the end of its log.
func (c *Cluster) Check() error {
	for _, p := range c.started() {
		if p.Running() {
			continue
		}
		if err := p.Err(); err != nil {
			return fmt.Errorf("component has ended: %w", err)
		}
		return fmt.Errorf("component has ended: %s%s", p.name, p.logTail())
	}
	return nil
}

// RightsVariable names the directory for what service accounts asked of the API servers, which `make rights` compares with
// their rights. If it is not set, Stop writes nothing.
const RightsVariable = "RIGHTS"

// Stop ends all components, waits until they are gone, and removes the cluster's folder. It may be called
// again.
func (c *Cluster) Stop() error {
	c.stopProcesses()
	c.clearNodes()
	saved := c.saveRequests()
	if err := os.RemoveAll(c.dir); err != nil {
		return errors.Join(saved, fmt.Errorf("remove state of cluster: %w", err))
	}
	return saved
}

// saveRequests reads the logs of all API servers that the cluster has had. There are none after an earlier Stop.
func (c *Cluster) saveRequests() error {
	directory := os.Getenv(RightsVariable)
	logs, err := filepath.Glob(c.auditLogOf("*"))
	if directory == "" || err != nil || len(logs) == 0 {
		return err
	}
	return audit.SaveRequests(directory, logs...)
}

// started returns the processes in the order of their start.
func (c *Cluster) started() []*Process {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return slices.Clone(c.processes)
}

// stopProcesses ends them in the opposite order of their start: an API server without etcd would only wait.
func (c *Cluster) stopProcesses() {
	for _, p := range slices.Backward(c.started()) {
		ctx, cancel := context.WithTimeout(context.Background(), stopGrace)
		if p.Terminate(ctx) != nil {
			p.Kill()
		}
		cancel()
	}
}
