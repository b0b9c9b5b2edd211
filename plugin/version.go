package plugin

import (
	"github.com/spf13/cobra"

	"github.com/example/ksmscale/plugin/printer"
	"github.com/example/ksmscale/version"
)

// versions are the versions of the plugin and of what it meets.
type versions struct {
	Plugin string `json:"plugin"`
}

func (o *options) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version of the plugin",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return o.print(versions{version.Version}, func(p *printer.Painter) { p.Printf("kubectl ksmscale %s\n", version.Version) })
		},
	}
}
