package image

import (
	"archive/tar"
	"bytes"
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Image is a container image with one layer.
type Image struct {
	// Reference is what pods call it, with a tag.
	Reference string
	// User is the number that its processes run under.
	User string
	// Entrypoint is what runs if a pod names no command.
	Entrypoint string
	// Files are the files of this machine to put into it, by their paths in the image. They become executable.
	Files map[string]string
}

// Write writes the image to a tar file in the format of `docker save`.
func (i Image) Write(file string) error {
	reference, err := name.NewTag(i.Reference)
	if err != nil {
		return fmt.Errorf("name image: %w", err)
	}
	content, err := i.layer()
	if err != nil {
		return err
	}
	// To compress takes longer than to copy within a machine.
	made, err := mutate.AppendLayers(empty.Image, static.NewLayer(content, types.DockerUncompressedLayer))
	if err != nil {
		return fmt.Errorf("make image %s: %w", i.Reference, err)
	}
	if made, err = i.configure(made); err != nil {
		return fmt.Errorf("configure image %s: %w", i.Reference, err)
	}
	if err := tarball.WriteToFile(file, reference, made); err != nil {
		return fmt.Errorf("write image %s to %s: %w", i.Reference, file, err)
	}
	return nil
}

func (i Image) configure(image v1.Image) (v1.Image, error) {
	config, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", runtime.GOARCH
	config.Config = v1.Config{User: i.User, Entrypoint: []string{i.Entrypoint}, WorkingDir: "/"}
	return mutate.ConfigFile(image, config)
}

// layer returns a tar of the files. It has no times, so that the same files make the same image.
func (i Image) layer() ([]byte, error) {
	var content bytes.Buffer
	writer := tar.NewWriter(&content)
	for _, file := range slices.Sorted(maps.Keys(i.Files)) {
		data, err := os.ReadFile(i.Files[file])
		if err != nil {
			return nil, fmt.Errorf("read what goes into image %s: %w", i.Reference, err)
		}
		header := &tar.Header{Name: strings.TrimPrefix(file, "/"), Mode: 0o755, Size: int64(len(data)), Typeflag: tar.TypeReg}
		if err := writer.WriteHeader(header); err != nil {
			return nil, fmt.Errorf("put %s into image %s: %w", file, i.Reference, err)
		}
		if _, err := writer.Write(data); err != nil {
			return nil, fmt.Errorf("put %s into image %s: %w", file, i.Reference, err)
		}
	}
	if err := writer.Close(); err != nil {
		return nil, fmt.Errorf("put files into image %s: %w", i.Reference, err)
	}
	return content.Bytes(), nil
}
