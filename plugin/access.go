package plugin

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/transport"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/controller/objects"
	"github.com/example/ksmscale/gate"
	"github.com/example/ksmscale/gate/exposition"
)

// tokenSeconds is how long a requested token is valid, which is the shortest time that the API server accepts.
const tokenSeconds = 600

// access is what a client needs to read the metrics of kube-state-metrics.
type access struct {
	// tls is how to verify the certificate; nil without TLS.
	tls *tls.Config
	// token is for authFilter; empty without it.
	token string
}

// access returns what a client of the shards needs. With authFilter, that is a token of the service account of the pods, as the gate has
// it. The pods already have this token, so it shows them nothing new.
func (v *verifier) access(ctx context.Context) (access, error) {
	var result access
	metrics := &v.ksmScale.Spec.Metrics
	if metrics.TLS.SecretName != "" {
		var err error
		if result.tls, err = v.tlsConfig(ctx); err != nil {
			return access{}, err
		}
	}
	if metrics.AuthFilter {
		request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: new(int64(tokenSeconds))}}
		account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: v.ksmScale.Spec.Namespace, Name: objects.ServiceAccountOf(v.ksmScale)}}
		if err := v.client.SubResource("token").Create(ctx, account, request); err != nil {
			return access{}, fmt.Errorf("request a token of service account %s, because spec.metrics.authFilter is set: %w", account.Name, err)
		}
		result.token = request.Status.Token
	}
	return result, nil
}

// tlsConfig verifies certificates as Prometheus does, by spec.monitoring.tlsConfig. The flag --monitor-ca-file replaces its CA.
func (v *verifier) tlsConfig(ctx context.Context) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: objects.ScrapedServerName(v.ksmScale)}
	spec := v.ksmScale.Spec.Monitoring.TLSConfig
	var authority []byte
	var err error
	switch {
	case v.caFile != "":
		authority, err = os.ReadFile(v.caFile)
	case spec == nil:
		return nil, errors.New("the KSMScale has no spec.monitoring.tlsConfig with the CA of kube-state-metrics' certificate: set --monitor-ca-file")
	case spec.CA == nil:
		config.InsecureSkipVerify = spec.InsecureSkipVerify
		return config, nil
	default:
		authority, err = v.read(ctx, *spec.CA)
	}
	if err != nil {
		return nil, fmt.Errorf("read the CA of kube-state-metrics' certificate: %w", err)
	}
	config.RootCAs = x509.NewCertPool()
	if !config.RootCAs.AppendCertsFromPEM(authority) {
		return nil, errors.New("the CA of kube-state-metrics' certificate is no PEM certificate")
	}
	return config, nil
}

// read returns the value of a key of a Secret or ConfigMap.
func (v *verifier) read(ctx context.Context, from v1alpha1.SecretOrConfigMap) ([]byte, error) {
	if from.ConfigMap.Name != "" {
		configMap := &corev1.ConfigMap{}
		err := v.client.Get(ctx, client.ObjectKey{Namespace: v.ksmScale.Spec.Namespace, Name: from.ConfigMap.Name}, configMap)
		return []byte(configMap.Data[from.ConfigMap.Key]), err
	}
	secret := &corev1.Secret{}
	err := v.client.Get(ctx, client.ObjectKey{Namespace: v.ksmScale.Spec.Namespace, Name: from.Secret.Name}, secret)
	return secret.Data[from.Secret.Key], err
}

// readMonitor reads the objects that the kube-state-metrics of a pod exposes, through a tunnel.
func (c *cluster) readMonitor(ctx context.Context, pod *corev1.Pod, with access) (gate.Exposed, error) {
	options, err := gateOptions(&pod.Spec)
	if err != nil {
		return nil, err
	}
	opened, err := c.tunnel(ctx, pod, v1alpha1.PortMetrics, v1alpha1.PortTelemetry)
	if err != nil {
		return nil, err
	}
	defer opened.close()
	for port, address := range map[int32]*string{v1alpha1.PortMetrics: &options.MetricsURL, v1alpha1.PortTelemetry: &options.TelemetryURL} {
		parsed, err := url.Parse(*address)
		if err != nil {
			return nil, err
		}
		parsed.Host = opened.addresses[port]
		*address = parsed.String()
	}
	var transporter http.RoundTripper = &http.Transport{TLSClientConfig: with.tls, DisableKeepAlives: true}
	if with.token != "" {
		transporter = transport.NewBearerAuthRoundTripper(with.token, transporter)
	}
	return options.Exposed(ctx, &http.Client{Transport: transporter})
}

// right is a right that a command needs.
type right struct {
	authorizationv1.ResourceAttributes
	why string
}

