package command

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	logsapi "k8s.io/component-base/logs/api/v1"

	"github.com/example/ksmscale/version"
)

type options struct {
	size      int
	completed bool
}

func (o *options) AddFlags(flags *pflag.FlagSet) { flags.IntVar(&o.size, "size", 1, "How large.") }
func (o *options) Complete()                     { o.completed = true }
func (o *options) Validate() error {
	if o.size < 0 {
		return errors.New("--size must not be negative")
	}
	return nil
}

func TestCommand(t *testing.T) {
	// A process may set up its logs once only; here each case is one process' worth.
	logsapi.ReapplyHandling = logsapi.ReapplyHandlingIgnoreUnchanged
	failure := errors.New("failed")
	for _, test := range []struct {
		name   string
		args   []string
		err    string
		output string
		size   int
	}{
		{name: "runs", args: []string{"--size=2"}, size: 2},
		{name: "returns what run returns", args: []string{"--size=3"}, size: 3, err: "failed"},
		{name: "says which version it is", args: []string{"--version"}, output: version.Version},
		{name: "explains its flags", args: []string{"--help"}, output: "How large."},
		{name: "refuses a bad value", args: []string{"--size=-1"}, err: "--size must not be negative"},
		{name: "refuses a flag that does not exist", args: []string{"--sise=1"}, err: "unknown flag: --sise"},
		{name: "refuses an argument", args: []string{"big"}, err: `unknown command "big"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			var ran int
			command := New("test", "tests", &options{}, func(_ context.Context, o *options) error {
				assert.True(t, o.completed)
				ran = o.size
				if o.size == 3 {
					return failure
				}
				return nil
			})
			var output bytes.Buffer
			command.SetOut(&output)
			command.SetErr(&output)
			command.SetArgs(test.args)
			err := command.Execute()
			if test.err == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, test.err)
			}
			assert.Equal(t, test.size, ran)
			assert.Contains(t, output.String(), test.output)
		})
	}
}
