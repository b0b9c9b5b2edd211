package image

import (
	"archive/tar"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestWrite(t *testing.T) {
	binary, file := filepath.Join(t.TempDir(), "binary"), filepath.Join(t.TempDir(), "image.tar")
	require.NoError(t, os.WriteFile(binary, []byte("content"), 0o600))
	made := Image{
		Reference: "example.com/some/image:v1", User: "65532", Entrypoint: "/first",
		Files: map[string]string{"/first": binary, "/second": binary},
	}
	require.NoError(t, made.Write(file))

	tag, err := name.NewTag(made.Reference)
	require.NoError(t, err)
	read, err := tarball.ImageFromPath(file, &tag)
	require.NoError(t, err)
	config, err := read.ConfigFile()
	require.NoError(t, err)
	assert.Equal(t, "linux", config.OS)
	assert.Equal(t, "65532", config.Config.User)
	assert.Equal(t, []string{"/first"}, config.Config.Entrypoint)

	extracted := mutate.Extract(read)
	defer extracted.Close()
	var names []string
	for reader := tar.NewReader(extracted); ; {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		names = append(names, header.Name)
		assert.EqualValues(t, 0o755, header.Mode)
	}
	assert.Equal(t, []string{"first", "second"}, names)
}

func TestWriteNamesWhatIsMissing(t *testing.T) {
	made := Pause(filepath.Join(t.TempDir(), "pause"))
	require.ErrorContains(t, made.Write(filepath.Join(t.TempDir(), "image.tar")), PauseReference)
}

func TestKSMScale(t *testing.T) {
	made, err := KSMScale("../../..")
	require.NoError(t, err)
	assert.Equal(t, "ghcr.io/example/ksmscale:v0.1.0", made.Reference)
	assert.Contains(t, made.Files, "/adapter")
	assert.Equal(t, "ghcr.io/example/ksmscale:next", made.Next().Reference)
	assert.Equal(t, made.Files, made.Next().Files)
}