func (r right) String() string {
	resource := r.Resource
	if r.Subresource != "" {
		resource += "/" + r.Subresource
	}
	if r.Group != "" {
		resource += "." + r.Group
	}
	text := r.Verb + " " + resource
	if r.Name != "" {
		text += " " + r.Name
	}
	if r.Namespace != "" {
		text += " in namespace " + r.Namespace
	}
	return text
}

// rights returns what verify needs.
func (v *verifier) rights(exporter *gate.Options, kinds []exposition.Resource) []right {
	namespace := v.ksmScale.Spec.Namespace
	rights := []right{{authorizationv1.ResourceAttributes{Verb: "create", Resource: "pods", Subresource: "portforward", Namespace: namespace}, "to reach the pods of the shards"}}
	if v.ksmScale.Spec.Metrics.AuthFilter {
		rights = append(rights, right{authorizationv1.ResourceAttributes{
			Verb: "create", Resource: "serviceaccounts", Subresource: "token", Namespace: namespace, Name: objects.ServiceAccountOf(v.ksmScale),
		}, "because of spec.metrics.authFilter"})
	}
	return append(rights, readRights("list", exporter, kinds, "to compare them")...)
}

// readRights returns the rights to a verb of all objects that kube-state-metrics exports of some resources.
func readRights(verb string, exporter *gate.Options, kinds []exposition.Resource, why string) []right {
	var rights []right
	for _, kind := range kinds {
		namespaces := []string{metav1.NamespaceAll}
		if kind.Namespaced && len(exporter.Namespaces) > 0 {
			namespaces = exporter.Namespaces
		}
		for _, namespace := range namespaces {
			rights = append(rights, right{authorizationv1.ResourceAttributes{
				Verb: verb, Group: kind.GroupVersionResource.Group, Resource: kind.GroupVersionResource.Resource, Namespace: namespace,
			}, why})
		}
	}
	return rights
}

// requireRights returns an error that names each right that the user lacks.
func (v *verifier) requireRights(ctx context.Context, exporter *gate.Options, kinds []exposition.Resource) error {
	lacking, err := v.lacking(ctx, v.rights(exporter, kinds))
	if err != nil || len(lacking) == 0 {
		return err
	}
	var names []string
	for _, one := range lacking {
		names = append(names, fmt.Sprintf("%s (%s)", one, one.why))
	}
	return fmt.Errorf("you lack these rights: %s", strings.Join(names, ", "))
}

// lacking returns the rights that the user does not have.
func (c *cluster) lacking(ctx context.Context, rights []right) ([]right, error) {
	return refused(rights, func(one right) (bool, error) {
		review := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &one.ResourceAttributes}}
		if err := c.client.Create(ctx, review); err != nil {
			return false, fmt.Errorf("check your rights: %w", err)
		}
		return review.Status.Allowed, nil
	})
}

// refused returns the rights that are not allowed, in their order. It asks about all of them at the same time.
func refused(rights []right, allowed func(right) (bool, error)) ([]right, error) {
	verdicts, errs := make([]bool, len(rights)), make([]error, len(rights))
	var all sync.WaitGroup
	for i := range rights {
		all.Go(func() { verdicts[i], errs[i] = allowed(rights[i]) })
	}
	all.Wait()
	var lacking []right
	for i := range rights {
		if !verdicts[i] {
			lacking = append(lacking, rights[i])
		}
	}
	return lacking, errors.Join(errs...)
}

// withoutUnlistable removes the resources that kube-state-metrics may not list, and records them. A user without the right to ask about
// the rights of others compares all.
func (v *verifier) withoutUnlistable(ctx context.Context, kinds []exposition.Resource) []exposition.Resource {
	if len(v.ksmScale.Spec.Metrics.Namespaces) > 0 {
		// Its rights may be limited to these namespaces.
		return kinds
	}
	var rights []right
	for _, kind := range kinds {
		rights = append(rights, right{ResourceAttributes: authorizationv1.ResourceAttributes{
			Verb: "list", Group: kind.GroupVersionResource.Group, Resource: kind.GroupVersionResource.Resource, Namespace: metav1.NamespaceAll,
		}, why: kind.Name})
	}
	unlistable, err := v.monitorLacks(ctx, v.ksmScale, rights)
	if err != nil {
		return kinds
	}
	for _, one := range unlistable {
		v.skipped[one.why] = fmt.Sprintf("service account %s may not list it", objects.ServiceAccountOf(v.ksmScale))
	}
	return slices.DeleteFunc(kinds, func(kind exposition.Resource) bool { return v.skipped[kind.Name] != "" })
}
