package flags

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/pflag"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/controller/partition"
	"github.com/example/ksmscale/controller/registration"
	"github.com/example/ksmscale/sizing"
)

// defaultMeasureInterval is also the default of the gate.
const defaultMeasureInterval = 5 * time.Minute

// defaultCountInterval is also the default of the gate.
const defaultCountInterval = time.Minute

// Options configures a controller. Create it with NewOptions.
type Options struct {
	// Kubeconfig is the path of a kubeconfig; empty for the service account of the pod.
	Kubeconfig string
	// Namespace is the namespace of the controller and the adapter, which has the lease, the adapter's Service and its certificate.
	Namespace string
	// PodName is the name of the pod of the controller. GateImage is the image of the gates; empty for the image of its init container gate.
	PodName, GateImage string
	// ExternalMetrics registers the adapter as the server of external metrics; false if the installation has no adapter.
	ExternalMetrics bool
	// AdapterService and AdapterServicePort are the name and the port of the adapter's Service.
	AdapterService     string
	AdapterServicePort int32
	// ManageCertificate creates and renews the adapter's certificate; false if something else does.
	ManageCertificate bool
	// CertificateSecret is the name of the Secret with the adapter's certificate, and CertificateDirectory is where it is mounted.
	CertificateSecret    string
	CertificateDirectory string
	// CertificateValidity and CAValidity are how long the adapter's certificate and its CA are valid. CertificateRenewBefore is how long
	// before its end each is renewed.
	CertificateValidity, CAValidity, CertificateRenewBefore time.Duration
	// LeaderElect lets only one of several controllers act.
	LeaderElect bool
	// LeaseDuration is the time without a renewal after which another controller can become the leader. RenewDeadline is how long the leader
	// tries to renew its lease before it exits, and RetryPeriod is the time between two attempts.
	LeaseDuration, RenewDeadline, RetryPeriod time.Duration
	// LoadInterval is the time between two measurements of the load of shards.
	LoadInterval time.Duration
	// SizeInterval is the time between two readings of what the gates have measured, and MeasureInterval the time between two
	// measurements of a gate.
	SizeInterval, MeasureInterval time.Duration
	// CountInterval is the time between two counts of objects of a gate.
	CountInterval time.Duration
	// Sizing are the times for which figures must recommend another size before it applies.
	Sizing sizing.Settings
	// ConcurrentReconciles is how many KSMScales are reconciled at the same time. It limits the requests to the API server, because a
	// reconcile sends one after the other.
	ConcurrentReconciles int
	// Rollouts bound how many shards replace their pods at the same time.
	Rollouts partition.RolloutLimits
	// MetricsAddress and HealthAddress are the addresses of the controller's metrics and probes; "0" for MetricsAddress disables metrics.
	MetricsAddress string
	HealthAddress  string
}

// NewOptions returns the defaults. The environment variable POD_NAMESPACE sets the namespace.
func NewOptions() *Options {
	namespace := os.Getenv("POD_NAMESPACE")
	if namespace == "" {
		namespace = "ksmscale-system"
	}
	return &Options{
		Namespace:            namespace,
		PodName:              os.Getenv("POD_NAME"),
		ExternalMetrics:      true,
		AdapterService:       "ksmscale-adapter",
		AdapterServicePort:   443,
		ManageCertificate:    true,
		CertificateSecret:    "ksmscale-adapter-certificate",
		CertificateDirectory: "/etc/ksmscale/certificate",
		// A certificate is in use for three quarters of a year, and its CA for almost ten years. The controller renews both early enough
		// that it can be down for weeks.
		CertificateValidity:    365 * 24 * time.Hour,
		CAValidity:             10 * 365 * 24 * time.Hour,
		CertificateRenewBefore: 90 * 24 * time.Hour,
		LeaderElect:            true,
		LeaseDuration:          15 * time.Second,
		RenewDeadline:          10 * time.Second,
		RetryPeriod:            2 * time.Second,
		LoadInterval:           30 * time.Second,
		SizeInterval:           time.Minute,
		MeasureInterval:        defaultMeasureInterval,
		CountInterval:          defaultCountInterval,
		Sizing:                 sizing.DefaultSettings(),
		ConcurrentReconciles:   16,
		Rollouts:               partition.RolloutLimits{PerKSMScale: 1, Total: 3},
		MetricsAddress:         ":8443",
		HealthAddress:          ":8081",
	}
}

