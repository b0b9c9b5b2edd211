// Package version names the version that was built.
package version

// Version is set by the linker (-X), as the Makefile does.
var Version = "devel"
