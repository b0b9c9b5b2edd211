// Package plugin is the kubectl plugin `kubectl ksmscale`. Each command has a file of its own, and root.go joins them. The plugin
// only reads. It computes with the packages of the controller and of the gate, so its answers are theirs. Package cluster reads the
// objects of a KSMScale, and reaches the containers of its pods. Packages verify, check and changes compute the answers of the
// commands verify, check and plan, and package printer writes tables and trees.
//
// A command returns what it found as a value, which -o prints as JSON or YAML. Otherwise a function of the same package writes it
// as text. docs/kubectl-plugin.md has a transcript of each command.
package plugin
