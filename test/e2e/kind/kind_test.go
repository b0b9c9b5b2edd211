package kind

import (
	"os"
	"path/filepath"
	"testing"

	"sigs.k8s.io/kind/pkg/cluster"
)

// kind reads its configuration before it looks for Docker, which this test does not have.
func TestKindReadsTheConfiguration(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	config, err := os.ReadFile("kind.yaml")
	if err != nil {
		t.Fatal(err)
	}
	withoutDocker := create(t, string(config))
	if other := create(t, "kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\n"); other != withoutDocker {
		t.Errorf("kind says %q, and of a configuration that is right for sure %q", withoutDocker, other)
	}
	if wrong := create(t, string(config)+"nodez: []\n"); wrong == withoutDocker {
		t.Errorf("kind does not see a field that it does not know: %s", wrong)
	}
}

// create returns the error that there always is.
func create(t *testing.T, config string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "kind.yaml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	err := cluster.NewProvider(cluster.ProviderWithDocker()).Create("none", cluster.CreateWithConfigFile(file))
	if err == nil {
		t.Fatal("a cluster without Docker")
	}
	return err.Error()
}