// AddFlags adds a flag for each option.
func (o *Options) AddFlags(flags *pflag.FlagSet) {
	flags.StringVar(&o.Kubeconfig, "kubeconfig", o.Kubeconfig, "Path of a kubeconfig; empty in a pod.")
	flags.StringVar(&o.Namespace, "namespace", o.Namespace, "Namespace of the controller and the adapter. The environment variable POD_NAMESPACE sets the default.")
	flags.StringVar(&o.PodName, "pod", o.PodName, "Name of the pod that the controller runs in. The environment variable POD_NAME sets the default.")
	flags.StringVar(&o.GateImage, "gate-image", o.GateImage, "Image of the gate, which runs next to each kube-state-metrics; empty for the image of the init container gate in the pod of the controller.")
	flags.BoolVar(&o.ExternalMetrics, "external-metrics", o.ExternalMetrics, "Register the adapter as the server of external metrics. If false, the controller ignores the adapter and its certificate.")
	flags.StringVar(&o.AdapterService, "adapter-service", o.AdapterService, "Name of the adapter's Service.")
	flags.Int32Var(&o.AdapterServicePort, "adapter-service-port", o.AdapterServicePort, "Port of the adapter's Service.")
	flags.BoolVar(&o.ManageCertificate, "manage-certificate", o.ManageCertificate, "Create and renew the adapter's certificate. If false, something else has to, for example cert-manager, and the CA in ca.crt of its Secret is trusted.")
	flags.StringVar(&o.CertificateSecret, "certificate-secret", o.CertificateSecret, "Name of the Secret that has the adapter's certificate.")
	flags.StringVar(&o.CertificateDirectory, "certificate-directory", o.CertificateDirectory, "Directory where that Secret is mounted.")
	flags.DurationVar(&o.CertificateValidity, "certificate-validity", o.CertificateValidity, "How long a certificate of the adapter is valid.")
	flags.DurationVar(&o.CAValidity, "certificate-authority-validity", o.CAValidity, "How long the CA of that certificate is valid.")
	flags.DurationVar(&o.CertificateRenewBefore, "certificate-renew-before", o.CertificateRenewBefore, "How long before its end the certificate is renewed, and likewise its CA. Adapters have to get the new certificate within this time. If the certificate is not managed, this is only exported as a metric.")
	flags.BoolVar(&o.LeaderElect, "leader-elect", o.LeaderElect, "Let only one of several controllers act.")
	flags.DurationVar(&o.LeaseDuration, "leader-elect-lease-duration", o.LeaseDuration, "Time without a renewal of the lease after which another controller can become the leader.")
	flags.DurationVar(&o.RenewDeadline, "leader-elect-renew-deadline", o.RenewDeadline, "How long the leader tries to renew its lease before it exits; shorter than the duration of the lease.")
	flags.DurationVar(&o.RetryPeriod, "leader-elect-retry-period", o.RetryPeriod, "Time between two attempts to get or renew the lease; shorter than the deadline of renewals.")
	flags.DurationVar(&o.LoadInterval, "load-interval", o.LoadInterval, "How often the controller reads the CPU that shards use from port 8082 of their pods, for KSMScales with the strategy least-loaded.")
	flags.DurationVar(&o.SizeInterval, "size-interval", o.SizeInterval, "How often the controller reads from port 8082 of pods what their gates have measured.")
	flags.DurationVar(&o.MeasureInterval, "gate-measure-interval", o.MeasureInterval, "How often each gate reads the metrics of its kube-state-metrics to measure them. A change restarts all shards, one after the other.")
	flags.DurationVar(&o.CountInterval, "gate-count-interval", o.CountInterval, "How often each gate counts the objects of the cluster and of its kube-state-metrics, to find missing objects. Use at least --size-interval. A change restarts all shards, one after the other.")
	flags.DurationVar(&o.Sizing.RiseAfter, "shards-rise-after", o.Sizing.RiseAfter, "How long a shard is over a target of spec.sharding.auto before the number of shards rises.")
	flags.DurationVar(&o.Sizing.FallAfter, "shards-fall-after", o.Sizing.FallAfter, "How long a lower number of shards fits before the number falls.")
	flags.DurationVar(&o.Sizing.ReshardHold, "reshard-hold", o.Sizing.ReshardHold, "How long after a change of the number of shards by spec.sharding.auto it is harder to make smaller: a lower number must have room for a tenth more, and a request must be three steps too large.")
	flags.DurationVar(&o.Sizing.CPURiseAfter, "cpu-rise-after", o.Sizing.CPURiseAfter, "How long a CPU request is too small before spec.autoResources raises it.")
	flags.DurationVar(&o.Sizing.ShrinkAfter, "requests-fall-after", o.Sizing.ShrinkAfter, "How long a memory or CPU request is two steps too large, or three within --reshard-hold, before spec.autoResources lowers it.")
	flags.IntVar(&o.ConcurrentReconciles, "max-concurrent-reconciles", o.ConcurrentReconciles, "How many KSMScales are reconciled at the same time. Each reconcile sends one request to the API server after the other, so this limits the requests that run at the same time.")
	flags.IntVar(&o.Rollouts.Total, "max-concurrent-rollouts", o.Rollouts.Total, "How many shards of all KSMScales together replace their pods at the same time, after a change of their template or an upgrade of KSMScale. Each kube-state-metrics that starts lists the whole cluster. Shards that are being created, and rollouts past their progress deadline, do not count.")
	flags.IntVar(&o.Rollouts.PerKSMScale, "max-concurrent-rollouts-per-ksmscale", o.Rollouts.PerKSMScale, "How many shards of one KSMScale replace their pods at the same time.")
	flags.StringVar(&o.MetricsAddress, "metrics-bind-address", o.MetricsAddress, "Address of the controller's metrics, which are served with TLS to clients with the right to get /metrics; 0 disables them.")
	flags.StringVar(&o.HealthAddress, "health-probe-bind-address", o.HealthAddress, "Address of /healthz and /readyz.")
}

