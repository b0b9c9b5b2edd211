package dist_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"debug/elf"
	"errors"
	"io"
	"io/fs"
	"log"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	spdxjson "github.com/spdx/tools-golang/json"
	"github.com/spdx/tools-golang/spdx"
	"github.com/spdx/tools-golang/spdxlib"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	helmregistry "helm.sh/helm/v4/pkg/registry"

	"github.com/example/ksmscale/oci"
	"github.com/example/ksmscale/release/dist"
	"github.com/example/ksmscale/release/names"
	"github.com/example/ksmscale/release/publish"
	"github.com/example/ksmscale/release/signature"
)

var root = filepath.Join("..", "..")

// full builds everything, and the second time without what was compiled before.
var full = os.Getenv("RELEASE_FULL") != ""

// checkout copies the files of the project into a folder of a test.
func checkout(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	require.NoError(t, filepath.WalkDir(root, func(file string, entry fs.DirEntry, err error) error {
		require.NoError(t, err)
		relative, err := filepath.Rel(root, file)
		require.NoError(t, err)
		switch to := filepath.Join(folder, relative); {
		case slices.Contains([]string{".git", "bin", "dist", ".local-cluster"}, relative) && entry.IsDir():
			return fs.SkipDir
		case relative == ".git":
			return nil
		case entry.IsDir():
			return os.MkdirAll(to, 0o750)
		default:
			content, err := os.ReadFile(file)
			require.NoError(t, err)
			return os.WriteFile(to, content, 0o600)
		}
	}))
	return folder
}

// Everything of a release, from two folders: it is the same, complete, has no placeholder left, and can be signed and published.
func TestRelease(t *testing.T) {
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	defer server.Close()
	options := dist.Options{
		Names:           names.Names{Registry: strings.TrimPrefix(server.URL, "http://") + "/acme", Source: "https://code.test/acme/ksmscale", Version: "v9.8.7"},
		Images:          dist.ProjectImages,
		Platforms:       []string{"linux/amd64", "linux/arm64"},
		PluginPlatforms: []string{"linux/" + runtime.GOARCH},
		Revision:        "0123456", Created: time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC),
		Root: checkout(t), Output: t.TempDir(), Log: t.Output(),
	}
	if full {
		options.PluginPlatforms = []string{"linux/amd64", "linux/arm64", "darwin/amd64", "darwin/arm64", "windows/amd64", "windows/arm64"}
	}
	require.NoError(t, dist.Build(t.Context(), options))
	require.NoError(t, dist.Verify(options.Output))
	sameOptions := options
	sameOptions.Root, sameOptions.Output = checkout(t), t.TempDir()
	if full {
		sameOptions.Environment = []string{"GOCACHE=" + t.TempDir()}
	} else {
		sameOptions.Images = dist.ProjectImages[1:]
	}
	require.NoError(t, dist.Build(t.Context(), sameOptions))

	t.Run("again", func(t *testing.T) { checkSame(t, options.Output, sameOptions.Output) })
	t.Run("names", func(t *testing.T) { checkNames(t, options.Output) })
	t.Run("images", func(t *testing.T) { checkImages(t, options) })
	t.Run("documents", func(t *testing.T) { checkDocuments(t, options.Output) })
	t.Run("chart", func(t *testing.T) { checkChart(t, options.Output) })
	t.Run("plugin", func(t *testing.T) { checkPlugin(t, options) })
	t.Run("signature", func(t *testing.T) { checkSignature(t, sameOptions.Output) })
	t.Run("publish", func(t *testing.T) { checkPublish(t, options) })
}

func read(t *testing.T, path ...string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(path...))
	require.NoError(t, err)
	return string(content)
}

// each calls a function with every file of a folder.
func each(t *testing.T, folder string, check func(file, content string)) {
	t.Helper()
	require.NoError(t, fs.WalkDir(os.DirFS(folder), ".", func(file string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			check(file, read(t, folder, file))
		}
		return err
	}))
}

// checkSame compares two releases of the same source, from two folders, byte by byte. The second one may have fewer images.
func checkSame(t *testing.T, first, second string) {
	compared := 0
	each(t, second, func(file, content string) {
		if full || file != dist.Manifest && file != dist.Checksums {
			// They may be too long to print.
			if content != read(t, first, file) {
				t.Errorf("%s is another one", file)
			}
			compared++
		}
	})
	assert.Greater(t, compared, 20)
}

