// Package oci builds container images out of static programs, as OCI image layouts and as archives that containerd, Docker and kind
// import. It needs neither a daemon nor a registry, and the same programs give the same digests. Image is the way in: releases and tests
// build their images with it. Open reads a layout that was built before.
package oci
