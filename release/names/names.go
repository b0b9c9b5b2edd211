// Package names has the names that a maintainer of the project chooses: where images are published, where the source is, and the version.
// They occur in manifests, the chart and texts. Read and Set are the only code that knows in which files.
package names

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"

	"sigs.k8s.io/yaml"
)

// Names are the names in a release.
type Names struct {
	// Registry is where images and the chart are published, with the organisation, such as ghcr.io/example.
	Registry string
	// Source is the home of the source, such as https://github.com/example/ksmscale.
	Source string
	// Version is a semantic version with a v.
	Version string
}

// SourceOf returns the home of the source in an organisation of GitHub that has the name of the registry's.
func SourceOf(registry string) string {
	return "https://github.com/" + path.Base(registry) + "/ksmscale"
}

// ChartVersion is the version without the v, which Helm does not want.
func (n Names) ChartVersion() string { return strings.TrimPrefix(n.Version, "v") }

var (
	validVersion  = regexp.MustCompile(`^v\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?$`)
	validRegistry = regexp.MustCompile(`^[a-z0-9.-]+(:\d+)?(/[a-z0-9._-]+)+$`)
	validSource   = regexp.MustCompile(`^https://[^\s/]+/\S+[^/]$`)
)

// Validate returns what is wrong with the names.
func (n Names) Validate() error {
	var errs []error
	if !validVersion.MatchString(n.Version) {
		errs = append(errs, fmt.Errorf("version %q: must be like v1.2.3", n.Version))
	}
	if !validRegistry.MatchString(n.Registry) {
		errs = append(errs, fmt.Errorf("registry %q: must have an organisation, like ghcr.io/example", n.Registry))
	}
	if !validSource.MatchString(n.Source) {
		errs = append(errs, fmt.Errorf("source %q: must be like https://github.com/example/ksmscale", n.Source))
	}
	return errors.Join(errs...)
}

// The files that names are read from, below the root of a checkout.
const (
	kustomization = "config/ksmscale/kustomization.yaml"
	chartFile     = "deploy/chart/Chart.yaml"
)

// named are the files and folders with names. Those that a copy lacks are left out.
var named = []string{kustomization, "deploy", "docs", "README.md", "test/chart/values_test.go", "test/prometheus/rules_test.yaml"}

// versions are the places of the version, by file.
var versions = map[string][]*regexp.Regexp{
	kustomization: {regexp.MustCompile(`(?m)^(    newTag: )(.*)$`)},
	chartFile: {
		regexp.MustCompile(`(?m)^(version: )(.*)$`),
		regexp.MustCompile(`(?m)^(appVersion: )(.*)$`),
		regexp.MustCompile(`(?m)^(      image: .*:)([^:\n]*)$`),
	},
}

// Read returns the names that a checkout has.
func Read(root string) (Names, error) {
	var images struct {
		Images []struct{ Name, NewName string }
	}
	if err := parse(filepath.Join(root, kustomization), &images); err != nil {
		return Names{}, err
	}
	if len(images.Images) == 0 {
		return Names{}, fmt.Errorf("%s names no images", kustomization)
	}
	var metadata struct{ AppVersion, Home string }
	if err := parse(filepath.Join(root, chartFile), &metadata); err != nil {
		return Names{}, err
	}
	first := images.Images[0]
	return Names{
		Registry: strings.TrimSuffix(first.NewName, "/"+first.Name),
		Source:   metadata.Home,
		Version:  metadata.AppVersion,
	}, nil
}

func parse(file string, into any) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if err := yaml.Unmarshal(text, into); err != nil {
		return fmt.Errorf("parse %s: %w", file, err)
	}
	return nil
}

// Set gives a checkout other names.
func Set(root string, names Names) error {
	if err := names.Validate(); err != nil {
		return err
	}
	old, err := Read(root)
	if err != nil {
		return fmt.Errorf("read the names of %s: %w", root, err)
	}
	for _, folder := range named {
		err := fs.WalkDir(os.DirFS(root), folder, func(file string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			return old.replace(root, file, names)
		})
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

func (n Names) replace(root, file string, with Names) error {
	onDisk := filepath.Join(root, filepath.FromSlash(file))
	before, err := os.ReadFile(onDisk)
	if err != nil {
		return err
	}
	after := bytes.ReplaceAll(before, []byte(n.Registry), []byte(with.Registry))
	after = bytes.ReplaceAll(after, []byte(n.Source), []byte(with.Source))
	for _, place := range versions[file] {
		if !place.Match(after) {
			return fmt.Errorf("%s has no version at %s", file, place)
		}
		version := with.Version
		if strings.Contains(place.String(), "^(version") {
			version = with.ChartVersion()
		}
		after = place.ReplaceAll(after, []byte("${1}"+version))
	}
	if bytes.Equal(before, after) {
		return nil
	}
	return os.WriteFile(onDisk, after, 0o600)
}
