package image

import (
	"path/filepath"
	"runtime"
	"strings"

	"github.com/example/ksmscale/oci"
)

// PauseReference is the image of the container that holds a pod together.
const PauseReference = "localhost/pause:local"

// AuditorReference is the image of command auditor.
const AuditorReference = "localhost/ksmscale-auditor:local"

// The images that the Prometheus Operator's pods run in end-to-end tests.
const (
	PrometheusReference     = "localhost/prometheus:local"
	ConfigReloaderReference = "localhost/prometheus-config-reloader:local"
)

// nonroot is the user of distroless images.
const nonroot = "65532"

// InstallManifest is the path, below the root, of the manifest that names the images of Released by their digests.
var InstallManifest = filepath.Join("bin", "release", "install.yaml")

// Release has the images of a release.
type Release struct {
	// KSMScale is the image of controller and adapter. Gate is the image of the gate.
	KSMScale, Gate *oci.Layout
}

// Released returns the images that `make release-images` writes below root.
func Released(root string) (*Release, error) {
	images := filepath.Join(root, filepath.Dir(InstallManifest), "images")
	ours, err := oci.Open(filepath.Join(images, "ksmscale"))
	if err != nil {
		return nil, err
	}
	gate, err := oci.Open(filepath.Join(images, "ksmscale-gate"))
	if err != nil {
		return nil, err
	}
	return &Release{KSMScale: ours, Gate: gate}, nil
}

// Next returns another name of an image, for a version to upgrade to.
func Next(layout *oci.Layout) string { return layout.Reference.Context().Tag("next").String() }

// Archive is an image that containerd, Docker and kind import from a file.
type Archive struct {
	// Name is one of its names.
	Name string
	// Write writes the file.
	Write func(file string) error
}

func released(layout *oci.Layout) Archive {
	return Archive{Name: layout.ByDigest(), Write: func(file string) error {
		return layout.Archive(file, layout.Reference.String(), layout.ByDigest(), Next(layout))
	}}
}

func built(image oci.Image) Archive { return Archive{Name: image.Reference, Write: image.Archive} }

// All returns the images that the end-to-end tests need, from the bin folder in root. These are the images of a release,
// which also have the name of a next version, the auditor, the programs of the Prometheus Operator's pods, and the built
// versions of kube-state-metrics.
func All(root string) ([]Archive, error) {
	ours, err := Released(root)
	if err != nil {
		return nil, err
	}
	images := []Archive{released(ours.KSMScale), released(ours.Gate), built(Auditor(root))}
	for _, image := range Prometheus(root) {
		images = append(images, built(image))
	}
	const prefix = "kube-state-metrics-"
	// The only possible error is an invalid pattern.
	programs, _ := filepath.Glob(filepath.Join(root, "bin", prefix+"v*"))
	for _, program := range programs {
		images = append(images, built(KubeStateMetrics(root, strings.TrimPrefix(filepath.Base(program), prefix))))
	}
	return images, nil
}

// local is an image for this machine with one program.
func local(reference, user, program, file string) oci.Image {
	return oci.Image{
		Reference: reference, User: user, Entrypoint: program,
		Platforms: map[string]oci.Files{"linux/" + runtime.GOARCH: {program: file}},
	}
}

// KubeStateMetrics returns the image of a version such as v2.18.0 out of the bin folder below root, which
// `make kube-state-metrics` fills, under its usual name.
func KubeStateMetrics(root, version string) oci.Image {
	return local("registry.k8s.io/kube-state-metrics/kube-state-metrics:"+version, "65534", "/kube-state-metrics",
		filepath.Join(root, "bin", "kube-state-metrics-"+version))
}

// Auditor returns the image of command auditor of the end-to-end tests, out of the bin folder below root.
func Auditor(root string) oci.Image {
	return local(AuditorReference, nonroot, "/auditor", filepath.Join(root, "bin", "auditor"))
}

// Prometheus returns the images that the Prometheus Operator's pods run, out of the bin folder below root, which
// `make prometheus-operator` fills.
func Prometheus(root string) []oci.Image {
	var images []oci.Image
	for _, program := range []struct{ name, reference string }{
		{"prometheus", PrometheusReference}, {"prometheus-config-reloader", ConfigReloaderReference},
	} {
		// The pods of the Operator run the programs by these paths.
		images = append(images, local(program.reference, nonroot, "/bin/"+program.name, filepath.Join(root, "bin", program.name)))
	}
	return images
}

// Pause returns the image that PauseReference names, out of a binary that `make node` builds.
func Pause(binary string) oci.Image { return local(PauseReference, "65535", "/pause", binary) }