// checkNames looks for the placeholders in every file, those within archives too.
func checkNames(t *testing.T, folder string) {
	placeholders := []string{"ghcr.io/example", "https://github.com/example", "v0.1.0"}
	check := func(file, content string) {
		for _, placeholder := range placeholders {
			// Versions of other modules may be the same.
			if placeholder != "v0.1.0" || !strings.HasSuffix(file, ".spdx.json") {
				assert.NotContains(t, content, placeholder, file)
			}
		}
	}
	files := 0
	each(t, folder, func(file, content string) {
		files++
		if strings.HasSuffix(file, "gz") {
			for name, content := range untar(t, gunzip(t, content)) {
				check(file+" "+name, content)
			}
		} else if !strings.HasPrefix(file, "images/") || len(content) < 1<<16 { // Not the programs: these have the module's path.
			check(file, content)
		}
	})
	assert.Greater(t, files, 20)
	for _, file := range []string{"LICENSE", "crd.yaml", "prometheus-rules.yaml", "grafana-ksmscale.json", "policies-bounded-ksmscales.yaml", dist.Manifest, dist.Checksums} {
		assert.NotEmpty(t, read(t, folder, file))
	}
}

func gunzip(t *testing.T, content string) io.Reader {
	t.Helper()
	reader, err := gzip.NewReader(strings.NewReader(content))
	require.NoError(t, err)
	return reader
}

func untar(t *testing.T, archive io.Reader) map[string]string {
	t.Helper()
	files := map[string]string{}
	for reader := tar.NewReader(archive); ; {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		require.NoError(t, err)
		content, err := io.ReadAll(reader)
		require.NoError(t, err)
		files[header.Name] = string(content)
	}
}

// maxGate is the most that a node with a shard pulls for the gate.
const maxGate = 20 << 20

// checkImages looks at the layouts: each platform's programs are of that platform, and static. The manifest installs these images.
func checkImages(t *testing.T, options dist.Options) {
	machines := map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}
	manifest := read(t, options.Output, dist.Manifest)
	for image, programs := range map[string][]string{"ksmscale": {"adapter", "controller"}, "ksmscale-gate": {"gate"}} {
		layout, err := oci.Open(filepath.Join(options.Output, "images", image))
		require.NoError(t, err)
		assert.Equal(t, options.Names.Registry+"/"+image+":v9.8.7@"+layout.Digest.String(), layout.Pinned())
		assert.Contains(t, manifest, "image: "+layout.Pinned()+"\n")
		index, err := layout.Index.IndexManifest()
		require.NoError(t, err)
		assert.Len(t, index.Manifests, len(machines))
		for _, descriptor := range index.Manifests {
			made, err := layout.Index.Image(descriptor.Digest)
			require.NoError(t, err)
			content := mutate.Extract(made)
			files := untar(t, content)
			require.NoError(t, content.Close())
			assert.Len(t, files, len(programs))
			for _, program := range programs {
				header, err := elf.NewFile(strings.NewReader(files[program]))
				require.NoError(t, err, program)
				assert.Equal(t, machines[descriptor.Platform.Architecture], header.Machine, "%s for %s", program, descriptor.Platform)
				libraries, err := header.ImportedLibraries()
				require.NoError(t, err)
				assert.Empty(t, libraries)
				assert.Nil(t, header.Section(".interp"), "a program that needs a loader")
				assert.NotContains(t, files[program], "https://github.com/example/ksmscale", "a page that the program points to")
			}
			if image == "ksmscale-gate" {
				assert.Less(t, len(files["gate"]), maxGate, "%s", descriptor.Platform)
			}
		}
	}
	assert.NotRegexp(t, `(?m)^ +image: [^@]+$`, manifest, "an image without a digest")
}

func checkDocuments(t *testing.T, folder string) {
	for image, module := range map[string]string{"ksmscale": "sigs.k8s.io/controller-runtime", "ksmscale-gate": "k8s.io/client-go"} {
		for _, platform := range []string{"linux_amd64", "linux_arm64"} {
			document, err := spdxjson.Read(strings.NewReader(read(t, folder, image+"_"+platform+".spdx.json")))
			require.NoError(t, err)
			require.NoError(t, spdxlib.ValidateDocument(document))
			index := slices.IndexFunc(document.Packages, func(p *spdx.Package) bool { return p.PackageName == module })
			require.GreaterOrEqual(t, index, 0, "%s of %s", module, image)
			version := document.Packages[index].PackageVersion
			assert.Contains(t, read(t, root, "go.mod"), "\t"+module+" "+version+"\n")
			assert.Equal(t, "pkg:golang/"+module+"@"+version, document.Packages[index].PackageExternalReferences[0].Locator)
		}
	}
}

func checkChart(t *testing.T, folder string) {
	chart, err := loader.Load(filepath.Join(folder, "ksmscale-9.8.7.tgz"))
	require.NoError(t, err)
	assert.Equal(t, "9.8.7 v9.8.7", chart.Metadata.Version+" "+chart.Metadata.AppVersion)
	assert.NotContains(t, chart.Metadata.Annotations["artifacthub.io/images"], "v0.1.0")
	assert.Equal(t, 2, strings.Count(chart.Metadata.Annotations["artifacthub.io/images"], ":v9.8.7\n"))
}

