package main

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/example/ksmscale/test/cluster"
	"github.com/example/ksmscale/test/replica"
)

// usual are objects of the resources that have more than pods.
//
//go:embed objects.yaml
var usual []byte

// exported are the resources whose series are counted, by the names that kube-state-metrics has for them.
var exported = strings.Fields(`configmaps cronjobs daemonsets deployments endpoints endpointslices horizontalpodautoscalers ingresses
	jobs leases limitranges mutatingwebhookconfigurations namespaces networkpolicies nodes persistentvolumeclaims persistentvolumes
	poddisruptionbudgets pods replicasets replicationcontrollers resourcequotas secrets serviceaccounts services statefulsets
	storageclasses validatingwebhookconfigurations volumeattachments`)

const (
	objectNodes = 10
	// settleTimeout only bounds a run that fails.
	settleTimeout = 10 * time.Minute
	// settled is how long the number of series must stay the same before they are counted.
	settled = 20 * time.Second
)

// countSeries prints how many series one object of each resource has, on average, in a small cluster.
func countSeries(ctx context.Context, version string, out io.Writer) (err error) {
	local, err := cluster.Start(ctx, cluster.Options{Progress: os.Stderr})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, local.Stop()) }()
	if err := local.SetNodes(ctx, objectNodes); err != nil {
		return err
	}
	objects, err := client.New(local.Config(), client.Options{})
	if err != nil {
		return fmt.Errorf("create client: %w", err)
	}
	if err := createUsual(ctx, objects); err != nil {
		return err
	}
	running, err := start(ctx, local, version, 1, "--resources="+strings.Join(exported, ","))
	if err != nil {
		return err
	}
	defer running.Stop()
	if err := awaitSettled(ctx, running); err != nil {
		return err
	}
	fmt.Fprintf(out, "%s, %s:\n\n| resource | objects | series of one | bytes of a series |\n| --- | --- | --- | --- |\n", time.Now().UTC().Format(time.DateOnly), version)
	for _, resource := range exported {
		number, err := count(ctx, objects, resource)
		if err != nil {
			return err
		}
		series, size, err := replica.Scrape(ctx, running.MetricsURL+"?resources="+resource)
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "| %s | %d | %.1f | %.0f |\n", resource, number, float64(series)/float64(max(number, 1)), float64(size)/float64(max(series, 1)))
	}
	return nil
}

func createUsual(ctx context.Context, objects client.Client) error {
	documents := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(usual), 4096)
	for {
		object := &unstructured.Unstructured{}
		err := documents.Decode(object)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read objects: %w", err)
		}
		if err := objects.Create(ctx, object); err != nil {
			return fmt.Errorf("create %s: %w", object.GetKind(), err)
		}
	}
}

// awaitSettled waits until the number of series has stayed the same.
func awaitSettled(ctx context.Context, running *replica.Replica) error {
	last, since := 0, time.Now()
	err := wait.PollUntilContextTimeout(ctx, time.Second, settleTimeout, true, func(ctx context.Context) (bool, error) {
		series, _, err := replica.Scrape(ctx, running.MetricsURL)
		if err != nil || series != last {
			last, since = series, time.Now()
		}
		return series > 0 && time.Since(since) > settled, running.Check()
	})
	if err != nil {
		return fmt.Errorf("wait for the series to settle: %w", err)
	}
	return nil
}

func count(ctx context.Context, objects client.Client, resource string) (int, error) {
	kind, err := objects.RESTMapper().KindFor(schema.GroupVersionResource{Resource: resource})
	if err != nil {
		return 0, fmt.Errorf("find resource: %w", err)
	}
	list := &unstructured.UnstructuredList{}
	list.SetGroupVersionKind(kind)
	if err := objects.List(ctx, list); err != nil {
		return 0, fmt.Errorf("list %s: %w", resource, err)
	}
	return len(list.Items), nil
}
