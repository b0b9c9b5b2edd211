package image

import (
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/example/ksmscale/oci"
)

// The files of this package stand in for programs.
func TestAllHasTheReleaseUnderItsNames(t *testing.T) {
	root := t.TempDir()
	images := filepath.Join(root, filepath.Dir(InstallManifest), "images")
	for _, name := range []string{"ksmscale", "ksmscale-gate"} {
		image := oci.Image{Reference: "registry.test/acme/" + name + ":v9", Entrypoint: "/a", Platforms: map[string]oci.Files{
			"linux/" + runtime.GOARCH: {"/a": "doc.go"},
		}}
		_, err := image.Write(filepath.Join(images, name))
		require.NoError(t, err)
	}
	all, err := All(root)
	require.NoError(t, err)
	gate := all[1]
	assert.Regexp(t, "^registry.test/acme/ksmscale-gate@sha256:[0-9a-f]{64}$", gate.Name)
	require.NoError(t, gate.Write(filepath.Join(root, "gate.tar")))

	ours, err := Released(root)
	require.NoError(t, err)
	assert.Equal(t, gate.Name, ours.Gate.ByDigest())
	assert.Equal(t, "registry.test/acme/ksmscale:next", Next(ours.KSMScale))
}

func TestReleasedNamesWhatIsMissing(t *testing.T) {
	_, err := Released(t.TempDir())
	require.ErrorContains(t, err, filepath.Join("images", "ksmscale"))
}

func TestArchiveNamesWhatIsMissing(t *testing.T) {
	image := Pause(filepath.Join(t.TempDir(), "pause"))
	require.ErrorContains(t, image.Archive(filepath.Join(t.TempDir(), "image.tar")), PauseReference)
}
