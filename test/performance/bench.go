package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/test/cluster"
	"github.com/example/ksmscale/test/installation"
)

const (
	namespace = "monitoring"
	// firstName is the name of the KSMScale that exists from the beginning.
	firstName = "first"
	// settle is how long programs are left alone before their memory is read.
	settle = 20 * time.Second
	// beats is the number of heartbeats in a measurement. With 5,000 nodes, kubelets send as many in 5 minutes.
	beats = 5000
)

// bench has the programs that are compared.
type bench struct {
	local     *cluster.Cluster
	installed *installation.Installation
	client    client.WithWatch
	other     *installation.Component
	// They are started again for each number of nodes.
	adapter, controller *installation.Component
	informer            *cluster.Process
}

func newBench(ctx context.Context, local *cluster.Cluster) (*bench, error) {
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		return nil, err
	}
	config := local.Config()
	config.QPS = -1
	objects, err := client.NewWithWatch(config, client.Options{Scheme: scheme})
	if err != nil {
		return nil, err
	}
	installed, err := installation.Install(ctx, local)
	if err != nil {
		return nil, err
	}
	other, err := installed.NewOther(ctx)
	if err != nil {
		return nil, err
	}
	server, err := other.Start("test-adapter")
	if err != nil {
		return nil, err
	}
	return &bench{local: local, installed: installed, client: objects, other: server},
		client.IgnoreAlreadyExists(objects.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}))
}

// restart starts fresh programs, because memory that Go once had is returned late.
func (b *bench) restart(ctx context.Context) (err error) {
	if b.adapter != nil {
		b.informer.Kill()
		if err := errors.Join(b.adapter.Stop(ctx), b.controller.Stop(ctx)); err != nil {
			return err
		}
	}
	if b.controller, b.adapter, err = b.installed.StartAll(ctx); err != nil {
		return err
	}
	kube, err := cluster.FindBinary()
	if err != nil {
		return err
	}
	const name = "performance-informer"
	b.informer, err = cluster.StartProcess(name, filepath.Join(b.local.Logs(), name+".log"),
		exec.Command(filepath.Join(filepath.Dir(kube), name), "--kubeconfig="+b.local.Kubeconfig()))
	return err
}

// usages are what adapter, controller, informer and API server use.
type usages struct{ adapter, controller, informer, apiServer cluster.Usage }

func (b *bench) usages() (u usages, err error) {
	var errs [4]error
	u.adapter, errs[0] = cluster.UsageOf(b.adapter.PID())
	u.controller, errs[1] = cluster.UsageOf(b.controller.PID())
	u.informer, errs[2] = cluster.UsageOf(b.informer.PID())
	u.apiServer, errs[3] = b.local.Usage(cluster.APIServer)
	return u, errors.Join(errs[:]...)
}

// ksmScale is a KSMScale of 3 shards in the mode that needs no requests of HorizontalPodAutoscalers.
func ksmScale(name string, mode v1alpha1.AutoscalingMode) *v1alpha1.KSMScale {
	return &v1alpha1.KSMScale{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: v1alpha1.KSMScaleSpec{
			Namespace: namespace, NodesPerMonitor: 1_000_000,
			Sharding:    &v1alpha1.ShardingConfig{Enabled: true, ShardCount: 3, MinReplicasPerShard: 1},
			Monitoring:  v1alpha1.MonitoringConfig{Interval: metav1.Duration{Duration: time.Second}},
			Autoscaling: &v1alpha1.AutoscalingConfig{Mode: mode},
		},
	}
}

// measureNodes measures what depends on the number of nodes: memory, heartbeats, requests and mode Direct.
func (b *bench) measureNodes(ctx context.Context, nodes int, page *page) error {
	if err := b.restart(ctx); err != nil {
		return err
	}
	one := ksmScale(firstName, v1alpha1.ModeNone)
	if err := client.IgnoreAlreadyExists(b.client.Create(ctx, one)); err != nil {
		return err
	}
	if _, err := b.awaitReady(ctx, []string{one.Name}); err != nil {
		return err
	}
	progress("%d nodes: memory", nodes)
	if err := pause(ctx, settle); err != nil {
		return err
	}
	idle, err := b.usages()
	if err != nil {
		return err
	}
	if err := page.add("memory", nodes, fmt.Sprintf("%s | %s | %s", mebibytes(idle.adapter), mebibytes(idle.controller), mebibytes(idle.informer))); err != nil {
		return err
	}
	progress("%d nodes: heartbeats", nodes)
	if err := b.measureHeartbeats(ctx, nodes, page); err != nil {
		return err
	}
	progress("%d nodes: requests", nodes)
	if err := b.measureRequests(ctx, "requests", one.Name, nodes, page); err != nil {
		return err
	}
	progress("%d nodes: mode Direct", nodes)
	return b.measureDirect(ctx, nodes, page)
}

func mebibytes(usage cluster.Usage) string {
	return fmt.Sprintf("%.0f MiB", float64(usage.Anonymous)/(1<<20))
}

// measureHeartbeats measures the CPU time for heartbeats of nodes, after they have come.
func (b *bench) measureHeartbeats(ctx context.Context, nodes int, page *page) error {
	before, err := b.usages()
	if err != nil {
		return err
	}
	reconciles, err := b.reconciles(ctx)
	if err != nil {
		return err
	}
	started := time.Now()
	if err := b.beat(ctx, nodes); err != nil {
		return err
	}
	if err := pause(ctx, 2*time.Second); err != nil {
		return err
	}
	after, err := b.usages()
	if err != nil {
		return err
	}
	now, err := b.reconciles(ctx)
	if err != nil {
		return err
	}
	each := func(before, after cluster.Usage) float64 {
		return float64((after.CPU - before.CPU).Microseconds()) / beats
	}
	informer := each(before.informer, after.informer)
	adapter, controller := each(before.adapter, after.adapter), each(before.controller, after.controller)
	return page.add("heartbeats", nodes, fmt.Sprintf("%.0f µs | %.0f µs | %.0f µs | %s | %s | %d in %.0f s", adapter, controller, informer,
		ratio(adapter, informer), ratio(controller, informer), int(now-reconciles), time.Since(started).Seconds()))
}

// beat sends heartbeats like kubelets, to one node after the other.
func (b *bench) beat(ctx context.Context, nodes int) error {
	return inParallel(ctx, beats, func(ctx context.Context, i int) error {
		node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("fake-node-%05d", i%nodes)}}
		heartbeat := fmt.Sprintf(`{"status":{"conditions":[{"type":"Ready","lastHeartbeatTime":%q}]}}`, time.Now().Add(time.Duration(i)*time.Second).UTC().Format(time.RFC3339))
		return b.client.Status().Patch(ctx, node, client.RawPatch(types.StrategicMergePatchType, []byte(heartbeat)))
	})
}

// direct is a client of a server without the API server in between.
func (b *bench) direct(url string) (*rest.RESTClient, error) {
	config := b.local.Config()
	config.Host, config.APIPath, config.QPS = url, "/apis", -1
	config.Insecure, config.CAData, config.CAFile = true, nil, ""
	config.GroupVersion = &v1alpha1.GroupVersion
	config.NegotiatedSerializer = clientgoscheme.Codecs.WithoutConversion()
	return rest.RESTClientFor(config)
}
