package adapter

import (
	"testing"
	"time"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func parsed(t *testing.T, args ...string) *Options {
	t.Helper()
	options := NewOptions()
	flags := pflag.NewFlagSet("adapter", pflag.ContinueOnError)
	options.AddFlags(flags)
	require.NoError(t, flags.Parse(args))
	options.Complete()
	return options
}

func TestKubeconfigIsUsedForEverything(t *testing.T) {
	options := parsed(t, "--kubeconfig=a")
	assert.Equal(t, "a", options.base.RemoteKubeConfigFile)
	assert.Equal(t, "a", options.base.Authentication.RemoteKubeConfigFile)
	assert.Equal(t, "a", options.base.Authorization.RemoteKubeConfigFile)

	options = parsed(t, "--kubeconfig=a", "--authentication-kubeconfig=b")
	assert.Equal(t, "b", options.base.Authentication.RemoteKubeConfigFile)
	assert.Equal(t, "a", options.base.Authorization.RemoteKubeConfigFile)
}

func TestValidate(t *testing.T) {
	assert.NoError(t, parsed(t).Validate())
	assert.ErrorContains(t, parsed(t, "--shutdown-delay-duration=-1s").Validate(), "--shutdown-delay-duration must not be negative")
	assert.ErrorContains(t, parsed(t, "--secure-port=70000").Validate(), "--secure-port")
	assert.Equal(t, 5*time.Second, parsed(t).ShutdownDelay)
}
