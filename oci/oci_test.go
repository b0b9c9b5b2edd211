package oci

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const reference = "example.com/some/image:v1"

func program(t *testing.T, content string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "program")
	require.NoError(t, os.WriteFile(file, []byte(content), 0o600))
	return file
}

func sample(t *testing.T, content string) Image {
	t.Helper()
	return Image{
		Reference: reference, User: "65532", Entrypoint: "/first", Compression: 9,
		Created: time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC), Annotations: map[string]string{"org.opencontainers.image.version": "v1"},
		Platforms: map[string]Files{
			"linux/amd64": {"/first": program(t, content), "/second": program(t, content)},
			"linux/arm64": {"/first": program(t, content+" for arm64")},
		},
	}
}

func TestWrite(t *testing.T) {
	layout, err := sample(t, "content").Write(t.TempDir())
	require.NoError(t, err)
	require.NoError(t, validate.Index(layout.Index))
	assert.Equal(t, reference, layout.Reference.String())
	assert.Equal(t, "example.com/some/image@"+layout.Digest.String(), layout.ByDigest())
	manifest, err := layout.Index.IndexManifest()
	require.NoError(t, err)
	assert.Equal(t, types.OCIImageIndex, manifest.MediaType)
	assert.Equal(t, "v1", manifest.Annotations["org.opencontainers.image.version"])
	require.Len(t, manifest.Manifests, 2)
	assert.Equal(t, "linux/amd64 linux/arm64", manifest.Manifests[0].Platform.String()+" "+manifest.Manifests[1].Platform.String())

	image, err := layout.Index.Image(manifest.Manifests[0].Digest)
	require.NoError(t, err)
	config, err := image.ConfigFile()
	require.NoError(t, err)
	assert.Equal(t, "linux amd64", config.OS+" "+config.Architecture)
	assert.Equal(t, v1.Config{
		User: "65532", Entrypoint: []string{"/first"}, WorkingDir: "/", Labels: map[string]string{"org.opencontainers.image.version": "v1"},
	}, config.Config)
	assert.Equal(t, "2026-05-04T03:02:01Z", config.Created.UTC().Format(time.RFC3339))

	layers, err := image.Layers()
	require.NoError(t, err)
	require.Len(t, layers, 1)
	layer, err := layers[0].Uncompressed()
	require.NoError(t, err)
	tarball, err := io.ReadAll(layer)
	require.NoError(t, err)
	assert.Equal(t, make([]byte, 1024), tarball[len(tarball)-1024:], "the end of an archive")

	extracted := mutate.Extract(image)
	defer extracted.Close()
	assert.Equal(t, map[string]string{"first": "content", "second": "content"}, files(t, extracted))
}

// files reads a tar whose files are executable.
func files(t *testing.T, tarball io.Reader) map[string]string {
	t.Helper()
	content := map[string]string{}
	for reader := tar.NewReader(tarball); ; {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return content
		}
		require.NoError(t, err)
		assert.EqualValues(t, 0o755, header.Mode)
		data, err := io.ReadAll(reader)
		require.NoError(t, err)
		content[header.Name] = string(data)
	}
}

func TestTheSameProgramsGiveTheSameDigest(t *testing.T) {
	digest := func(image Image) v1.Hash {
		layout, err := image.Write(t.TempDir())
		require.NoError(t, err)
		return layout.Digest
	}
	first := digest(sample(t, "content"))
	assert.Equal(t, first, digest(sample(t, "content")))
	assert.NotEqual(t, first, digest(sample(t, "contents")))
	later := sample(t, "content")
	later.Created = later.Created.Add(time.Second)
	assert.NotEqual(t, first, digest(later))
}

// The index of an archive has what containerd reads.
func TestArchive(t *testing.T) {
	layout, err := sample(t, "content").Write(t.TempDir())
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "image.tar")
	require.NoError(t, layout.Archive(file, reference, layout.ByDigest()))
	left, err := os.ReadDir(filepath.Dir(file))
	require.NoError(t, err)
	assert.Len(t, left, 1)

	tarball, err := os.Open(file)
	require.NoError(t, err)
	defer tarball.Close()
	var index v1.IndexManifest
	for reader := tar.NewReader(tarball); ; {
		header, err := reader.Next()
		require.NoError(t, err, "it has no index")
		if header.Name == "index.json" {
			require.NoError(t, json.NewDecoder(reader).Decode(&index))
			break
		}
	}
	var names []string
	for _, descriptor := range index.Manifests {
		assert.Equal(t, layout.Digest, descriptor.Digest)
		names = append(names, descriptor.Annotations["io.containerd.image.name"])
	}
	assert.Equal(t, []string{reference, layout.ByDigest()}, names)
	assert.Equal(t, "v1", index.Manifests[0].Annotations["org.opencontainers.image.ref.name"])
}

func TestErrorsNameTheImage(t *testing.T) {
	image := sample(t, "content")
	image.Platforms["linux/arm64"] = Files{"/first": "/nonexistent"}
	_, err := image.Write(t.TempDir())
	require.ErrorContains(t, err, "build image example.com/some/image:v1: for linux/arm64: open /nonexistent")
	image.Platforms = map[string]Files{"linux/amd64/v1/v2": {}}
	_, err = image.Write(t.TempDir())
	require.ErrorContains(t, err, "linux/amd64/v1/v2")

	image = sample(t, "content")
	image.Reference = "UPPER"
	_, err = image.Write(t.TempDir())
	require.ErrorContains(t, err, "name image")
}

func TestOpenRefusesOtherLayouts(t *testing.T) {
	_, err := Open(t.TempDir())
	require.ErrorContains(t, err, "open image layout")
	directory := t.TempDir()
	layout, err := sample(t, "content").Write(directory)
	require.NoError(t, err)
	require.NoError(t, write(directory, layout.Index, reference, layout.ByDigest()))
	_, err = Open(directory)
	require.ErrorContains(t, err, "has 2 images")
}
