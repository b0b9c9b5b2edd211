package integration

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"

	"github.com/example/ksmscale/test/cluster"
)

// notInstalled are objects that appear and disappear without an installation, or with a Service, which the snapshot has
// itself.
var notInstalled = sets.New("events", "nodes", "leases kube-node-lease", "ipaddresses")

// snapshot is the name of everything that there is on a cluster.
func snapshot(t *testing.T, on *cluster.Cluster) sets.Set[string] {
	t.Helper()
	names := sets.New[string]()
	config := on.Config()
	config.WarningHandler = rest.NoWarnings{} // Deprecated types are looked at as well.
	client, err := metadata.NewForConfig(config)
	require.NoError(t, err)
	lists, err := discovery.NewDiscoveryClientForConfigOrDie(config).ServerPreferredResources()
	require.NoError(t, err)
	for _, list := range lists {
		group, err := schema.ParseGroupVersion(list.GroupVersion)
		require.NoError(t, err)
		for _, resource := range list.APIResources {
			if !slices.Contains(resource.Verbs, "list") || notInstalled.Has(resource.Name) || strings.Contains(group.Group, "metrics.k8s.io") {
				continue
			}
			objects, err := client.Resource(group.WithResource(resource.Name)).List(t.Context(), metav1.ListOptions{})
			require.NoError(t, err, resource.Name)
			for _, object := range objects.Items {
				if !notInstalled.Has(resource.Name + " " + object.Namespace) {
					names.Insert(resource.Name + " " + strings.TrimPrefix(object.Namespace+"/"+object.Name, "/"))
				}
			}
		}
	}
	return names
}
