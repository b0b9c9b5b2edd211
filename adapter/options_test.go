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

// A HorizontalPodAutoscaler reads its metric every 15 seconds.
func TestAuthorizationIsRemembered(t *testing.T) {
	assert.Equal(t, 5*time.Minute, parsed(t).base.Authorization.AllowCacheTTL)
	assert.Equal(t, time.Second, parsed(t, "--authorization-webhook-cache-authorized-ttl=1s").base.Authorization.AllowCacheTTL)
}

func TestValidate(t *testing.T) {
	assert.NoError(t, parsed(t).Validate())
	assert.ErrorContains(t, parsed(t, "--shutdown-delay-duration=-1s").Validate(), "--shutdown-delay-duration must not be negative")
	assert.ErrorContains(t, parsed(t, "--secure-port=70000").Validate(), "--secure-port")
	assert.Equal(t, 5*time.Second, parsed(t).ShutdownDelay)
}

func TestDelegateOptions(t *testing.T) {
	const ca = "--delegate-ca-file=ca.crt"
	for _, test := range []struct {
		address string
		url     string
		message string
	}{
		{address: "keda/keda-operator-metrics-apiserver:443", url: "https://keda-operator-metrics-apiserver.keda.svc:443"},
		{address: "https://metrics.example.com:8443", url: "https://metrics.example.com:8443"},
		{address: "https://metrics.example.com", url: "https://metrics.example.com"},
		{address: "https://[::1]:6443", url: "https://[::1]:6443"},
		{address: "keda/metrics", message: "--delegate=keda/metrics: it is neither a Service nor a URL; write <namespace>/<service>:<port>, such as keda/keda-operator-metrics-apiserver:443, or https://<host>:<port>"},
		{address: "keda/metrics:https", message: "neither"},
		{address: "keda/metrics:0", message: "neither"},
		{address: "keda/metrics:65536", message: "neither"},
		{address: "metrics:443", message: "neither"},
		{address: "keda/metrics/x:443", message: "neither"},
		{address: "Keda/metrics:443", message: "neither"},
		{address: "http://metrics.example.com", message: "it must be https"},
		{address: "https://", message: "no host"},
		{address: "https://:443", message: "no host"},
		{address: "https://a:0", message: "its port is invalid"},
		{address: "https://a:443/apis", message: "more than a host and a port"},
		{address: "https://user:password@a:443", message: "more than a host and a port"},
		{address: "https://a:443?b", message: "more than a host and a port"},
		{address: "https://a:b", message: "invalid port"},
	} {
		t.Run(test.address, func(t *testing.T) {
			options := parsed(t, "--delegate="+test.address, ca, "--delegate-server-name=name")
			err := options.Validate()
			if test.message != "" {
				assert.ErrorContains(t, err, test.message)
				assert.ErrorContains(t, err, "--delegate="+test.address)
				return
			}
			require.NoError(t, err)
			url, err := options.Delegate.url()
			require.NoError(t, err)
			assert.Equal(t, test.url, url.String())
			assert.Equal(t, "name", options.Delegate.ServerName)
		})
	}
	assert.ErrorContains(t, parsed(t, "--delegate=keda/metrics:443").Validate(), "--delegate needs --delegate-ca-file")
	assert.ErrorContains(t, parsed(t, ca).Validate(), "set it too, or leave them out")
	assert.ErrorContains(t, parsed(t, "--delegate-server-name=a").Validate(), "set it too, or leave them out")
}
