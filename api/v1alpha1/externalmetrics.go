package v1alpha1

// APIServiceName is the name of the APIService of external metrics. A cluster has only one.
const APIServiceName = "v1beta1.external.metrics.k8s.io"

// ServiceReference names a port of a Service.
//
// +kubebuilder:object:generate=false
type ServiceReference struct {
	Namespace string
	Name      string
	Port      int32
}

// DNSName is the name that the API server expects in the certificate of the Service.
func (s ServiceReference) DNSName() string { return s.Name + "." + s.Namespace + ".svc" }
