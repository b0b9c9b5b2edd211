package image

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"sigs.k8s.io/yaml"
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

// nonroot is who distroless images run as.
const nonroot = "65532"

// KSMScale returns the project's image out of the bin folder below root, which `make build` fills, under the name
// that config/ksmscale gives it.
func KSMScale(root string) (Image, error) {
	file := filepath.Join(root, "config", "ksmscale", "kustomization.yaml")
	text, err := os.ReadFile(file)
	if err != nil {
		return Image{}, fmt.Errorf("read the image's name: %w", err)
	}
	var kustomization struct {
		Images []struct{ NewName, NewTag string }
	}
	if err := yaml.Unmarshal(text, &kustomization); err != nil {
		return Image{}, fmt.Errorf("read the image's name from %s: %w", file, err)
	}
	if len(kustomization.Images) != 1 {
		return Image{}, fmt.Errorf("%s names %d images and not 1", file, len(kustomization.Images))
	}
	files := map[string]string{}
	for _, component := range []string{"controller", "adapter", "gate"} {
		files["/"+component] = filepath.Join(root, "bin", component)
	}
	named := kustomization.Images[0]
	return Image{Reference: named.NewName + ":" + named.NewTag, User: nonroot, Entrypoint: "/controller", Files: files}, nil
}

// Next returns the same image under another tag, as a version to upgrade to.
func (i Image) Next() Image {
	i.Reference = i.Reference[:strings.LastIndex(i.Reference, ":")] + ":next"
	return i
}

// KubeStateMetrics returns the image of a version such as v2.18.0 out of the bin folder below root, which
// `make kube-state-metrics` fills, under its usual name.
func KubeStateMetrics(root, version string) Image {
	const binary = "/kube-state-metrics"
	return Image{
		Reference:  "registry.k8s.io/kube-state-metrics/kube-state-metrics:" + version,
		User:       "65534",
		Entrypoint: binary,
		Files:      map[string]string{binary: filepath.Join(root, "bin", "kube-state-metrics-"+version)},
	}
}

// Auditor returns the image of command auditor of the end-to-end tests, out of the bin folder below root.
func Auditor(root string) Image {
	const binary = "/auditor"
	return Image{
		Reference: AuditorReference, User: nonroot, Entrypoint: binary,
		Files: map[string]string{binary: filepath.Join(root, "bin", "auditor")},
	}
}

// Prometheus returns the images that the Prometheus Operator's pods run, out of the bin folder below root, which
// `make prometheus-operator` fills.
func Prometheus(root string) []Image {
	var images []Image
	for _, program := range []struct{ name, reference string }{
		{"prometheus", PrometheusReference}, {"prometheus-config-reloader", ConfigReloaderReference},
	} {
		// The Operator has its pods run the programs by these paths.
		binary := "/bin/" + program.name
		images = append(images, Image{
			Reference: program.reference, User: nonroot, Entrypoint: binary,
			Files: map[string]string{binary: filepath.Join(root, "bin", program.name)},
		})
	}
	return images
}

// All returns the images that the end-to-end tests need, out of the bin folder below root: KSMScale and a next version, the auditor, what
// the Prometheus Operator's pods run, and kube-state-metrics in the versions that are built.
func All(root string) ([]Image, error) {
	ours, err := KSMScale(root)
	if err != nil {
		return nil, err
	}
	images := append([]Image{ours, ours.Next(), Auditor(root)}, Prometheus(root)...)
	const prefix = "kube-state-metrics-"
	// The only error is that of a bad pattern.
	built, _ := filepath.Glob(filepath.Join(root, "bin", prefix+"v*"))
	for _, binary := range built {
		images = append(images, KubeStateMetrics(root, strings.TrimPrefix(filepath.Base(binary), prefix)))
	}
	return images, nil
}

// Pause returns the image that PauseReference names, out of a binary that `make node` builds.
func Pause(binary string) Image {
	return Image{Reference: PauseReference, User: "65535", Entrypoint: "/pause", Files: map[string]string{"/pause": binary}}
}
