// Package sbom lists the modules that programs are built from, as SPDX documents. It reads what the go command writes into each program.
package sbom

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/hex"
	"fmt"
	"maps"
	"os"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	spdxjson "github.com/spdx/tools-golang/json"
	"github.com/spdx/tools-golang/spdx"
	"github.com/spdx/tools-golang/spdx/v2/common"
)

// Subject is the image or archive that a document is about.
type Subject struct {
	Name, Version string
	// Digest is the digest of an image; empty for an archive.
	Digest string
	// Source is the home of the project's source.
	Source string
	// Created is when the document says that it was created.
	Created time.Time
	// Programs are files of this machine, by their paths in the image or archive.
	Programs map[string]string
}

const subjectID common.ElementID = "Package-subject"

// Document returns the document in JSON.
func Document(subject Subject) ([]byte, error) {
	document := &spdx.Document{
		SPDXVersion: spdx.Version, DataLicense: spdx.DataLicense, SPDXIdentifier: "DOCUMENT",
		DocumentName: subject.Name + "-" + subject.Version,
		CreationInfo: &spdx.CreationInfo{
			Created:  subject.Created.UTC().Format(time.RFC3339),
			Creators: []common.Creator{{CreatorType: "Tool", Creator: "ksmscale-release"}},
		},
		Packages: []*spdx.Package{{
			PackageName: subject.Name, PackageSPDXIdentifier: subjectID, PackageVersion: subject.Version,
			PackageDownloadLocation: "NOASSERTION", PackageLicenseConcluded: "Apache-2.0", PackageLicenseDeclared: "Apache-2.0",
			PackageCopyrightText: "NOASSERTION",
		}},
		Relationships: []*spdx.Relationship{relationship("DOCUMENT", "DESCRIBES", subjectID)},
	}
	if algorithm, value, found := strings.Cut(subject.Digest, ":"); found {
		document.Packages[0].PackageChecksums = []common.Checksum{{Algorithm: common.ChecksumAlgorithm(strings.ToUpper(algorithm)), Value: value}}
	}
	modules := map[string]*debug.Module{}
	digests := sha256.New()
	for _, path := range slices.Sorted(maps.Keys(subject.Programs)) {
		file, err := addProgram(document, path, subject.Programs[path], modules)
		if err != nil {
			return nil, err
		}
		fmt.Fprintln(digests, path, file.Checksums[0].Value)
	}
	for _, key := range slices.Sorted(maps.Keys(modules)) {
		document.Packages = append(document.Packages, modulePackage(modules[key]))
	}
	// It must be another one for other contents.
	document.DocumentNamespace = fmt.Sprintf("%s/sbom/%s-%s-%s", subject.Source, subject.Name, subject.Version, hex.EncodeToString(digests.Sum(nil)))
	var text bytes.Buffer
	if err := spdxjson.Write(document, &text, spdxjson.Indent("  ")); err != nil {
		return nil, fmt.Errorf("write SPDX document of %s: %w", subject.Name, err)
	}
	return text.Bytes(), nil
}

// addProgram adds a file to the document and its modules to the others.
func addProgram(document *spdx.Document, path, file string, modules map[string]*debug.Module) (*spdx.File, error) {
	info, err := buildinfo.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read modules of %s: %w", path, err)
	}
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(content)
	added := &spdx.File{
		FileName: "." + path, FileSPDXIdentifier: common.ElementID("File-" + identifier(path)),
		Checksums:        []common.Checksum{{Algorithm: common.SHA256, Value: hex.EncodeToString(sum[:])}},
		LicenseConcluded: "NOASSERTION", FileCopyrightText: "NOASSERTION",
	}
	document.Files = append(document.Files, added)
	document.Relationships = append(document.Relationships, relationship(subjectID, "CONTAINS", added.FileSPDXIdentifier))
	// The standard library is a module that go does not list.
	standard := &debug.Module{Path: "stdlib", Version: strings.TrimPrefix(info.GoVersion, "go")}
	for _, module := range append(slices.Clone(info.Deps), standard, &info.Main) {
		module = cmp.Or(module.Replace, module)
		modules[module.Path+"@"+module.Version] = module
		document.Relationships = append(document.Relationships, relationship(added.FileSPDXIdentifier, "GENERATED_FROM", moduleID(module)))
	}
	return added, nil
}

func modulePackage(module *debug.Module) *spdx.Package {
	version := module.Version
	location := "pkg:golang/" + module.Path
	if version != "" && version != "(devel)" {
		location += "@" + version
	}
	return &spdx.Package{
		PackageName: module.Path, PackageSPDXIdentifier: moduleID(module), PackageVersion: version,
		PackageDownloadLocation: "NOASSERTION", PackageLicenseConcluded: "NOASSERTION", PackageLicenseDeclared: "NOASSERTION",
		PackageCopyrightText: "NOASSERTION",
		PackageExternalReferences: []*spdx.PackageExternalReference{
			{Category: common.CategoryPackageManager, RefType: common.TypePackageManagerPURL, Locator: location},
		},
	}
}

func relationship(from common.ElementID, kind string, to common.ElementID) *spdx.Relationship {
	return &spdx.Relationship{RefA: common.MakeDocElementID("", string(from)), Relationship: kind, RefB: common.MakeDocElementID("", string(to))}
}

func moduleID(module *debug.Module) common.ElementID {
	return common.ElementID("Module-" + identifier(module.Path+"-"+module.Version))
}

var notInIdentifiers = regexp.MustCompile(`[^A-Za-z0-9.-]+`)

func identifier(text string) string {
	return notInIdentifiers.ReplaceAllString(strings.Trim(text, "/"), "-")
}
