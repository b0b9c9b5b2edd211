package dist

import (
	"archive/tar"
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/template"
	"time"

	"github.com/example/ksmscale/release/names"
)

// plugin is the command of the kubectl plugin.
const plugin = "kubectl-ksmscale"

// fileName is a platform as a part of a file's name.
func fileName(platform string) string { return strings.ReplaceAll(platform, "/", "_") }

// plugin writes an archive of the plugin for each platform, and the manifest by which krew installs them.
func (r *release) plugin(ctx context.Context) error {
	license, err := os.ReadFile(filepath.Join(r.Root, "LICENSE"))
	if err != nil {
		return err
	}
	var platforms []krewPlatform
	for _, platform := range r.PluginPlatforms {
		program := plugin
		if strings.HasPrefix(platform, "windows/") {
			program += ".exe"
		}
		file := filepath.Join(r.work, platform, program)
		if err := r.builder.Build(ctx, plugin, platform, file); err != nil {
			return err
		}
		content, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		archive, err := compressed(r.Created, entry{program, 0o755, content}, entry{"LICENSE", 0o644, license})
		if err != nil {
			return fmt.Errorf("archive %s for %s: %w", plugin, platform, err)
		}
		name := fmt.Sprintf("%s_%s_%s.tar.gz", plugin, r.Names.Version, fileName(platform))
		if err := r.write(name, archive); err != nil {
			return err
		}
		system, architecture, _ := strings.Cut(platform, "/")
		digest := sha256.Sum256(archive)
		platforms = append(platforms, krewPlatform{system, architecture, name, hex.EncodeToString(digest[:]), program})
	}
	manifest, err := r.krew(platforms)
	if err != nil {
		return err
	}
	// The file has the name of the plugin, as krew's index requires.
	return r.write("ksmscale.yaml", manifest)
}

// krewTemplate is the manifest by which krew installs the plugin.
//
//go:embed krew.yaml
var krewTemplate string

// krewPlatform is what the manifest has of a platform.
type krewPlatform struct{ System, Architecture, Archive, Digest, Program string }

func (r *release) krew(platforms []krewPlatform) ([]byte, error) {
	parsed, err := template.New("krew").Parse(krewTemplate)
	if err != nil {
		return nil, err
	}
	var manifest bytes.Buffer
	err = parsed.Execute(&manifest, struct {
		Names     names.Names
		Platforms []krewPlatform
	}{r.Names, platforms})
	return manifest.Bytes(), err
}

// entry is a file in an archive.
type entry struct {
	name    string
	mode    int64
	content []byte
}

// compressed returns an archive whose bytes follow from its entries and the time.
func compressed(modified time.Time, entries ...entry) ([]byte, error) {
	var archive bytes.Buffer
	zip, err := gzip.NewWriterLevel(&archive, gzipLevel)
	if err != nil {
		return nil, err
	}
	writer := tar.NewWriter(zip)
	for _, entry := range entries {
		header := &tar.Header{Name: entry.name, Mode: entry.mode, Size: int64(len(entry.content)), ModTime: modified, Typeflag: tar.TypeReg}
		err := writer.WriteHeader(header)
		_, errWrite := writer.Write(entry.content)
		if err := cmp.Or(err, errWrite); err != nil {
			return nil, err
		}
	}
	if err := cmp.Or(writer.Close(), zip.Close()); err != nil {
		return nil, err
	}
	return archive.Bytes(), nil
}
