package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// table writes a line for each resource of each role, with the number of different requests for each verb. It has the
// rights that the suites should use.
func (c comparison) table(output io.Writer, exceptions exceptions, suites ...string) error {
	writer := tabwriter.NewWriter(output, 0, 0, 2, ' ', 0)
	fmt.Fprintln(writer, "ROLE\tRIGHT TO\tREQUESTS OF EACH VERB")
	type row struct{ role, object string }
	verbs := map[row][]string{}
	var rows []row
	for _, one := range c.granted {
		if !slices.Contains(suites, exceptions.suiteOf(one)) {
			continue
		}
		this := row{one.Role, one.object()}
		if verbs[this] == nil {
			rows = append(rows, this)
		}
		cell := fmt.Sprintf("%s %d", one.Verb, c.uses[one])
		if exceptions.unused[one.String()] != "" {
			cell = one.Verb + " (exception)"
		}
		verbs[this] = append(verbs[this], cell)
	}
	for _, this := range rows {
		fmt.Fprintf(writer, "%s\t%s\t%s\n", this.role, this.object, strings.Join(verbs[this], ", "))
	}
	return writer.Flush()
}