// Complete fills in options that depend on others. There are none.
func (o *Options) Complete() {}

// Validate returns an error for each invalid flag.
func (o *Options) Validate() error {
	var errs []error
	for _, required := range []struct{ flag, value string }{
		{"namespace", o.Namespace},
		{"adapter-service", o.AdapterService},
		{"certificate-secret", o.CertificateSecret},
		{"certificate-directory", o.CertificateDirectory},
	} {
		if required.value == "" {
			errs = append(errs, fmt.Errorf("--%s must not be empty", required.flag))
		}
	}
	if o.GateImage == "" && o.PodName == "" {
		errs = append(errs, errors.New("--gate-image must not be empty where there is no --pod to read it from"))
	}
	if o.AdapterServicePort < 1 || o.AdapterServicePort > 65535 {
		errs = append(errs, fmt.Errorf("--adapter-service-port is %d, and must be from 1 to 65535", o.AdapterServicePort))
	}
	errs = append(errs, o.validateCertificate())
	if o.LoadInterval < minLoadInterval {
		errs = append(errs, fmt.Errorf("--load-interval is %s, and must be at least %s", o.LoadInterval, minLoadInterval))
	}
	errs = append(errs, o.validateSizing(), o.validateRollouts())
	if o.RenewDeadline >= o.LeaseDuration {
		errs = append(errs, fmt.Errorf("--leader-elect-renew-deadline is %s, and must be shorter than --leader-elect-lease-duration, which is %s", o.RenewDeadline, o.LeaseDuration))
	}
	// Leader election adds up to a fifth to each period.
	if longest := o.RetryPeriod * 6 / 5; o.RetryPeriod <= 0 || longest >= o.RenewDeadline {
		errs = append(errs, fmt.Errorf("--leader-elect-retry-period is %s, and must be above 0 and, with a fifth added, shorter than --leader-elect-renew-deadline, which is %s", o.RetryPeriod, o.RenewDeadline))
	}
	return errors.Join(errs...)
}

