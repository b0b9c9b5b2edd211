package chart

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/Masterminds/semver/v3"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/yannh/kubeconform/pkg/validator"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"sigs.k8s.io/yaml"

	"github.com/example/ksmscale/test/versions"
)

// kubernetesModules are the releases whose API gives the schemas, by minor version.
var kubernetesModules = map[string]string{
	"1.30": "v1.30.14", "1.31": "v1.31.14", "1.32": "v1.32.11", "1.33": "v1.33.7", "1.34": "v1.34.3", "1.35": "v1.35.0", "1.36": "v1.36.0", "1.37": "v1.37.2",
}

// everyVersion validates against each supported version instead of the oldest and the newest, which downloads a module for each.
var everyVersion = os.Getenv("COMPATIBILITY_FULL") != ""

// notOfKubernetes are kinds of others, which TestSize and the tests of values decode strictly into their types.
var notOfKubernetes = map[string]struct{}{
	"ServiceMonitor": {}, "PrometheusRule": {}, "Certificate": {}, "Issuer": {},
}

// The objects of the chart and of the manifest are valid for each allowed version of Kubernetes, without unknown fields.
func TestManifestsAreValidForEachKubernetes(t *testing.T) {
	minors := versions.Of(t, "../..", "Kubernetes")
	loaded, err := loader.Load(filepath.Join(root, "deploy", "chart"))
	require.NoError(t, err)
	allowed, err := semver.NewConstraint(loaded.Metadata.KubeVersion)
	require.NoError(t, err)
	for minor := range kubernetesModules {
		assert.Contains(t, minors, minor)
	}
	oldest, newest := minors[len(minors)-1], minors[0]
	assert.False(t, allowed.Check(semver.MustParse(before(t, oldest))), "the chart allows a version that is older than all that are supported")
	for _, minor := range minors {
		assert.True(t, allowed.Check(semver.MustParse(minor+".0")), minor)
		if everyVersion || minor == oldest || minor == newest {
			t.Run(minor, func(t *testing.T) { validate(t, minor) })
		}
	}
}

// before is the minor version before another.
func before(t *testing.T, minor string) string {
	t.Helper()
	parsed := semver.MustParse(minor)
	return fmt.Sprintf("%d.%d.0", parsed.Major(), parsed.Minor()-1)
}

func validate(t *testing.T, minor string) {
	schemas := writeSchemas(t, kubernetesModules[minor])
	validating, err := validator.New([]string{schemas + "/{{.ResourceKind}}{{.KindSuffix}}.json"}, validator.Opts{Strict: true, SkipKinds: notOfKubernetes})
	require.NoError(t, err)
	manifest, err := os.ReadFile(filepath.Join(root, "deploy", "install.yaml"))
	require.NoError(t, err)
	streams := map[string]string{"install.yaml": string(manifest)}
	for _, text := range []string{"", everything, "{adapter: {hostNetwork: true}, networkPolicy: {enabled: true, egress: [{ports: [{port: 6443}]}]}}"} {
		for name, rendered := range render(t, text) {
			document, err := yaml.Marshal(rendered.Object)
			require.NoError(t, err)
			streams[name+" with "+text] = string(document)
		}
		for name, hook := range hooks(t, text) {
			document, err := yaml.Marshal(hook.Object)
			require.NoError(t, err)
			streams[name+" with "+text] = string(document)
		}
	}
	valid := 0
	for name, stream := range streams {
		for _, result := range validating.Validate(name, io.NopCloser(strings.NewReader(stream))) {
			switch result.Status {
			case validator.Valid:
				valid++
			case validator.Skipped, validator.Empty:
			default:
				assert.Fail(t, "not valid", "%s: %v", name, result.Err)
			}
		}
	}
	assert.Greater(t, valid, 60)

	wrong := "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nspec: {selector: {}, template: {}, replica: 1}\n"
	assert.Equal(t, validator.Invalid, validating.Validate("wrong", io.NopCloser(strings.NewReader(wrong)))[0].Status, "a field that there is not")
}

// writeSchemas writes a JSON schema for each kind from the OpenAPI document of a module of Kubernetes.
func writeSchemas(t *testing.T, version string) string {
	t.Helper()
	output, err := exec.CommandContext(t.Context(), "go", "mod", "download", "-json", "k8s.io/kubernetes@"+version).Output()
	require.NoError(t, err)
	var module struct{ Dir string }
	require.NoError(t, json.Unmarshal(output, &module))
	text, err := os.ReadFile(filepath.Join(module.Dir, "api", "openapi-spec", "swagger.json"))
	require.NoError(t, err)
	var document struct{ Definitions map[string]map[string]any }
	require.NoError(t, json.Unmarshal(text, &document))

	folder := t.TempDir()
	write := func(name string, schema any) {
		text, err := json.Marshal(schema)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(folder, name), text, 0o600))
	}
	for name, definition := range document.Definitions {
		refuseUnknown(definition)
		kinds, _ := definition["x-kubernetes-group-version-kind"].([]any)
		if len(kinds) != 1 {
			continue // Kinds such as DeleteOptions, which are in every group.
		}
		kind, _ := kinds[0].(map[string]any)
		parts := []string{kind["kind"].(string)}
		if group := kind["group"].(string); group != "" {
			parts = append(parts, strings.Split(group, ".")[0])
		}
		file := strings.ToLower(strings.Join(append(parts, kind["version"].(string)), "-")) + ".json"
		write(file, map[string]any{"$ref": "definitions.json#/definitions/" + name})
	}
	// Two types that are written as a number or a text.
	for _, name := range []string{"io.k8s.apimachinery.pkg.api.resource.Quantity", "io.k8s.apimachinery.pkg.util.intstr.IntOrString"} {
		require.Contains(t, document.Definitions, name)
		document.Definitions[name] = map[string]any{"type": []string{"string", "number"}}
	}
	write("definitions.json", map[string]any{"definitions": document.Definitions})
	return folder
}

// refuseUnknown closes an object that has named fields.
func refuseUnknown(definition map[string]any) {
	if _, has := definition["properties"]; has && definition["additionalProperties"] == nil {
		definition["additionalProperties"] = false
	}
}
