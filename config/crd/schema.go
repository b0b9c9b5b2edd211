package crd

import (
	"context"
	"fmt"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"sigs.k8s.io/yaml"
)

// Schema is the schema of KSMScales with its rules. Create it with NewSchema.
type Schema struct {
	// Structural has the types and the defaults.
	Structural *structuralschema.Structural
	validator  validation.SchemaValidator
	rules      *cel.Validator
}

// NewSchema compiles the schema of the CustomResourceDefinition, which takes about a second.
func NewSchema() (*Schema, error) {
	var definition apiextensionsv1.CustomResourceDefinition
	if err := yaml.Unmarshal(KSMScale, &definition); err != nil {
		return nil, fmt.Errorf("parse the CustomResourceDefinition: %w", err)
	}
	var internal apiextensions.JSONSchemaProps
	if err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(definition.Spec.Versions[0].Schema.OpenAPIV3Schema, &internal, nil); err != nil {
		return nil, fmt.Errorf("convert the schema: %w", err)
	}
	structural, err := structuralschema.NewStructural(&internal)
	if err != nil {
		return nil, fmt.Errorf("convert the schema: %w", err)
	}
	validator, _, err := validation.NewSchemaValidator(&internal)
	if err != nil {
		return nil, fmt.Errorf("compile the schema: %w", err)
	}
	return &Schema{Structural: structural, validator: validator, rules: cel.NewValidator(structural, true, celconfig.PerCallLimit)}, nil
}

// Admit sets the defaults in an object, and returns the reasons for which the API server would refuse it. Whole numbers of the object are
// int64.
func (s *Schema) Admit(object map[string]any) field.ErrorList {
	defaulting.Default(object, s.Structural)
	refused := validation.ValidateCustomResource(nil, object, s.validator)
	refused = append(refused, listtype.ValidateListSetsAndMaps(nil, s.Structural, object)...)
	if len(refused) > 0 {
		return refused
	}
	refused, _ = s.rules.Validate(context.Background(), nil, s.Structural, object, nil, celconfig.RuntimeCELCostBudget)
	return refused
}
