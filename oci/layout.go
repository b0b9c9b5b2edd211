package oci

import (
	"archive/tar"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
)

const (
	// annotationTag is OCI's annotation with the tag of an image in a layout.
	annotationTag = "org.opencontainers.image.ref.name"
	// annotationName is the annotation with the full name, which containerd and Docker read on import.
	annotationName = "io.containerd.image.name"
)

// Layout is an OCI image layout that has one image.
type Layout struct {
	// Reference is the name of the image, with a tag.
	Reference name.Tag
	// Digest is the digest of its index, which is for all platforms.
	Digest v1.Hash
	// Index is the image itself.
	Index v1.ImageIndex
}

// Open reads a layout.
func Open(directory string) (*Layout, error) {
	path, err := layout.FromPath(directory)
	if err != nil {
		return nil, fmt.Errorf("open image layout: %w", err)
	}
	index, err := path.ImageIndex()
	if err != nil {
		return nil, fmt.Errorf("read image layout %s: %w", directory, err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		return nil, fmt.Errorf("read image layout %s: %w", directory, err)
	}
	if len(manifest.Manifests) != 1 {
		return nil, fmt.Errorf("image layout %s has %d images and not 1", directory, len(manifest.Manifests))
	}
	descriptor := manifest.Manifests[0]
	opened := &Layout{Digest: descriptor.Digest}
	if opened.Reference, err = name.NewTag(descriptor.Annotations[annotationName]); err != nil {
		return nil, fmt.Errorf("read the image's name from layout %s: %w", directory, err)
	}
	if opened.Index, err = index.ImageIndex(descriptor.Digest); err != nil {
		return nil, fmt.Errorf("read image %s: %w", opened.Reference, err)
	}
	return opened, nil
}

// ByDigest returns the name of the image with its digest, which never names another image.
func (l *Layout) ByDigest() string { return l.Reference.Context().Digest(l.Digest.String()).String() }

// Pinned returns the name of the image with its tag, for people, and its digest, which decides.
func (l *Layout) Pinned() string { return l.Reference.String() + "@" + l.Digest.String() }

// Archive writes the image to a file that containerd, Docker and kind import, under the names that are given.
func (l *Layout) Archive(file string, references ...string) error {
	return archive(file, l.Index, references...)
}

func write(directory string, index v1.ImageIndex, references ...string) error {
	path, err := layout.Write(directory, empty.Index)
	if err != nil {
		return fmt.Errorf("write image layout: %w", err)
	}
	for _, reference := range references {
		parsed, err := name.ParseReference(reference)
		if err != nil {
			return fmt.Errorf("name image: %w", err)
		}
		annotations := map[string]string{annotationName: parsed.Name()}
		if tag, ok := parsed.(name.Tag); ok {
			annotations[annotationTag] = tag.TagStr()
		}
		if err := path.AppendIndex(index, layout.WithAnnotations(annotations)); err != nil {
			return fmt.Errorf("write image %s into %s: %w", reference, directory, err)
		}
	}
	return nil
}

// archive writes a layout next to the file first, and then both are one.
func archive(file string, index v1.ImageIndex, references ...string) (err error) {
	directory, err := os.MkdirTemp(filepath.Dir(file), "image")
	if err != nil {
		return fmt.Errorf("archive image: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(directory)) }()
	if err := write(directory, index, references...); err != nil {
		return err
	}
	output, err := os.Create(file)
	if err != nil {
		return fmt.Errorf("archive image: %w", err)
	}
	defer func() { err = errors.Join(err, output.Close()) }()
	writer := tar.NewWriter(output)
	if err := errors.Join(writer.AddFS(os.DirFS(directory)), writer.Close()); err != nil {
		return fmt.Errorf("write image to %s: %w", file, err)
	}
	return nil
}
