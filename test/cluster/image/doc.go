// Package image has the container images that tests run: the images of a release, read from its OCI image layouts, and others that package
// oci builds out of programs below bin/. All is the way in.
package image
