package gate

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/metadata"

	"github.com/example/ksmscale/gate/apiserver"
	"github.com/example/ksmscale/gate/exposition"
	"github.com/example/ksmscale/gate/ksm"
)

// OptionsOf returns the options that the arguments of a gate's container set. It ignores flags that it does not know, because the gate
// may have another version.
func OptionsOf(args []string) (*Options, error) {
	options := NewOptions()
	flags := pflag.NewFlagSet("gate", pflag.ContinueOnError)
	flags.ParseErrorsAllowlist.UnknownFlags = true
	options.AddFlags(flags)
	unescaped := make([]string, len(args))
	for i, arg := range args {
		// Kubernetes replaces $$ by $.
		unescaped[i] = strings.ReplaceAll(arg, "$$", "$")
	}
	if err := flags.Parse(unescaped); err != nil {
		return nil, fmt.Errorf("parse the arguments of the gate: %w", err)
	}
	return options, nil
}

// Comparable returns the resources whose exposed objects can be compared with the API server's, for a version of
// kube-state-metrics.
func (o *Options) Comparable(version string) ([]exposition.Resource, error) {
	exported, err := o.exported()
	if err != nil {
		return nil, err
	}
	return exported(version), nil
}

// Selects reports whether kube-state-metrics exports objects of a resource in a namespace, by the options about namespaces.
func (o *Options) Selects(kind exposition.Resource, namespace string) bool {
	if !kind.Namespaced {
		return true
	}
	return (len(o.Namespaces) == 0 || slices.Contains(o.Namespaces, namespace)) && !slices.Contains(o.NamespacesDenylist, namespace)
}

// Exposed has the objects that a kube-state-metrics exposes, by the name of the resource. A resource that can be compared has an entry,
// even without any object.
type Exposed map[string]sets.Set[types.NamespacedName]

// Exposed reads which objects a kube-state-metrics exposes. It returns an error if kube-state-metrics restarts meanwhile.
func (o *Options) Exposed(ctx context.Context, client *http.Client) (Exposed, error) {
	reading := &ksm.Client{HTTP: client, Metrics: o.MetricsURL, Telemetry: o.TelemetryURL}
	before, err := reading.Process(ctx, processTimeout)
	if err != nil {
		return nil, err
	}
	requested, err := o.Comparable(before.Version)
	if err != nil {
		return nil, err
	}
	exposed := Exposed{}
	for _, kind := range requested {
		exposed[kind.Name] = sets.New[types.NamespacedName]()
	}
	if len(requested) == 0 {
		return exposed, nil
	}
	seen := func(kind exposition.Resource, key types.NamespacedName) { exposed[kind.Name].Insert(key) }
	unidentified, err := reading.Read(ctx, &exposition.Reader{Requested: requested, Named: seen})
	if err == nil && len(unidentified) > 0 {
		requested = slices.DeleteFunc(requested, func(kind exposition.Resource) bool { return !unidentified.Has(kind.Name) })
		_, err = reading.Read(ctx, &exposition.Reader{Requested: requested, Every: unidentified, Named: seen})
	}
	if err != nil {
		return nil, err
	}
	after, err := reading.Process(ctx, processTimeout)
	if err == nil && after != before {
		err = errRestarted
	}
	return exposed, err
}

// Identity identifies one object of the API server.
type Identity struct {
	Namespace string
	UID       types.UID
}

// Listed lists the objects of a resource that kube-state-metrics exports, of all shards, by their names in metrics. Objects of different
// namespaces can have the same name there. It returns the errors of the API server.
func (o *Options) Listed(ctx context.Context, client metadata.Interface, kind exposition.Resource) (map[types.NamespacedName][]Identity, error) {
	all := apiserver.Objects{Metadata: client, Namespaces: o.Namespaces, NamespacesDenylist: o.NamespacesDenylist}
	objects := map[types.NamespacedName][]Identity{}
	for _, namespace := range all.NamespacesOf(kind) {
		if err := all.Each(ctx, kind, namespace, func(meta *metav1.PartialObjectMetadata) {
			key := kind.Key(meta.Namespace, meta.Name)
			objects[key] = append(objects[key], Identity{meta.Namespace, meta.UID})
		}); err != nil {
			return nil, err
		}
	}
	return objects, nil
}
