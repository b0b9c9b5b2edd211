package plugin

import (
	"archive/tar"
	"cmp"
	"compress/gzip"
	"encoding/base64"
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/example/ksmscale/api/v1alpha1"
)

const (
	password = "correct horse battery staple"
	jwt      = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJrdWJlcm5ldGVzIn0.c2lnbmF0dXJl"
)

// filesOf are the files of an archive, by name.
func filesOf(t *testing.T, archive string) map[string]string {
	t.Helper()
	file, err := os.Open(archive)
	require.NoError(t, err)
	defer file.Close()
	decompressed, err := gzip.NewReader(file)
	require.NoError(t, err)
	files := map[string]string{}
	for reader := tar.NewReader(decompressed); ; {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		require.NoError(t, err)
		content, err := io.ReadAll(reader)
		require.NoError(t, err)
		files[header.Name] = string(content)
	}
}

// eventOf is an event in the namespace of its object. Objects without a namespace have their events in the namespace default.
func eventOf(object corev1.ObjectReference, message string) client.Object {
	return &corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{Namespace: cmp.Or(object.Namespace, metav1.NamespaceDefault), Name: strings.ToLower(object.Kind) + "-" + object.Name},
		InvolvedObject: object, Message: message,
	}
}

// A report has what a maintainer needs, and none of what is secret: a Secret, environment variables, annotations of others, and tokens in logs.
func TestReport(t *testing.T) {
	objects := append(threeShards(), ready(func(k *v1alpha1.KSMScale) {
		k.Annotations = map[string]string{"kubectl.kubernetes.io/last-applied-configuration": password}
		k.Spec.CommonAnnotations = map[string]v1alpha1.AnnotationValue{"vault.example.org/token": password}
		k.Spec.Template = &v1alpha1.PodTemplate{Env: []corev1.EnvVar{{Name: "PROXY", Value: password}}}
	}), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: "monitoring", Name: "tls", Labels: map[string]string{v1alpha1.LabelKSMScale: "main", "app.kubernetes.io/name": "ksmscale"}},
		Data:       map[string][]byte{"password": []byte(password)},
	}, component("controller", 1),
		eventOf(corev1.ObjectReference{Kind: "KSMScale", Name: "main"}, "Shard 2 has no ready pod"),
		eventOf(corev1.ObjectReference{Kind: "KSMScale", Name: "other"}, password),
		eventOf(corev1.ObjectReference{Kind: "Node", Name: "main"}, password),
		eventOf(corev1.ObjectReference{Kind: "Pod", Namespace: "monitoring", Name: "ksm-main-shard-0-of-3-a"}, "Readiness probe failed"),
		eventOf(corev1.ObjectReference{Kind: "Pod", Namespace: "monitoring", Name: "prometheus-0"}, password),
		eventOf(corev1.ObjectReference{Kind: "Pod", Namespace: "shop", Name: "ksm-main-shard-0-of-3-a"}, password))
	deployment := objects[0].(*appsv1.Deployment)
	deployment.Spec.Template.Annotations = map[string]string{"vault.example.org/token": password, v1alpha1.AnnotationShardAssignment: "Shard 0 of 3"}
	deployment.Spec.Template.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "PROXY", Value: password}}
	file := t.TempDir() + "/report.tar.gz"
	w := world{objects: objects, hidesSecrets: true, logs: "level=error Authorization: Bearer " + jwt + "\ntoken=" + jwt + "\nstarted\n", gateMetrics: "ksmscale_gate_open 1\n"}
	code, stdout, stderr := w.run(t, "report", "main", "--file", file)
	assert.Zero(t, code, stderr)
	assert.Contains(t, stdout, "Wrote "+file)

	files := filesOf(t, file)
	for name, content := range files {
		for _, secret := range []string{password, base64.StdEncoding.EncodeToString([]byte(password)), jwt} {
			assert.NotContains(t, content, secret, name)
		}
	}
	for name, expected := range map[string]string{
		"ksmscale.yaml": "shardCount: 3", "deployments.yaml": "Shard 0 of 3", "pods.yaml": "ksm-main-shard-2-of-3-a", "status.txt": "KSMScale main: Ready",
		"check.txt": "OK      Kubernetes", "version.txt": "Kubernetes v1.37.2", "events.yaml": "Readiness probe failed",
		"shards/ksm-main-shard-0-of-3-a/gate.log": "started", "shards/ksm-main-shard-0-of-3-a/gate.prom": "ksmscale_gate_open 1",
	} {
		assert.Contains(t, files["ksmscale-main/"+name], expected, name)
	}
	assert.Contains(t, files["ksmscale-main/ksmscale-events.yaml"], "Shard 2 has no ready pod")
	assert.Contains(t, files["ksmscale-main/ksmscale.yaml"], "value: REDACTED")
	assert.Contains(t, files["ksmscale-main/shards/ksm-main-shard-0-of-3-a/gate.log"], "token=REDACTED")
}

// Shards in the namespace default have their events next to the events of the KSMScale, and the report has each event once.
func TestReportOfShardsInDefault(t *testing.T) {
	file := t.TempDir() + "/report.tar.gz"
	w := world{objects: []client.Object{
		ready(func(k *v1alpha1.KSMScale) { k.Spec.Namespace = metav1.NamespaceDefault }),
		eventOf(corev1.ObjectReference{Kind: "KSMScale", Name: "main"}, "Shard 2 has no ready pod"),
		eventOf(corev1.ObjectReference{Kind: "Pod", Namespace: metav1.NamespaceDefault, Name: "ksm-main-shard-0-of-3-a"}, "Readiness probe failed"),
	}}
	code, _, stderr := w.run(t, "report", "main", "--file", file)
	assert.Zero(t, code, stderr)
	files := filesOf(t, file)
	events := files["ksmscale-main/events.yaml"] + files["ksmscale-main/ksmscale-events.yaml"]
	assert.Equal(t, 1, strings.Count(events, "Shard 2 has no ready pod"))
	assert.Equal(t, 1, strings.Count(events, "Readiness probe failed"))
}

// What cannot be read is named, and the rest is written.
func TestReportWithoutRights(t *testing.T) {
	lists := 0
	w := world{objects: append(threeShards(), ready()), refused: func(list client.ObjectList) error {
		if _, isEvents := list.(*corev1.EventList); isEvents {
			if lists++; lists == 1 {
				return errors.New("you may not list events")
			}
		}
		return nil
	}}
	code, stdout, _ := w.run(t, "report", "main", "--file", t.TempDir()+"/report.tar.gz")
	assert.Zero(t, code)
	assert.Contains(t, stdout, "  without events.yaml: you may not list events\n")
	assert.NotContains(t, stdout, "without ksmscale-events.yaml")
}
