// Package publish pushes a release to the registry that it names: images for all platforms, their signatures if there is a key, and the
// chart. The files of a release are for the maintainer to attach to the release of the source.
package publish

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/sigstore/sigstore/pkg/signature"
	"helm.sh/helm/v4/pkg/registry"

	"github.com/example/ksmscale/oci"
	"github.com/example/ksmscale/release/dist"
	signatures "github.com/example/ksmscale/release/signature"
)

// Options say what is published.
type Options struct {
	// Folder is the folder of the release.
	Folder string
	// Signer signs the images; nil to push no signatures.
	Signer signature.Signer
	// PlainHTTP is for a registry without TLS.
	PlainHTTP bool
	// Log gets a line for each thing that is pushed.
	Log io.Writer
}

// ChartsFolder is where charts are below the registry, and not next to the images.
const ChartsFolder = "charts"

// Publish pushes a release. Credentials come from `docker login`. To push again changes neither images nor
// chart; signatures are new.
func Publish(ctx context.Context, options Options) error {
	if err := dist.Verify(options.Folder); err != nil {
		return fmt.Errorf("verify what is published: %w", err)
	}
	var registry, created string
	for _, image := range dist.ProjectImages {
		layout, err := oci.Open(filepath.Join(options.Folder, "images", image.Name))
		if err != nil {
			return err
		}
		if err := options.image(ctx, layout); err != nil {
			return err
		}
		registry = strings.TrimSuffix(layout.Reference.Context().Name(), "/"+image.Name)
		manifest, err := layout.Index.IndexManifest()
		if err != nil {
			return err
		}
		created = manifest.Annotations[dist.CreatedAnnotation]
	}
	return options.chart(registry, created)
}

func (o Options) image(ctx context.Context, layout *oci.Layout) error {
	with := []remote.Option{remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain)}
	if err := remote.WriteIndex(layout.Reference, layout.Index, with...); err != nil {
		return fmt.Errorf("push image %s: %w", layout.Reference, err)
	}
	fmt.Fprintln(o.Log, "pushed", layout.Pinned())
	if o.Signer == nil {
		return nil
	}
	digest, err := name.NewDigest(layout.ByDigest())
	if err != nil {
		return err
	}
	signed, err := signatures.Image(o.Signer, digest)
	if err != nil {
		return err
	}
	tag, err := signatures.Tag(digest)
	if err != nil {
		return err
	}
	if err := remote.Write(tag, signed, with...); err != nil {
		return fmt.Errorf("push signature of %s: %w", layout.Reference, err)
	}
	fmt.Fprintln(o.Log, "signed", layout.Pinned())
	return nil
}

func (o Options) chart(to, created string) error {
	charts, err := filepath.Glob(filepath.Join(o.Folder, "ksmscale-*.tgz"))
	if err != nil {
		return err
	}
	if len(charts) != 1 {
		return fmt.Errorf("%s has %d charts and not 1", o.Folder, len(charts))
	}
	content, err := os.ReadFile(charts[0])
	if err != nil {
		return err
	}
	with := []registry.ClientOption{registry.ClientOptWriter(io.Discard)}
	if o.PlainHTTP {
		with = append(with, registry.ClientOptPlainHTTP())
	}
	client, err := registry.NewClient(with...)
	if err != nil {
		return fmt.Errorf("push chart: %w", err)
	}
	version := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(charts[0]), "ksmscale-"), ".tgz")
	reference := to + "/" + ChartsFolder + "/ksmscale:" + version
	if _, err := client.Push(content, reference, registry.PushOptCreationTime(created)); err != nil {
		return fmt.Errorf("push chart %s: %w", reference, err)
	}
	fmt.Fprintln(o.Log, "pushed", "oci://"+reference)
	return nil
}
