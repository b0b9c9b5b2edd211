package cluster

import (
	"errors"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/resource"
)

// Target is an object of the API server.
type Target struct {
	Resource        schema.GroupVersionResource
	Namespace, Name string
	UID             types.UID
}

// Find returns the object that arguments name as for `kubectl get`.
func find(flags *genericclioptions.ConfigFlags, args []string) (Target, error) {
	namespace, _, err := flags.ToRawKubeConfigLoader().Namespace()
	if err != nil {
		return Target{}, err
	}
	infos, err := resource.NewBuilder(flags).Unstructured().NamespaceParam(namespace).DefaultNamespace().
		ResourceTypeOrNameArgs(false, args...).SingleResourceType().Do().Infos()
	if err != nil {
		return Target{}, err
	}
	if len(infos) != 1 {
		return Target{}, errors.New("where needs one object, such as pod/web-0")
	}
	object, err := meta.Accessor(infos[0].Object)
	if err != nil {
		return Target{}, err
	}
	return Target{infos[0].Mapping.Resource, object.GetNamespace(), object.GetName(), object.GetUID()}, nil
}
