// Package image has the container images that tests run. It reads the images of a release from their OCI image layouts.
// Package oci builds the others from programs in bin/. Start with All.
package image
