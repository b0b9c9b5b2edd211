package integration

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"errors"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/test/docs/transcripts"
)

// The kubectl plugin on a real API server prints what its page documents.
func TestPlugin(t *testing.T) {
	setNodes(t, 45)
	ksmScale := create(t, newKSMScale(func(k *v1alpha1.KSMScale) { k.Name, k.Spec.Namespace = "main", "monitoring" }))
	awaitReplicas(t, ksmScale, 1, 1, 1)
	awaitCondition(t, ksmScale, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonAsPlanned)
	awaitCondition(t, ksmScale, v1alpha1.ConditionEvictable, metav1.ConditionTrue, v1alpha1.ReasonSinglePodDisruptionBudget)
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		require.NoError(c, get(t, ksmScale))
		require.NotNil(c, ksmScale.Status.Recommendation)
	}, eventually, poll)
	for arguments, expectedCode := range map[string]int{
		"status main --wait": 0, "plan main": 0, "plan main --shard-count 5": 1,
	} {
		code, stdout := transcripts.Run(t, arguments, "--kubeconfig", shared.cluster.Kubeconfig())
		assert.Equal(t, expectedCode, code, arguments)
		transcripts.Compare(t, arguments, stdout)
	}
	code, stdout := transcripts.Run(t, "plan main --nodes 45,90", "--kubeconfig", shared.cluster.Kubeconfig())
	assert.Zero(t, code)
	assert.Contains(t, stdout, "2/2/2")
	t.Run("report", func(t *testing.T) { reportHasNoSecret(t) })

	// What plan announces is what then happens.
	update(t, ksmScale, func(k *v1alpha1.KSMScale) { k.Spec.NodesPerMonitor = 9 })
	awaitReplicas(t, ksmScale, 2, 2, 1)
	code, stdout = transcripts.Run(t, "status main --wait --timeout=5m", "--kubeconfig", shared.cluster.Kubeconfig())
	assert.Zero(t, code, stdout)
	assert.Contains(t, stdout, "shard 0: 2/2 ready, 2 desired")
}

// reportHasNoSecret looks for each value of each Secret of the cluster in a report, and for a new one that has all labels of the shards.
func reportHasNoSecret(t *testing.T) {
	t.Helper()
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: "monitoring", GenerateName: "plugin-", Labels: map[string]string{v1alpha1.LabelKSMScale: "main", "app.kubernetes.io/name": "ksmscale"}},
		StringData: map[string]string{"password": "correct horse battery staple"},
	}
	require.NoError(t, shared.client.Create(t.Context(), secret))
	t.Cleanup(func() { remove(t, secret) })
	file := filepath.Join(t.TempDir(), "report.tar.gz")
	code, stdout := transcripts.Run(t, "report main --file "+file, "--kubeconfig", shared.cluster.Kubeconfig())
	require.Zero(t, code)
	t.Log(stdout)
	assert.Contains(t, stdout, "Look through it before you publish it.")
	_, archive := transcripts.Run(t, "report main --file -", "--kubeconfig", shared.cluster.Kubeconfig())
	content := contentOf(t, archive)
	for _, expected := range []string{"kind: KSMScale", "ksm-main-shard-2-of-3", "KSMScale main: Ready", "kind: PodDisruptionBudget"} {
		assert.Contains(t, content, expected)
	}
	var secrets corev1.SecretList
	require.NoError(t, shared.client.List(t.Context(), &secrets))
	values := 0
	for _, one := range secrets.Items {
		for key, value := range one.Data {
			const shortest = 8
			if len(value) < shortest || key == "ca.crt" || key == "namespace" || strings.HasSuffix(key, ".crt") {
				continue // Certificates are public.
			}
			values++
			assert.NotContains(t, content, string(value), "%s of Secret %s", key, one.Name)
			assert.NotContains(t, content, base64.StdEncoding.EncodeToString(value), "%s of Secret %s", key, one.Name)
		}
	}
	assert.Positive(t, values)
}

// contentOf is the content of all files of an archive.
func contentOf(t *testing.T, archive string) string {
	t.Helper()
	decompressed, err := gzip.NewReader(strings.NewReader(archive))
	require.NoError(t, err)
	var content bytes.Buffer
	for reader := tar.NewReader(decompressed); ; {
		_, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return content.String()
		}
		require.NoError(t, err)
		_, err = io.Copy(&content, reader)
		require.NoError(t, err)
	}
}
