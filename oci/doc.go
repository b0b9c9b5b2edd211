// Package oci builds container images from static programs. It writes OCI image layouts, and archives that containerd,
// Docker and kind import. It needs no daemon and no registry, and the same programs always give the same digests. Start
// with Image: releases and tests build their images with it. Open reads a layout that was built before.
package oci
