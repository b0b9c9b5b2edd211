package oci

import (
	"archive/tar"
	"bytes"
	"cmp"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Image is a container image for one or more platforms, with one layer for each.
type Image struct {
	// Reference is the name that pods use, with a tag.
	Reference string
	// User is the number of the user that its processes run as.
	User string
	// Entrypoint is the program that runs if a pod names no command.
	Entrypoint string
	// Platforms has the files of each platform, by names such as linux/amd64.
	Platforms map[string]Files
	// Annotations describe the image.
	Annotations map[string]string
	// Created is the creation time in the image.
	Created time.Time
	// Compression is the level of gzip; 0 does not compress, which is faster within a machine.
	Compression int
}

// Files are files of this machine, by their paths in the image. They become executable.
type Files map[string]string

// Write writes the image into a new OCI image layout.
func (i Image) Write(directory string) (*Layout, error) {
	index, err := i.build()
	if err != nil {
		return nil, fmt.Errorf("build image %s: %w", i.Reference, err)
	}
	if err := write(directory, index, i.Reference); err != nil {
		return nil, err
	}
	return Open(directory)
}

// Archive writes the image to a file that containerd, Docker and kind import.
func (i Image) Archive(file string) error {
	index, err := i.build()
	if err != nil {
		return fmt.Errorf("build image %s: %w", i.Reference, err)
	}
	return archive(file, index, i.Reference)
}

func (i Image) build() (v1.ImageIndex, error) {
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, name := range slices.Sorted(maps.Keys(i.Platforms)) {
		platform, err := v1.ParsePlatform(name)
		if err != nil {
			return nil, err
		}
		image, err := i.buildFor(platform, i.Platforms[name])
		if err != nil {
			return nil, fmt.Errorf("for %s: %w", name, err)
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{Platform: platform}})
	}
	return mutate.Annotations(index, i.Annotations).(v1.ImageIndex), nil
}

func (i Image) buildFor(platform *v1.Platform, contents Files) (v1.Image, error) {
	content, err := archived(contents)
	if err != nil {
		return nil, err
	}
	open := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil }
	layer, err := tarball.LayerFromOpener(open, tarball.WithCompressionLevel(i.Compression), tarball.WithCompressedCaching, tarball.WithMediaType(types.OCILayer))
	if err != nil {
		return nil, err
	}
	base := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	image, err := mutate.Append(base, mutate.Addendum{Layer: layer, History: v1.History{Created: v1.Time{Time: i.Created}}})
	if err != nil {
		return nil, err
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture, config.Variant, config.Created = platform.OS, platform.Architecture, platform.Variant, v1.Time{Time: i.Created}
	config.Config = v1.Config{User: i.User, Entrypoint: []string{i.Entrypoint}, WorkingDir: "/", Labels: i.Annotations}
	if image, err = mutate.ConfigFile(image, config); err != nil {
		return nil, err
	}
	return mutate.Annotations(image, i.Annotations).(v1.Image), nil
}

// archived returns a tar of the files. It contains no times, so the same files give the same image.
func archived(contents Files) ([]byte, error) {
	var content bytes.Buffer
	writer := tar.NewWriter(&content)
	for _, file := range slices.Sorted(maps.Keys(contents)) {
		data, err := os.ReadFile(contents[file])
		if err != nil {
			return nil, err
		}
		header := &tar.Header{Name: strings.TrimPrefix(file, "/"), Mode: 0o755, Size: int64(len(data)), Typeflag: tar.TypeReg}
		err = writer.WriteHeader(header)
		_, errWrite := writer.Write(data)
		if err := cmp.Or(err, errWrite); err != nil {
			return nil, fmt.Errorf("add %s: %w", file, err)
		}
	}
	// It writes the end of the archive, too.
	if err := writer.Close(); err != nil {
		return nil, err
	}
	return content.Bytes(), nil
}
