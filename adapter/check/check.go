package check

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
	"k8s.io/metrics/pkg/apis/external_metrics/v1beta1"

	"github.com/example/ksmscale/api/v1alpha1"
)

// Options is how the metrics are checked. Create it with NewOptions.
type Options struct {
	// Kubeconfig is the path of a kubeconfig; empty to use the service account of the pod.
	Kubeconfig string
	// Timeout is how long the metrics may take to be served.
	Timeout time.Duration
	// Period is the time between two tries.
	Period time.Duration
}

// NewOptions returns the defaults.
func NewOptions() *Options { return &Options{Timeout: 2 * time.Minute, Period: 2 * time.Second} }

// AddFlags adds a flag for each option.
func (o *Options) AddFlags(flags *pflag.FlagSet) {
	flags.StringVar(&o.Kubeconfig, "kubeconfig", o.Kubeconfig, "Path of a kubeconfig; empty in a pod.")
	flags.DurationVar(&o.Timeout, "timeout", o.Timeout, "How long the metrics may take to be served.")
	flags.DurationVar(&o.Period, "period", o.Period, "Time between two tries.")
}

// Complete has nothing to fill in.
func (o *Options) Complete() {}

// Validate returns what is wrong with the options, naming the flags.
func (o *Options) Validate() error {
	if o.Timeout <= 0 || o.Period <= 0 {
		return errors.New("--timeout and --period must be more than 0")
	}
	return nil
}

// Run reads the metrics until all are as they have to be, and returns an error with the last problem if they are not in time.
func Run(ctx context.Context, options *Options) error {
	config, err := clientcmd.BuildConfigFromFlags("", options.Kubeconfig)
	if err != nil {
		return fmt.Errorf("configure the client: %w", err)
	}
	config = rest.AddUserAgent(config, "ksmscale-check")
	// The period bounds requests.
	config.QPS = -1
	client, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return fmt.Errorf("create the client: %w", err)
	}
	c := through(client)
	var last error
	err = wait.PollUntilContextTimeout(ctx, options.Period, options.Timeout, true, func(ctx context.Context) (bool, error) {
		if err := c.all(ctx); err == nil || ctx.Err() == nil || last == nil {
			last = err
		}
		return last == nil, nil
	})
	if err != nil {
		return errors.Join(err, last)
	}
	return nil
}

// Once reads the metrics once, and returns what is wrong.
func Once(ctx context.Context, client discovery.DiscoveryInterface) error {
	return through(client).all(ctx)
}

// through reads through a client.
func through(client discovery.DiscoveryInterface) *check {
	return &check{get: func(ctx context.Context, path string, into any) error {
		data, err := client.RESTClient().Get().RequestURI(path).DoRaw(ctx)
		if err != nil {
			return fmt.Errorf("get %s: %w", path, err)
		}
		return json.Unmarshal(data, into)
	}}
}

// check reads through get.
type check struct {
	get func(ctx context.Context, path string, into any) error
}

// all returns what is wrong with the metrics of any KSMScale.
func (c *check) all(ctx context.Context) error {
	logger := klog.FromContext(ctx)
	// This asks an adapter also if there is no KSMScale.
	if err := c.get(ctx, "/apis/external.metrics.k8s.io/v1beta1", &struct{}{}); err != nil {
		return err
	}
	var all v1alpha1.KSMScaleList
	if err := c.get(ctx, "/apis/"+v1alpha1.GroupVersion.String()+"/ksmscales", &all); err != nil {
		return err
	}
	var errs []error
	for i := range all.Items {
		ksmScale := &all.Items[i]
		if ksmScale.Spec.AutoscalingMode() != v1alpha1.ModeHorizontalPodAutoscaler {
			continue
		}
		desired, err := c.desired(ctx, ksmScale)
		if err != nil {
			errs = append(errs, fmt.Errorf("KSMScale %s: %w", ksmScale.Name, err))
			continue
		}
		logger.Info("Metrics are served", "ksmScale", ksmScale.Name, "desiredReplicas", desired)
	}
	if len(errs) == 0 {
		logger.Info("External metrics are served", "ksmScales", len(all.Items))
	}
	return errors.Join(errs...)
}

// desired returns the desired replicas of each shard: one value of at least 1 for each.
func (c *check) desired(ctx context.Context, ksmScale *v1alpha1.KSMScale) (map[string]int64, error) {
	// During a reshard, the shards that still serve have metrics too.
	selector := url.Values{"labelSelector": {fmt.Sprintf("%s=%s,%s=%d",
		v1alpha1.MetricLabelKSMScale, ksmScale.Name, v1alpha1.MetricLabelTotalShards, ksmScale.TotalShards())}}
	var metrics v1beta1.ExternalMetricValueList
	path := fmt.Sprintf("/apis/external.metrics.k8s.io/v1beta1/namespaces/%s/%s?%s", ksmScale.Spec.Namespace, v1alpha1.MetricDesiredReplicas, selector.Encode())
	if err := c.get(ctx, path, &metrics); err != nil {
		return nil, err
	}
	desired := map[string]int64{}
	for _, item := range metrics.Items {
		shard := item.MetricLabels[v1alpha1.MetricLabelShard]
		if item.Value.Value() < 1 {
			return nil, fmt.Errorf("shard %s has the value %s", shard, item.Value.String())
		}
		desired[shard] = item.Value.Value()
	}
	if len(desired) != int(ksmScale.TotalShards()) {
		return nil, fmt.Errorf("%d of %d shards have a metric", len(desired), ksmScale.TotalShards())
	}
	return desired, nil
}
