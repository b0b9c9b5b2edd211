// Package version has the version of the build.
package version

// Version is set by the Makefile with the linker flag -X.
var Version = "devel"
