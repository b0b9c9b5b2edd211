// Package validators has krew's validator of plugin manifests, and actionlint for workflows, as tools of a module of its own: they need
// older versions of modules than others do.
package validators
