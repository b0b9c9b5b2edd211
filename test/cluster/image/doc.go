// Package image makes container images out of static binaries of this machine, as tar files that containerd and
// Docker import: neither a daemon nor a registry is needed. Image.Write is the way in; project.go has the images
// that tests use.
package image
