package e2e

import (
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
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
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
	var monitors []string
	for _, monitorVersion := range []string{"v2.18.0", "v2.20.0"} {
		monitors = append(monitors, startPlainMonitor(t, monitorVersion, resources))
	}
	nodes, err := shared.clientset.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	families := sets.New[string]()
	read := func() {
		for _, address := range monitors {
			families = families.Union(plainFamilies(t, address, nodes.Items[0].Name))
		}
	}
	file := filepath.Join(shared.root, plainFamiliesFile)
	if *updateFamilies {
		await(t, "families to be the same twice in a row", func(context.Context) error {
			before := families
			read()
			if len(families) == 0 || !before.Equal(families) {
				return fmt.Errorf("there are %d, and there may be more to come", len(families))
			}
			return nil
		})
		require.NoError(t, os.WriteFile(file, []byte(plainFamiliesText(families)), 0o644))
		return
	}
	written, err := os.ReadFile(file)
	require.NoError(t, err)
	// Families appear one after the other, and one that is not in the file stays.
	matches := 0
	await(t, "the families of the file, which make plain-families writes", func(context.Context) error {
		read()
		if text := plainFamiliesText(families); text != string(written) {
			return errors.New(cmp.Diff(string(written), text))
		}
		if matches++; matches < 3 {
			return errors.New("there may be more to come")
		}
		return nil
	})
}

func plainFamiliesText(families sets.Set[string]) string {
	return "# Families that plain objects have, read off real processes: make plain-families\n" + strings.Join(sets.List(families), "\n") + "\n"
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

// startPlainMonitor starts a kube-state-metrics of the plain objects until the end of the test, and returns its address.
func startPlainMonitor(t *testing.T, monitorVersion string, resources []string) string {
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
	t.Cleanup(monitor.Kill)
	return fmt.Sprintf("http://127.0.0.1:%d/metrics", ports[0])
}

// plainFamilies are the families that a kube-state-metrics has of the plain objects and of a node, up to now.
func plainFamilies(t *testing.T, address, node string) sets.Set[string] {
	t.Helper()
	_, body := request(t, address, "")
	families := sets.New[string]()
	for line := range strings.Lines(string(body)) {
		name, labels, _ := strings.Cut(line, "{")
		if !strings.HasPrefix(name, "kube_namespace_") {
			labels = strings.ReplaceAll(labels, fmt.Sprintf("namespace=%q", plainName), "")
		}
		if strings.Contains(labels, fmt.Sprintf("=%q", plainName)) || strings.HasPrefix(name, "kube_node_") && strings.Contains(labels, fmt.Sprintf("node=%q", node)) {
			families.Insert(name)
		}
	}
	return families
}
