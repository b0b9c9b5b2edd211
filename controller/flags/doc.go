// Package flags is the command line of the controller: its options, their defaults, and which values are refused. Package controller
// runs with the result.
package flags
