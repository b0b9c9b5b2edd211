package integration

import (
	"encoding/json"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/example/ksmscale/config/crd"
	"github.com/example/ksmscale/test/specs"
)

// specSeedVariable has the seed of other specs than the usual ones.
const specSeedVariable = "SPEC_SEED"

// ofKubernetes are the fields of a Deployment whose types are of Kubernetes, with the field that sets them. The CustomResourceDefinition
// has only the schema of these types, and the API server checks more. The condition Progressing has its message.
var ofKubernetes = map[string]string{
	"spec.template.spec.volumes":                       "spec.template.volumes",
	"spec.template.spec.containers[*].volumeMounts":    "spec.template.volumeMounts",
	"spec.template.spec.containers[*].env[*]":          "spec.template.env",
	"spec.template.spec.containers[*].resources":       "spec.resources and spec.template.gate.resources",
	"spec.template.spec.containers[*].securityContext": "spec.template.containerSecurityContext",
	"spec.template.spec.securityContext":               "spec.template.securityContext",
	"spec.template.spec.affinity":                      "spec.template.affinity",
	"spec.template.spec.dnsConfig":                     "spec.template.dnsConfig",
	"spec.template.spec.imagePullSecrets":              "spec.template.imagePullSecrets",
}

// The API server accepts the objects of any spec that it accepts, and refuses at most what is in fields of its own types.
func TestObjectsOfRandomSpecsAreAccepted(t *testing.T) {
	definition, err := crd.NewSchema()
	require.NoError(t, err)
	installMonitors(t)
	for kind, version := range monitorVersions {
		require.EventuallyWithT(t, func(c *assert.CollectT) {
			_, err := shared.client.RESTMapper().RESTMapping(schema.GroupKind{Group: "monitoring.coreos.com", Kind: kind}, version)
			require.NoError(c, err)
		}, eventually, poll)
	}
	createNamespace(t, "random-specs")
	seed := uint64(1)
	if text := os.Getenv(specSeedVariable); text != "" {
		seed, err = strconv.ParseUint(text, 10, 64)
		require.NoError(t, err)
	}
	t.Logf("%s=%d", specSeedVariable, seed)
	random := rand.New(rand.NewPCG(seed, 0))
	refused := map[string]int{}
	for range 100 {
		data := make([]byte, 1500)
		for i := range data {
			data[i] = byte(random.Uint32())
		}
		ksmScale, err := specs.Draw(definition, data, "random-specs")
		require.NoError(t, err)
		spec, err := json.Marshal(ksmScale.Spec)
		require.NoError(t, err)
		created := ksmScale.DeepCopy()
		created.UID, created.Status.Phase = "", ""
		require.NoError(t, shared.client.Create(t.Context(), created, client.DryRunAll), "%s", spec)
		seen := map[string]bool{}
		for _, object := range specs.Objects(ksmScale) {
			text, err := json.Marshal(object)
			require.NoError(t, err)
			var head unstructured.Unstructured
			require.NoError(t, head.UnmarshalJSON(text))
			if seen[head.GetKind()] && head.GetKind() == "Deployment" {
				continue // the shards differ in their numbers only
			}
			seen[head.GetKind()] = true
			err = shared.client.Patch(t.Context(), &head, client.RawPatch(types.ApplyPatchType, text), client.DryRunAll, client.ForceOwnership, client.FieldOwner("ksmscale"))
			if err == nil {
				continue
			}
			status := apierrors.APIStatus(nil)
			require.ErrorAs(t, err, &status, "%s", spec)
			require.True(t, apierrors.IsInvalid(err), "%s: %v", spec, err)
			for _, cause := range status.Status().Details.Causes {
				field := fieldOfKubernetes(cause)
				assert.NotEmpty(t, field, "%s %s: %s: %s\n%s", head.GetKind(), head.GetName(), cause.Field, cause.Message, spec)
				refused[field]++
			}
		}
	}
	t.Log("refused in fields of Kubernetes:", refused)
}

// fieldOfKubernetes returns the entry of ofKubernetes to which a refusal belongs.
func fieldOfKubernetes(cause metav1.StatusCause) string {
	for field := range ofKubernetes {
		before, after, _ := strings.Cut(field, "[*]")
		rest, isBelow := strings.CutPrefix(cause.Field, before)
		if _, tail, indexed := strings.Cut(rest, "]"); isBelow && (after == "" || indexed && strings.HasPrefix(tail, strings.TrimSuffix(after, "[*]"))) {
			return field
		}
	}
	return ""
}
