package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
)

const (
	// readyTimeout of one component; an idle laptop needs a few seconds for all of them.
	readyTimeout = 3 * time.Minute
	pollInterval = 50 * time.Millisecond
	// requestTimeout of one readiness request: a server that is just starting may accept and not answer.
	requestTimeout = 2 * time.Second
)

// prepare fills in the defaults and creates the folders.
func (c *Cluster) prepare() error {
	var err error
	if c.options.Binary == "" {
		if c.options.Binary, err = FindBinary(); err != nil {
			return err
		}
	} else if _, err := os.Stat(c.options.Binary); err != nil {
		return fmt.Errorf("find kube binary, which `make kube` builds: %w", err)
	}
	if c.options.Progress == nil {
		c.options.Progress = io.Discard
	}
	if err := c.prepareNodes(); err != nil {
		return err
	}
	if c.dir, err = emptyDir(c.options.Dir); err != nil {
		return err
	}
	for _, dir := range []string{c.pki().dir, c.Logs()} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("create folder of cluster: %w", err)
		}
	}
	return nil
}

// emptyDir returns the absolute path of an empty folder, because the components have other working folders. It refuses a
// folder with content, because Stop removes it.
func emptyDir(dir string) (string, error) {
	if dir == "" {
		dir, err := os.MkdirTemp(tempDir(), "cluster-")
		if err != nil {
			return "", fmt.Errorf("create folder of cluster: %w", err)
		}
		return dir, nil
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("find folder of cluster: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("create folder of cluster: %w", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", fmt.Errorf("read folder of cluster: %w", err)
	}
	if len(entries) > 0 {
		return "", fmt.Errorf("folder of cluster %s is not empty", dir)
	}
	return dir, nil
}

// start starts etcd, then the API server, then all other components together. Without the first two, the next ones would
// only log errors.
func (c *Cluster) start(ctx context.Context) error {
	if err := c.pki().writeAll(); err != nil {
		return err
	}
	if err := c.writeConfigs(ctx); err != nil {
		return err
	}
	// The API server publishes a node's address from its start.
	if err := c.connectNodes(ctx); err != nil {
		return err
	}
	etcd, err := c.launch(ctx, c.etcd)
	if err != nil {
		return err
	}
	if err := c.awaitReady(ctx, http.DefaultClient, etcd); err != nil {
		return err
	}
	launched, err := c.launch(ctx, func(port int) component { return c.apiServer(port, etcd.url) })
	if err != nil {
		return err
	}
	c.apiServed = []*Server{{cluster: c, component: launched}}
	if err := c.writeUserKubeconfigs(launched.url); err != nil {
		return err
	}
	if c.config, err = loadConfig(c.Kubeconfig()); err != nil {
		return err
	}
	client, err := rest.HTTPClientFor(c.config)
	if err != nil {
		return fmt.Errorf("create client: %w", err)
	}
	if err := c.awaitReady(ctx, client, launched); err != nil {
		return err
	}
	if err := c.startControllers(ctx, client); err != nil {
		return err
	}
	return c.startNodes(ctx)
}

func (c *Cluster) startControllers(ctx context.Context, client *http.Client) error {
	var started []component
	for _, build := range []func(int) component{c.controllerManager, c.scheduler, c.kwok} {
		launched, err := c.launch(ctx, build)
		if err != nil {
			return err
		}
		started = append(started, launched)
	}
	for _, launched := range started {
		if err := c.awaitReady(ctx, client, launched); err != nil {
			return err
		}
	}
	return c.awaitServiceAccount(ctx, started[0])
}

// launch starts the component on a free port.
func (c *Cluster) launch(ctx context.Context, build func(port int) component) (component, error) {
	port, err := FreePort(ctx)
	if err != nil {
		return component{}, err
	}
	launched := build(port)
	if err := c.run(&launched); err != nil {
		return component{}, err
	}
	c.mutex.Lock()
	c.processes = append(c.processes, launched.process)
	c.launched[launched.name] = &launched
	c.mutex.Unlock()
	return launched, c.writeRecord()
}

// run starts the component's process.
func (c *Cluster) run(one *component) error {
	program := one.program
	if program == nil {
		program = []string{c.options.Binary, one.name}
	}
	command := exec.Command(program[0], slices.Concat(program[1:], one.flags, c.options.Flags[one.name])...)
	command.Dir = c.dir
	process, err := startProcess(one.name, filepath.Join(c.Logs(), one.name+".log"), command, c.options.Detached)
	one.process = process
	return err
}

func (c *Cluster) awaitReady(ctx context.Context, client *http.Client, one component) error {
	return c.await(ctx, one, one.name, func(ctx context.Context) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, one.url+one.health, nil)
		if err != nil {
			return err
		}
		response, err := client.Do(request)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusOK {
			body, _ := io.ReadAll(io.LimitReader(response.Body, 1024))
			return fmt.Errorf("%s: %s", response.Status, body)
		}
		return nil
	})
}

// awaitServiceAccount waits for the service account that the controller manager creates in the default namespace. Pods
// need it.
func (c *Cluster) awaitServiceAccount(ctx context.Context, controllerManager component) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	what := "the service account of namespace default"
	return c.await(ctx, controllerManager, what, func(ctx context.Context) error {
		namespace := metav1.NamespaceDefault
		_, err := client.CoreV1().ServiceAccounts(namespace).Get(ctx, "default", metav1.GetOptions{})
		return err
	})
}

// await polls until ready returns nil. It gives up after readyTimeout or as soon as any component has ended,
// and then shows the log of the component that is to blame.
func (c *Cluster) await(ctx context.Context, blame component, what string, ready func(context.Context) error) error {
	fmt.Fprintf(c.options.Progress, "%5.1fs waiting for %s\n", time.Since(c.began).Seconds(), what)
	var last error
	err := wait.PollUntilContextTimeout(ctx, pollInterval, readyTimeout, true, func(ctx context.Context) (bool, error) {
		if err := c.Check(); err != nil {
			return false, err
		}
		ctx, cancel := context.WithTimeout(ctx, requestTimeout)
		defer cancel()
		last = ready(ctx)
		return last == nil, nil
	})
	switch {
	case err == nil:
		return nil
	case wait.Interrupted(err):
		return fmt.Errorf("wait for %s: %w%s", what, errors.Join(err, last), blame.process.logTail())
	default:
		return fmt.Errorf("wait for %s: %w", what, err)
	}
}
