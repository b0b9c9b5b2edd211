package e2e

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/yaml"

	"github.com/example/ksmscale/test/cluster"
)

var updateFamilies = flag.Bool("update-families", false, "Write gate/exposition/plain.txt instead of comparing with it.")

const (
	plainName         = "plain"
	plainFamiliesFile = "gate/exposition/plain.txt"
)

// The gate waits for a resource if the lists of metrics keep a family that every plain object has. This test reads these
// families from a real kube-state-metrics: the families of one plain object of each resource, of a running pod, and of the
// cluster's nodes.
func TestFamiliesOfPlainObjects(t *testing.T) {
	needsLocal(t)
	resources := append(createPlainObjects(t), "nodes")
	await(t, "the plain pod to run", func(ctx context.Context) error {
		pod, err := shared.clientset.CoreV1().Pods(plainName).Get(ctx, plainName, metav1.GetOptions{})
		if err == nil && readiness(*pod).Status != corev1.ConditionTrue {
			err = fmt.Errorf("it is %s", pod.Status.Phase)
		}
		return err
	})
	families := sets.New[string]()
	for _, monitorVersion := range []string{"v2.18.0", "v2.20.0"} {
		families = families.Union(plainFamilies(t, monitorVersion, resources))
	}
	text := "# Families that plain objects have, read off real processes: make plain-families\n" + strings.Join(sets.List(families), "\n") + "\n"
	file := filepath.Join(shared.root, plainFamiliesFile)
	if *updateFamilies {
		require.NoError(t, os.WriteFile(file, []byte(text), 0o644))
		return
	}
	written, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, string(written), text, "run make plain-families")
}

// createPlainObjects returns the resources that they are of.
func createPlainObjects(t *testing.T) []string {
	t.Helper()
	file, err := os.Open("testdata/plain.yaml")
	require.NoError(t, err)
	defer file.Close()
	var resources []string
	documents := yaml.NewYAMLOrJSONDecoder(file, 4096)
	for {
		object := &unstructured.Unstructured{}
		err := documents.Decode(object)
		if errors.Is(err, io.EOF) {
			return resources
		}
		require.NoError(t, err)
		if object.GetKind() == "CertificateSigningRequest" {
			require.NoError(t, unstructured.SetNestedField(object.Object, certificateRequest(t), "spec", "request"))
		}
		create(t, object)
		mapping, err := shared.client.RESTMapper().RESTMapping(object.GroupVersionKind().GroupKind(), object.GroupVersionKind().Version)
		require.NoError(t, err)
		resources = append(resources, mapping.Resource.Resource)
	}
}

// certificateRequest is a request as the API takes it.
func certificateRequest(t *testing.T) string {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: plainName}}, key)
	require.NoError(t, err)
	return base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
}

// plainFamilies are the families that a version has of the plain objects and of the cluster's nodes. They must be the same
// twice in a row.
func plainFamilies(t *testing.T, monitorVersion string, resources []string) sets.Set[string] {
	t.Helper()
	if monitorVersion == "v2.18.0" {
		resources = slices.DeleteFunc(slices.Clone(resources), func(name string) bool { return strings.Contains(name, "admissionpolic") })
	}
	ports, err := cluster.FreePorts(t.Context(), 2)
	require.NoError(t, err)
	monitor, err := cluster.StartProcess("kube-state-metrics", filepath.Join(t.TempDir(), monitorVersion+".log"), exec.Command(
		filepath.Join(shared.root, "bin", "kube-state-metrics-"+monitorVersion), "--kubeconfig="+shared.kubeconfig,
		"--host=127.0.0.1", fmt.Sprintf("--port=%d", ports[0]), "--telemetry-host=127.0.0.1", fmt.Sprintf("--telemetry-port=%d", ports[1]),
		"--resources="+strings.Join(resources, ","), "--metric-opt-in-list=kube_.*",
		"--metric-labels-allowlist=*=[*]", "--metric-annotations-allowlist=*=[*]",
	))
	require.NoError(t, err)
	defer monitor.Kill()
	nodes, err := shared.clientset.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	node := fmt.Sprintf("node=%q", nodes.Items[0].Name)
	families := map[string]bool{}
	await(t, "families of plain objects of "+monitorVersion, func(context.Context) error {
		before := maps.Clone(families)
		_, body := request(t, fmt.Sprintf("http://127.0.0.1:%d/metrics", ports[0]), "")
		lines := bufio.NewScanner(strings.NewReader(string(body)))
		lines.Buffer(nil, len(body)+1)
		for lines.Scan() {
			name, labels, _ := strings.Cut(lines.Text(), "{")
			if !strings.HasPrefix(name, "kube_namespace_") {
				labels = strings.ReplaceAll(labels, fmt.Sprintf("namespace=%q", plainName), "")
			}
			if strings.Contains(labels, fmt.Sprintf("=%q", plainName)) || strings.HasPrefix(name, "kube_node_") && strings.Contains(labels, node) {
				families[name] = true
			}
		}
		if len(families) == 0 || !maps.Equal(before, families) {
			return fmt.Errorf("there are %d, and there may be more to come", len(families))
		}
		return lines.Err()
	})
	return sets.New(slices.Collect(maps.Keys(families))...)
}
