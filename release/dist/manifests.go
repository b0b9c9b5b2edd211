package dist

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	helmchart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/chart/v2/util"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// manifest writes what config/default builds, with the digests of the images.
func (r *release) manifest(context.Context) error {
	folder := filepath.Join(r.staged, "config", "pinned")
	pinned := types.Kustomization{Resources: []string{"../default"}}
	for _, image := range r.Images {
		pinned.Images = append(pinned.Images, types.Image{
			Name: r.Names.Registry + "/" + image.Name, NewTag: r.Names.Version, Digest: r.digests[image.Name],
		})
	}
	text, err := yaml.Marshal(pinned)
	if err != nil {
		return err
	}
	if err := os.Mkdir(folder, 0o750); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(folder, "kustomization.yaml"), text, 0o600); err != nil {
		return err
	}
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), folder)
	if err != nil {
		return fmt.Errorf("build %s: %w", Manifest, err)
	}
	if text, err = built.AsYaml(); err != nil {
		return fmt.Errorf("build %s: %w", Manifest, err)
	}
	return r.write(Manifest, text)
}

// chart writes the chart as a package.
func (r *release) chart(context.Context) error {
	packaged, err := PackageChart(filepath.Join(r.staged, "deploy", "chart"), r.Output, r.Created)
	if err != nil {
		return err
	}
	r.log("%s", filepath.Base(packaged))
	return nil
}

// PackageChart writes a chart as a package into a folder, and returns its file. The same chart gives the same bytes.
func PackageChart(chart, folder string, modified time.Time) (string, error) {
	loaded, err := loader.LoadDir(chart)
	if err != nil {
		return "", fmt.Errorf("load chart: %w", err)
	}
	setTimes(loaded, modified)
	packaged, err := util.Save(loaded, folder)
	if err != nil {
		return "", fmt.Errorf("package chart: %w", err)
	}
	return packaged, nil
}

func setTimes(chart *helmchart.Chart, modified time.Time) {
	chart.ModTime, chart.SchemaModTime = modified, modified
	for _, file := range chart.Raw {
		file.ModTime = modified
	}
	for _, file := range chart.Templates {
		file.ModTime = modified
	}
	for _, file := range chart.Files {
		file.ModTime = modified
	}
}

// assets copies what users apply or mount by themselves.
func (r *release) assets(context.Context) error {
	crd, err := filepath.Glob(filepath.Join(r.staged, "config", "crd", "*_*.yaml"))
	if err != nil {
		return err
	}
	if len(crd) != 1 {
		return fmt.Errorf("config/crd has %d types and not 1", len(crd))
	}
	if err := r.copy(crd[0], "crd.yaml"); err != nil {
		return err
	}
	if err := r.copy(filepath.Join(r.Root, "LICENSE"), "LICENSE"); err != nil {
		return err
	}
	deploy := filepath.Join(r.staged, "deploy")
	return filepath.WalkDir(deploy, func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(deploy, file)
		switch {
		case err != nil:
			return err
		case entry.IsDir() && name == "chart":
			return fs.SkipDir
		case entry.IsDir() || filepath.Dir(name) == "." || filepath.Ext(name) == ".go":
			return nil
		}
		// Without folders, which the files attached to a release of the source cannot have.
		return r.copy(file, strings.ReplaceAll(name, string(filepath.Separator), "-"))
	})
}

func (r *release) copy(file, name string) error {
	content, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	return r.write(name, content)
}
