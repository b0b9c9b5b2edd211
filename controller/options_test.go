package controller

import (
	"testing"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestOptions(t *testing.T) {
	for _, test := range []struct {
		name  string
		flags []string
		err   string
	}{
		{name: "defaults"},
		{name: "no namespace", flags: []string{"--namespace="}, err: "--namespace must not be empty"},
		{name: "no service", flags: []string{"--adapter-service="}, err: "--adapter-service must not be empty"},
		{name: "no port", flags: []string{"--adapter-service-port=0"}, err: "--adapter-service-port is 0, and must be from 1 to 65535"},
		{name: "a slower lease", flags: []string{"--leader-elect-lease-duration=30s", "--leader-elect-renew-deadline=20s", "--leader-elect-retry-period=4s"}},
		{name: "renewals for longer than the lease", flags: []string{"--leader-elect-renew-deadline=15s"}, err: "--leader-elect-renew-deadline is 15s, and must be shorter than --leader-elect-lease-duration, which is 15s"},
		{name: "retries as rare as the deadline", flags: []string{"--leader-elect-retry-period=9s"}, err: "--leader-elect-retry-period is 9s"},
		{name: "retries without a pause", flags: []string{"--leader-elect-retry-period=0s"}, err: "--leader-elect-retry-period is 0s"},
	} {
		t.Run(test.name, func(t *testing.T) {
			options := NewOptions()
			flags := pflag.NewFlagSet("controller", pflag.ContinueOnError)
			options.AddFlags(flags)
			require.NoError(t, flags.Parse(test.flags))
			err := options.Validate()
			if test.err == "" {
				assert.NoError(t, err)
				return
			}
			assert.ErrorContains(t, err, test.err)
		})
	}
}

func TestNamespaceIsThatOfThePod(t *testing.T) {
	t.Setenv("POD_NAMESPACE", "elsewhere")
	assert.Equal(t, "elsewhere", NewOptions().adapter().Namespace)
	assert.Equal(t, "ksmscale-adapter.elsewhere.svc", NewOptions().adapter().DNSName())
}