// validateCertificate validates the validity of the certificate and its CA.
func (o *Options) validateCertificate() error {
	if !o.ManageCertificate {
		return nil // Something else renews the certificate, and metrics show when.
	}
	var errs []error
	if o.CertificateRenewBefore < minRenewBefore {
		errs = append(errs, fmt.Errorf("--certificate-renew-before is %s, and must be at least %s", o.CertificateRenewBefore, minRenewBefore))
	}
	// A certificate that is due for renewal at its creation would be renewed without end.
	if o.CertificateRenewBefore > o.CertificateValidity/2 {
		errs = append(errs, fmt.Errorf("--certificate-renew-before is %s, and must be at most half of --certificate-validity, which is %s", o.CertificateRenewBefore, o.CertificateValidity))
	}
	if o.CAValidity < o.CertificateValidity {
		errs = append(errs, fmt.Errorf("--certificate-authority-validity is %s, and must be at least --certificate-validity, which is %s", o.CAValidity, o.CertificateValidity))
	}
	return errors.Join(errs...)
}

// validateSizing validates the times of sizes.
func (o *Options) validateSizing() error {
	var errs []error
	for _, limit := range []struct {
		flag         string
		value, least time.Duration
	}{
		{"size-interval", o.SizeInterval, time.Second}, {"gate-measure-interval", o.MeasureInterval, time.Second},
		{"gate-count-interval", o.CountInterval, time.Second},
		{"shards-rise-after", o.Sizing.RiseAfter, 0}, {"shards-fall-after", o.Sizing.FallAfter, 0}, {"reshard-hold", o.Sizing.ReshardHold, 0},
		{"cpu-rise-after", o.Sizing.CPURiseAfter, 0}, {"requests-fall-after", o.Sizing.ShrinkAfter, 0},
	} {
		if limit.value < limit.least {
			errs = append(errs, fmt.Errorf("--%s is %s, and must be at least %s", limit.flag, limit.value, limit.least))
		}
	}
	return errors.Join(errs...)
}

// validateRollouts validates the limits of reconciles and rollouts.
func (o *Options) validateRollouts() error {
	var errs []error
	for _, limit := range []struct {
		flag  string
		value int
	}{{"max-concurrent-reconciles", o.ConcurrentReconciles}, {"max-concurrent-rollouts", o.Rollouts.Total}, {"max-concurrent-rollouts-per-ksmscale", o.Rollouts.PerKSMScale}} {
		if limit.value < 1 {
			errs = append(errs, fmt.Errorf("--%s is %d, and must be at least 1", limit.flag, limit.value))
		}
	}
	return errors.Join(errs...)
}

// Adapter returns the Service of the adapter.
func (o *Options) Adapter() v1alpha1.ServiceReference {
	return v1alpha1.ServiceReference{Namespace: o.Namespace, Name: o.AdapterService, Port: o.AdapterServicePort}
}

// Certificate returns the options of the adapter's certificate.
func (o *Options) Certificate() registration.CertificateOptions {
	return registration.CertificateOptions{
		Adapter:     o.Adapter(),
		Secret:      client.ObjectKey{Namespace: o.Namespace, Name: o.CertificateSecret},
		Directory:   o.CertificateDirectory,
		Validity:    o.CertificateValidity,
		CAValidity:  o.CAValidity,
		RenewBefore: o.CertificateRenewBefore,
	}
}

// minRenewBefore leaves kubelets ample time to deliver a new certificate to adapters.
const minRenewBefore = 10 * time.Minute

// minLoadInterval is the shortest time over which the CPU usage of a process is precise enough.
const minLoadInterval = time.Second

// GateMeasureInterval returns 0 for the default, which is also the default of the gate. So an upgrade from a version without the flag does
// not change the pod template for it.
func (o *Options) GateMeasureInterval() time.Duration {
	if o.MeasureInterval == defaultMeasureInterval {
		return 0
	}
	return o.MeasureInterval
}

// GateCountInterval returns 0 for the default, like GateMeasureInterval.
func (o *Options) GateCountInterval() time.Duration {
	if o.CountInterval == defaultCountInterval {
		return 0
	}
	return o.CountInterval
}
