// Package crd has the CustomResourceDefinition of KSMScale, for programs that default and validate a KSMScale without an API server.
package crd

import _ "embed" // for the definition

// KSMScale is the CustomResourceDefinition as YAML.
//
//go:embed monitor.example.com_ksmscales.yaml
var KSMScale []byte
