package dist

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/example/ksmscale/release/signature"
)

// checksums writes the digest of every file, as sha256sum does.
func (r *release) checksums(context.Context) error {
	sums, err := sum(r.Output)
	if err != nil {
		return fmt.Errorf("sum up the release: %w", err)
	}
	return r.write(Checksums, sums)
}

// Verify returns an error unless the files of a release are those that its checksums name, all of them and no others.
func Verify(folder string) error {
	expected, err := os.ReadFile(filepath.Join(folder, Checksums))
	if err != nil {
		return err
	}
	found, err := sum(folder)
	if err != nil {
		return err
	}
	var errs []error
	for line := range strings.Lines(string(expected)) {
		if !bytes.Contains(found, []byte(line)) {
			errs = append(errs, fmt.Errorf("changed or missing: %s", strings.TrimSpace(line)))
		}
	}
	for line := range strings.Lines(string(found)) {
		if !bytes.Contains(expected, []byte(line)) {
			errs = append(errs, fmt.Errorf("not in %s: %s", Checksums, strings.TrimSpace(line)))
		}
	}
	return errors.Join(errs...)
}

func sum(folder string) ([]byte, error) {
	var sums bytes.Buffer
	err := fs.WalkDir(os.DirFS(folder), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || name == Checksums || name == Checksums+signature.Extension {
			return err
		}
		content, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			return err
		}
		digest := sha256.Sum256(content)
		fmt.Fprintf(&sums, "%s  %s\n", hex.EncodeToString(digest[:]), name)
		return nil
	})
	return sums.Bytes(), err
}
