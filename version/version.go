// Package version has the version of the build.
package version

// The Makefile sets Version with the linker flag -X.
var Version = "devel"
