// Package dist writes a release: everything that is published of a version, into one folder, from nothing but a checkout and Go's modules.
// The same commit gives the same bytes. Build is the way in, and Images for those who need images only. Nothing is pushed.
package dist

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/example/ksmscale/oci"
	"github.com/example/ksmscale/release/names"
	"github.com/example/ksmscale/release/programs"
	"github.com/example/ksmscale/release/sbom"
)

// The files and folders of a release that others read.
const (
	Manifest  = "install.yaml"
	Checksums = "SHA256SUMS"

	// CreatedAnnotation has the time of a release in its images.
	CreatedAnnotation = "org.opencontainers.image.created"

	images = "images"
)

// Options say what is released.
type Options struct {
	// Root is the checkout, which is only read.
	Root string
	// Output is the folder of the release. What was there before is removed.
	Output string
	Names  names.Names
	// Images are built; all of the project, or some to save time.
	Images []Image
	// Platforms are the platforms of the images, such as linux/arm64.
	Platforms []string
	// PluginPlatforms are the platforms of the kubectl plugin.
	PluginPlatforms []string
	// Revision is the commit, and Created its time, which is the only time in a release.
	Revision string
	Created  time.Time
	// Environment is added to the environment of the go command.
	Environment []string
	// Log gets a line for each part that is written.
	Log io.Writer
}

// Image is an image of the project.
type Image struct {
	// Name is the name of its repository and of its layout.
	Name, Description string
	// Programs are the commands in it, of which the first is the entrypoint.
	Programs []string
}

// ProjectImages are all images of the project. Config and the chart name each.
var ProjectImages = []Image{
	{Name: "ksmscale", Description: "Controller and adapter of KSMScale", Programs: []string{"controller", "adapter"}},
	{Name: "ksmscale-gate", Description: "The gate beside each kube-state-metrics of KSMScale", Programs: []string{"gate"}},
}

// nonroot is the user that images run as, the same as in distroless images.
const nonroot = "65532:65532"

// gzipLevel is the default of gzip; 9 takes twice the time for a hundredth of the size.
const gzipLevel = 6

// release is one that is being written.
type release struct {
	Options
	builder programs.Builder
	// work has files on their way into the release, and staged the manifests and the chart with its names.
	work, staged string
	// digests are the digests of the images, by name.
	digests map[string]string
}

// Build writes a release.
func Build(ctx context.Context, options Options) error {
	return write(ctx, options, (*release).images, (*release).manifest, (*release).chart, (*release).plugin, (*release).assets, (*release).checksums)
}

// Images writes the images of a release, and the manifest that installs them.
func Images(ctx context.Context, options Options) error {
	return write(ctx, options, (*release).images, (*release).manifest)
}

func write(ctx context.Context, options Options, steps ...func(*release, context.Context) error) (err error) {
	if err := options.Names.Validate(); err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "release")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	r := &release{
		Options: options, work: work, staged: filepath.Join(work, "staged"), digests: map[string]string{},
		builder: programs.Builder{
			Root: options.Root, Version: options.Names.Version, Environment: options.Environment, Overlay: map[string]string{},
		},
	}
	if err := errors.Join(os.RemoveAll(r.Output), os.MkdirAll(r.Output, 0o750)); err != nil {
		return err
	}
	if err := r.stage(); err != nil {
		return fmt.Errorf("name what is released: %w", err)
	}
	for _, step := range steps {
		if err := step(r, ctx); err != nil {
			return err
		}
	}
	return nil
}

// stage copies what has names, and gives the copy the names of the release.
func (r *release) stage() error {
	for _, folder := range []string{"config", "deploy"} {
		if err := os.CopyFS(filepath.Join(r.staged, folder), os.DirFS(filepath.Join(r.Root, folder))); err != nil {
			return err
		}
	}
	if err := names.Set(r.staged, r.Names); err != nil {
		return err
	}
	return r.overlay("deploy")
}

// overlay has programs built with the files of a folder that have other names than in the checkout: they embed some.
func (r *release) overlay(folder string) error {
	return fs.WalkDir(os.DirFS(r.staged), folder, func(file string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		before, err := os.ReadFile(filepath.Join(r.Root, file))
		if err != nil {
			return err
		}
		after, err := os.ReadFile(filepath.Join(r.staged, file))
		if !bytes.Equal(before, after) {
			r.builder.Overlay[file] = filepath.Join(r.staged, file)
		}
		return err
	})
}

func (r *release) log(format string, args ...any) { fmt.Fprintf(r.Log, format+"\n", args...) }

// write writes a file of the release.
func (r *release) write(name string, content []byte) error {
	r.log("%s", name)
	return os.WriteFile(filepath.Join(r.Output, name), content, 0o600)
}

func (r *release) images(ctx context.Context) error {
	for _, image := range r.Images {
		if err := r.image(ctx, image); err != nil {
			return err
		}
	}
	return nil
}

func (r *release) image(ctx context.Context, image Image) error {
	built := oci.Image{
		Reference: r.Names.Registry + "/" + image.Name + ":" + r.Names.Version, User: nonroot, Entrypoint: "/" + image.Programs[0],
		Platforms: map[string]oci.Files{}, Created: r.Created, Compression: gzipLevel,
		Annotations: map[string]string{
			"org.opencontainers.image.title":       image.Name,
			"org.opencontainers.image.description": image.Description,
			"org.opencontainers.image.version":     r.Names.Version,
			"org.opencontainers.image.revision":    r.Revision,
			CreatedAnnotation:                      r.Created.UTC().Format(time.RFC3339),
			"org.opencontainers.image.source":      r.Names.Source,
			"org.opencontainers.image.licenses":    "Apache-2.0",
		},
	}
	for _, platform := range r.Platforms {
		files := oci.Files{}
		for _, program := range image.Programs {
			files["/"+program] = filepath.Join(r.work, platform, program)
			if err := r.builder.Build(ctx, program, platform, files["/"+program]); err != nil {
				return err
			}
		}
		built.Platforms[platform] = files
	}
	layout, err := built.Write(filepath.Join(r.Output, images, image.Name))
	if err != nil {
		return err
	}
	r.digests[image.Name] = layout.Digest.String()
	r.log("%s %s", filepath.Join(images, image.Name), layout.Pinned())
	return r.documents(image, built.Platforms)
}

// documents writes the list of what is in an image, for each platform.
func (r *release) documents(image Image, platforms map[string]oci.Files) error {
	for _, platform := range slices.Sorted(maps.Keys(platforms)) {
		document, err := sbom.Document(sbom.Subject{
			Name: image.Name, Version: r.Names.Version, Digest: r.digests[image.Name], Source: r.Names.Source,
			Created: r.Created, Programs: platforms[platform],
		})
		if err != nil {
			return err
		}
		if err := r.write(image.Name+"_"+fileName(platform)+".spdx.json", document); err != nil {
			return err
		}
	}
	return nil
}
