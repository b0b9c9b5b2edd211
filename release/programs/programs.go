// Package programs builds the project's programs for other platforms, so that the same source gives the same bytes wherever and whenever
// it is built: the toolchain is the one in go.mod, and neither paths nor times get into a program.
package programs

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Builder builds the programs of a checkout.
type Builder struct {
	// Root is the checkout.
	Root string
	// Version is the version that programs state.
	Version string
	// Overlay has files to build with instead of the files of the checkout: their paths, by the paths below the root.
	Overlay map[string]string
	// Environment is added to the environment of the go command.
	Environment []string
}

// Build builds the command cmd/NAME for a platform such as linux/arm64 into a file.
func (b Builder) Build(ctx context.Context, name, platform, file string) error {
	system, architecture, found := strings.Cut(platform, "/")
	if !found {
		return fmt.Errorf("platform %q: must be like linux/amd64", platform)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o750); err != nil {
		return err
	}
	file, err := filepath.Abs(file)
	if err != nil {
		return err
	}
	// The flags are the flags of `make build`, so that one finds in the cache what the other compiled.
	args := []string{
		"build", "-trimpath", "-buildvcs=false", "-mod=readonly",
		"-ldflags", "-s -w -X github.com/example/ksmscale/version.Version=" + b.Version, "-o", file,
	}
	if len(b.Overlay) > 0 {
		overlay, err := b.overlay(filepath.Dir(file))
		if err != nil {
			return err
		}
		args = append(args, "-overlay", overlay)
	}
	command := exec.CommandContext(ctx, "go", append(args, "./cmd/"+name)...)
	command.Dir = b.Root
	command.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off", "GOTOOLCHAIN=auto", "GOOS="+system, "GOARCH="+architecture)
	command.Env = append(command.Env, b.Environment...)
	var output bytes.Buffer
	command.Stdout, command.Stderr = &output, &output
	if err := command.Run(); err != nil {
		return fmt.Errorf("build %s for %s: %w: %s", name, platform, err, output.String())
	}
	return nil
}

// overlay writes the file that tells the go command which files to read from elsewhere.
func (b Builder) overlay(folder string) (string, error) {
	root, err := filepath.Abs(b.Root)
	if err != nil {
		return "", err
	}
	replaced := struct{ Replace map[string]string }{map[string]string{}}
	for name, file := range b.Overlay {
		replaced.Replace[filepath.Join(root, name)] = file
	}
	text, err := json.Marshal(replaced)
	if err != nil {
		return "", err
	}
	file := filepath.Join(folder, "overlay.json")
	return file, os.WriteFile(file, text, 0o600)
}
