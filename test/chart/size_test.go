package chart

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"helm.sh/helm/v4/pkg/storage/driver"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
	"sigs.k8s.io/yaml"
)

// everything are values with which the chart creates all of its objects.
const everything = `
monitors: {enabled: true, prometheus: {serviceAccount: p, namespace: monitoring}}
networkPolicy: {enabled: true}
rules: {enabled: true, deduplicate: true, recommendations: true}
dashboard: {enabled: true}
certificate: {source: cert-manager}
adapter: {delegate: {address: keda/metrics:443, ca: {secretName: keda}}}
`

// The installation fits into the objects that store it, with room for twice its size.
func TestSize(t *testing.T) {
	release, err := install(t, everything)
	require.NoError(t, err)

	// Helm stores the release, with the chart and all rendered objects, in one Secret.
	secrets := fake.NewClientset().CoreV1().Secrets("ksmscale-system")
	require.NoError(t, driver.NewSecrets(secrets).Create("release", release))
	kept, err := secrets.Get(t.Context(), "release", metav1.GetOptions{})
	require.NoError(t, err)
	size := len(kept.Data["release"])
	t.Logf("the release takes %d bytes", size)
	assert.Less(t, size, corev1.MaxSecretSize/2)

	for name, manifest := range render(t, everything) {
		text, err := yaml.Marshal(manifest.Object)
		require.NoError(t, err)
		assert.Less(t, len(text), maxObjectSize/2, name)
	}
}

// maxObjectSize is what etcd takes by default.
const maxObjectSize = 3 << 19
