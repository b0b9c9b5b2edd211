// Package docs has tests of the documentation: links, examples, commands, and what must agree with the code.
package docs