// checkPlugin has krew's own validator look at the manifest.
func checkPlugin(t *testing.T, options dist.Options) {
	for _, platform := range options.PluginPlatforms {
		archive := "kubectl-ksmscale_v9.8.7_" + strings.ReplaceAll(platform, "/", "_") + ".tar.gz"
		assert.Contains(t, untar(t, gunzip(t, read(t, options.Output, archive))), "LICENSE")
		assert.Contains(t, read(t, options.Output, "ksmscale.yaml"), "uri: https://code.test/acme/ksmscale/releases/download/v9.8.7/"+archive)
	}
	manifest, err := filepath.Abs(filepath.Join(options.Output, "ksmscale.yaml"))
	require.NoError(t, err)
	require.NoError(t, validateManifest(t, manifest))
	wrong := filepath.Join(t.TempDir(), "ksmscale.yaml")
	require.NoError(t, os.WriteFile(wrong, []byte(strings.ReplaceAll(read(t, manifest), `sha256: "`, `sha256: "x`)), 0o600))
	require.Error(t, validateManifest(t, wrong), "the validator sees a digest that is none")
}

func validateManifest(t *testing.T, manifest string) error {
	t.Helper()
	command := exec.CommandContext(t.Context(), "go", "tool", "validate-krew-manifest", "-skip-install", "-manifest", manifest)
	command.Dir = filepath.Join("..", "validators")
	output, err := command.CombinedOutput()
	t.Logf("%s", output)
	return err
}

// A signature by a key that is thrown away verifies, and not after one byte has changed.
func checkSignature(t *testing.T, folder string) {
	private, public := keys(t, "secret")
	_, err := signature.Signer(private, "wrong")
	require.Error(t, err)
	signer, err := signature.Signer(private, "secret")
	require.NoError(t, err)
	verifier, err := signature.Verifier(public)
	require.NoError(t, err)
	checksums := filepath.Join(folder, dist.Checksums)
	require.NoError(t, signature.SignFile(signer, checksums))
	require.NoError(t, signature.VerifyFile(verifier, checksums))
	require.NoError(t, dist.Verify(folder))
	_, other := keys(t, "")
	stranger, err := signature.Verifier(other)
	require.NoError(t, err)
	require.Error(t, signature.VerifyFile(stranger, checksums))

	change(t, filepath.Join(folder, dist.Manifest))
	require.ErrorContains(t, dist.Verify(folder), dist.Manifest)
	change(t, checksums)
	require.Error(t, signature.VerifyFile(verifier, checksums))
}

// change changes one byte of a file.
func change(t *testing.T, file string) {
	t.Helper()
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	content[len(content)/2] ^= 1
	require.NoError(t, os.WriteFile(file, content, 0o600))
}

// checkPublish pushes to a registry in this process, twice, and looks at what is there.
func checkPublish(t *testing.T, options dist.Options) {
	private, public := keys(t, "")
	signer, err := signature.Signer(private, "")
	require.NoError(t, err)
	verifier, err := signature.Verifier(public)
	require.NoError(t, err)
	pushed := publish.Options{Folder: options.Output, Signer: signer, PlainHTTP: true, Log: t.Output()}
	require.NoError(t, publish.Publish(t.Context(), pushed))
	client, err := helmregistry.NewClient(helmregistry.ClientOptPlainHTTP())
	require.NoError(t, err)
	chart := options.Names.Registry + "/charts/ksmscale:9.8.7"
	first, err := client.Resolve(chart)
	require.NoError(t, err)
	require.NoError(t, publish.Publish(t.Context(), pushed))
	second, err := client.Resolve(chart)
	require.NoError(t, err)
	assert.Equal(t, first.Digest, second.Digest)

	for _, image := range dist.ProjectImages {
		layout, err := oci.Open(filepath.Join(options.Output, "images", image.Name))
		require.NoError(t, err)
		index, err := remote.Index(layout.Reference)
		require.NoError(t, err)
		digest, err := index.Digest()
		require.NoError(t, err)
		assert.Equal(t, layout.Digest, digest)

		byDigest, err := name.NewDigest(layout.ByDigest())
		require.NoError(t, err)
		tag, err := signature.Tag(byDigest)
		require.NoError(t, err)
		signatures, err := remote.Image(tag)
		require.NoError(t, err)
		require.NoError(t, signature.VerifyImage(verifier, signatures, byDigest))
		changed := layout.Reference.Context().Digest((v1.Hash{Algorithm: "sha256", Hex: strings.Repeat("0", 64)}).String())
		require.ErrorContains(t, signature.VerifyImage(verifier, signatures, changed), "no signature of it")
	}
	pulled, err := client.Pull(chart)
	require.NoError(t, err)
	assert.True(t, bytes.Equal([]byte(read(t, options.Output, "ksmscale-9.8.7.tgz")), pulled.Chart.Data))

	require.NoError(t, os.WriteFile(filepath.Join(options.Output, "more"), nil, 0o600))
	require.ErrorContains(t, publish.Publish(t.Context(), pushed), "not in SHA256SUMS")
}
