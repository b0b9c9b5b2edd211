package objects

import (
	"fmt"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	monitoringv1alpha1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1alpha1"
	monitoringv1ac "github.com/prometheus-operator/prometheus-operator/pkg/client/applyconfiguration/monitoring/v1"
	monitoringv1alpha1ac "github.com/prometheus-operator/prometheus-operator/pkg/client/applyconfiguration/monitoring/v1alpha1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"sigs.k8s.io/structured-merge-diff/v6/typed"
)

// ExtractScrapeConfig returns the fields of a ScrapeConfig that an owner has applied.
func ExtractScrapeConfig(live *monitoringv1alpha1.ScrapeConfig, owner string) (*monitoringv1alpha1ac.ScrapeConfigApplyConfiguration, error) {
	return extractMonitor(live, owner, monitoringv1alpha1ac.ScrapeConfig(live.Name, live.Namespace))
}

// ExtractServiceMonitor returns the fields of a ServiceMonitor that an owner has applied.
func ExtractServiceMonitor(live *monitoringv1.ServiceMonitor, owner string) (*monitoringv1ac.ServiceMonitorApplyConfiguration, error) {
	return extractMonitor(live, owner, monitoringv1ac.ServiceMonitor(live.Name, live.Namespace))
}

// ExtractPrometheusRule returns the fields of a PrometheusRule that an owner has applied.
func ExtractPrometheusRule(live *monitoringv1.PrometheusRule, owner string) (*monitoringv1ac.PrometheusRuleApplyConfiguration, error) {
	return extractMonitor(live, owner, monitoringv1ac.PrometheusRule(live.Name, live.Namespace))
}

// extractMonitor fills a configuration with the fields that an owner has applied. It keeps the identity, which is never an owned field.
func extractMonitor[C identified[C]](live runtime.Object, owner string, into C) (C, error) {
	kind, version, name, namespace := *into.GetKind(), *into.GetAPIVersion(), *into.GetName(), *into.GetNamespace()
	// An extraction from the struct would lose fields of embedded structs, such as the authorization of an endpoint.
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(live)
	if err != nil {
		return into, err
	}
	err = managedfields.ExtractInto(&unstructured.Unstructured{Object: content}, MonitorFields, owner, into, "")
	return into.WithKind(kind).WithAPIVersion(version).WithName(name).WithNamespace(namespace), err
}

// identified is an apply configuration whose identity can be set.
type identified[C any] interface {
	runtime.ApplyConfiguration
	GetKind() *string
	GetName() *string
	GetNamespace() *string
	GetAPIVersion() *string
	WithKind(kind string) C
	WithAPIVersion(version string) C
	WithName(name string) C
	WithNamespace(namespace string) C
}

// MonitorFields is a schema for the kinds of the Prometheus Operator, because its client has none. It has only the fields whose ownership
// differs from the default.
var MonitorFields = parsedFields(`types:
- name: any
  scalar: untyped
  list: {elementType: {namedType: any}, elementRelationship: atomic}
  map: {elementType: {namedType: any}, elementRelationship: separable}
- name: object
  map:
    fields:
    - {name: metadata, type: {namedType: metadata}}
    - {name: spec, type: {namedType: spec}}
    elementType: {namedType: any}
- name: metadata
  map:
    fields:
    - name: ownerReferences
      type: {list: {elementType: {namedType: any}, elementRelationship: associative, keys: [uid]}}
    elementType: {namedType: any}
- name: spec
  map:
    fields:
    - name: groups
      type: {list: {elementType: {namedType: any}, elementRelationship: associative, keys: [name]}}
    - {name: selector, type: {namedType: whole}}
    - {name: authorization, type: {namedType: holder}}
    - name: tlsConfig
      type: {map: {fields: [{name: ca, type: {namedType: holder}}], elementType: {namedType: any}}}
    elementType: {namedType: any}
- name: holder
  map:
    fields:
    - {name: credentials, type: {namedType: whole}}
    - {name: secret, type: {namedType: whole}}
    - {name: configMap, type: {namedType: whole}}
    elementType: {namedType: any}
- name: whole
  map: {elementType: {namedType: any}, elementRelationship: atomic}
`)

// parsedFields parses a schema, and panics if it is invalid.
func parsedFields(schema typed.YAMLObject) typed.ParseableType {
	parser, err := typed.NewParser(schema)
	if err != nil {
		panic(fmt.Sprintf("cannot read the schema of monitors: %v", err))
	}
	return parser.Type("object")
}
