package crd_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel/model"
	content "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/version"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"k8s.io/apiserver/pkg/cel/environment"
	"pgregory.net/rapid"

	"github.com/example/ksmscale/config/crd"
	"github.com/example/ksmscale/test/versions"
)

// An API server refuses rules with functions that its own previous version did not have, because it may have to go back
// to that version.
func TestTheOldestKubernetesCompilesTheRules(t *testing.T) {
	supported := versions.Of(t, "../..", "Kubernetes")
	oldest := version.MustParseGeneric(supported[len(supported)-1])
	functions := environment.MustBaseEnvSet(oldest.SubtractMinor(1))
	schema, err := crd.NewSchema()
	require.NoError(t, err)
	rules := 0
	compile(t, schema.Structural, "KSMScale", functions, &rules)
	assert.NotZero(t, rules)
}

// compile compiles the rules of a schema and of all below it, and counts them.
func compile(t *testing.T, schema *structuralschema.Structural, path string, functions *environment.EnvSet, rules *int) {
	t.Helper()
	results, err := cel.Compile(schema, model.SchemaDeclType(schema, path == "KSMScale"), celconfig.PerCallLimit, functions, cel.NewExpressionsEnvLoader())
	require.NoError(t, err, path)
	for i, result := range results {
		assert.Nil(t, result.Error, "%s: %s", path, schema.XValidations[i].Rule)
		*rules++
	}
	for name, property := range schema.Properties {
		compile(t, &property, path+"."+name, functions, rules)
	}
	if schema.Items != nil {
		compile(t, schema.Items, path+"[]", functions, rules)
	}
	if schema.AdditionalProperties != nil && schema.AdditionalProperties.Structural != nil {
		compile(t, schema.AdditionalProperties.Structural, path+"{}", functions, rules)
	}
}

// The rules accept the same names as the API server does in labels, taints and references.
func TestNamesAreThoseOfKubernetes(t *testing.T) {
	schema, err := crd.NewSchema()
	require.NoError(t, err)
	accepts := func(spec map[string]any) bool {
		return len(schema.Admit(map[string]any{"metadata": map[string]any{"name": "main"}, "spec": spec})) == 0
	}
	part := rapid.OneOf(rapid.StringMatching(`[-a-zA-Z0-9._/]{1,8}`), rapid.StringMatching(`[a-z]{60,64}`), rapid.StringMatching(`([a-z]{50}\.){5}[a-z]{0,3}`))
	rapid.Check(t, func(t *rapid.T) {
		name := part.Draw(t, "first") + rapid.SampledFrom([]string{"", "/", "."}).Draw(t, "between") + part.Draw(t, "second")
		assert.Equal(t, len(content.IsQualifiedName(name)) == 0, accepts(map[string]any{"nodes": map[string]any{"selector": map[string]any{"matchLabels": map[string]any{name: "a"}}}}), "as a key: %s", name)
		assert.Equal(t, len(content.IsQualifiedName(name)) == 0, accepts(map[string]any{"nodes": map[string]any{"ignoredTaints": []any{map[string]any{"key": name}}}}), "as a key of a taint: %s", name)
		assert.Equal(t, len(content.IsValidLabelValue(name)) == 0, accepts(map[string]any{"nodes": map[string]any{"selector": map[string]any{"matchLabels": map[string]any{"a": name}}}}), "as a value: %s", name)
		assert.Equal(t, len(content.IsDNS1123Subdomain(name)) == 0, accepts(map[string]any{"template": map[string]any{"priorityClassName": name}}), "as a name: %s", name)
	})
}
