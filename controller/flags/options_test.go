package flags

import (
	"testing"
	"time"

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
		{name: "no image of gates", flags: []string{"--pod="}, err: "--gate-image must not be empty where there is no --pod"},
		{name: "an image of gates and no pod", flags: []string{"--pod=", "--gate-image=ksmscale"}},
		{name: "no service", flags: []string{"--adapter-service="}, err: "--adapter-service must not be empty"},
		{name: "no port", flags: []string{"--adapter-service-port=0"}, err: "--adapter-service-port is 0, and must be from 1 to 65535"},
		{name: "a slower lease", flags: []string{"--leader-elect-lease-duration=30s", "--leader-elect-renew-deadline=20s", "--leader-elect-retry-period=4s"}},
		{name: "renewals for longer than the lease", flags: []string{"--leader-elect-renew-deadline=15s"}, err: "--leader-elect-renew-deadline is 15s, and must be shorter than --leader-elect-lease-duration, which is 15s"},
		{name: "retries as rare as the deadline", flags: []string{"--leader-elect-retry-period=9s"}, err: "--leader-elect-retry-period is 9s"},
		{name: "short certificates", flags: []string{"--certificate-validity=48h", "--certificate-authority-validity=96h", "--certificate-renew-before=24h"}},
		{name: "certificates to renew from the start", flags: []string{"--certificate-validity=48h", "--certificate-renew-before=25h"}, err: "--certificate-renew-before is 25h0m0s, and must be at most half of --certificate-validity, which is 48h0m0s"},
		{name: "certificates renewed at the last moment", flags: []string{"--certificate-renew-before=1m"}, err: "--certificate-renew-before is 1m0s, and must be at least 10m0s"},
		{name: "certificates that others renew late", flags: []string{"--manage-certificate=false", "--certificate-renew-before=8700h"}},
		{name: "certificates that outlive their authority", flags: []string{"--certificate-authority-validity=8759h"}, err: "--certificate-authority-validity is 8759h0m0s, and must be at least --certificate-validity"},
		{name: "loads measured all the time", flags: []string{"--load-interval=0s"}, err: "--load-interval is 0s, and must be at least 1s"},
		{name: "no reconciles", flags: []string{"--max-concurrent-reconciles=0"}, err: "--max-concurrent-reconciles is 0, and must be at least 1"},
		{name: "no rollouts", flags: []string{"--max-concurrent-rollouts=0"}, err: "--max-concurrent-rollouts is 0, and must be at least 1"},
		{name: "no rollouts of a KSMScale", flags: []string{"--max-concurrent-rollouts-per-ksmscale=-1"}, err: "--max-concurrent-rollouts-per-ksmscale is -1, and must be at least 1"},
		{name: "retries without a pause", flags: []string{"--leader-elect-retry-period=0s"}, err: "--leader-elect-retry-period is 0s"},
	} {
		t.Run(test.name, func(t *testing.T) {
			options := NewOptions()
			options.PodName = "controller-a"
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
	assert.Equal(t, "elsewhere", NewOptions().Adapter().Namespace)
	assert.Equal(t, "ksmscale-adapter.elsewhere.svc", NewOptions().Adapter().DNSName())
}

func TestCertificateIsCheckedInTime(t *testing.T) {
	for renewBefore, want := range map[time.Duration]time.Duration{
		90 * 24 * time.Hour: 12 * time.Hour,
		10 * time.Hour:      time.Hour,
		10 * time.Minute:    time.Minute,
	} {
		options := NewOptions()
		options.CertificateRenewBefore = renewBefore
		assert.Equal(t, want, options.Certificate().CheckEvery())
	}
}
