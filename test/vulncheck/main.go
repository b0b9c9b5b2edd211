// Command vulncheck compares the findings of govulncheck with the list of known vulnerabilities that remain. It fails if the
// two differ: a new finding needs a newer module or a reason, and an entry without a finding goes.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "Usage: govulncheck -format json ... | vulncheck LIST")
		os.Exit(2)
	}
	if err := check(os.Stdin, os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "Error:", err)
		os.Exit(1)
	}
}

// check reads what govulncheck writes for one program after the other.
func check(output io.Reader, listName string) error {
	actual, err := findings(output)
	if err != nil {
		return fmt.Errorf("read the output of govulncheck: %w", err)
	}
	list, err := os.Open(listName)
	if err != nil {
		return fmt.Errorf("open the list of known vulnerabilities: %w", err)
	}
	defer list.Close()
	accepted, err := entries(list)
	if err != nil {
		return fmt.Errorf("read %s: %w", listName, err)
	}
	return errors.Join(compare(actual, accepted)...)
}
