package verify

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/controller/objects"
	"github.com/example/ksmscale/gate"
	"github.com/example/ksmscale/gate/exposition"
	"github.com/example/ksmscale/plugin/cluster"
)

// tokenSeconds is how long a requested token is valid, which is the shortest time that the API server accepts.
const tokenSeconds = 600

// access returns what a client of the shards needs. With authFilter, that is a token of the service account of the pods, as the gate has
// it. The pods already have this token, so it shows them nothing new.
func (v *Verifier) access(ctx context.Context) (cluster.Access, error) {
	var result cluster.Access
	metrics := &v.KSMScale.Spec.Metrics
	if metrics.TLS.SecretName != "" {
		var err error
		if result.TLS, err = v.tlsConfig(ctx); err != nil {
			return cluster.Access{}, err
		}
	}
	if metrics.AuthFilter {
		request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: new(int64(tokenSeconds))}}
		account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: v.KSMScale.Spec.Namespace, Name: objects.ServiceAccountOf(v.KSMScale)}}
		if err := v.Client.SubResource("token").Create(ctx, account, request); err != nil {
			return cluster.Access{}, fmt.Errorf("request a token of service account %s, because spec.metrics.authFilter is set: %w", account.Name, err)
		}
		result.Token = request.Status.Token
	}
	return result, nil
}

// tlsConfig verifies certificates as Prometheus does, by spec.monitoring.tlsConfig. The flag --monitor-ca-file replaces its CA.
func (v *Verifier) tlsConfig(ctx context.Context) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: objects.ScrapedServerName(v.KSMScale)}
	spec := v.KSMScale.Spec.Monitoring.TLSConfig
	var authority []byte
	var err error
	switch {
	case v.CAFile != "":
		authority, err = os.ReadFile(v.CAFile)
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
func (v *Verifier) read(ctx context.Context, from v1alpha1.SecretOrConfigMap) ([]byte, error) {
	if from.ConfigMap.Name != "" {
		configMap := &corev1.ConfigMap{}
		err := v.Client.Get(ctx, client.ObjectKey{Namespace: v.KSMScale.Spec.Namespace, Name: from.ConfigMap.Name}, configMap)
		return []byte(configMap.Data[from.ConfigMap.Key]), err
	}
	secret := &corev1.Secret{}
	err := v.Client.Get(ctx, client.ObjectKey{Namespace: v.KSMScale.Spec.Namespace, Name: from.Secret.Name}, secret)
	return secret.Data[from.Secret.Key], err
}

// rights returns what verify needs.
func (v *Verifier) rights(exporter *gate.Options, kinds []exposition.Resource) []cluster.Right {
	namespace := v.KSMScale.Spec.Namespace
	rights := []cluster.Right{{
		ResourceAttributes: authorizationv1.ResourceAttributes{Verb: "create", Resource: "pods", Subresource: "portforward", Namespace: namespace}, Why: "to reach the pods of the shards",
	}}
	if v.KSMScale.Spec.Metrics.AuthFilter {
		rights = append(rights, cluster.Right{ResourceAttributes: authorizationv1.ResourceAttributes{
			Verb: "create", Resource: "serviceaccounts", Subresource: "token", Namespace: namespace, Name: objects.ServiceAccountOf(v.KSMScale),
		}, Why: "because of spec.metrics.authFilter"})
	}
	return append(rights, cluster.ReadRights("list", exporter, kinds, "to compare them")...)
}

// requireRights returns an error that names each right that the user lacks.
func (v *Verifier) requireRights(ctx context.Context, exporter *gate.Options, kinds []exposition.Resource) error {
	lacking, err := v.Lacking(ctx, v.rights(exporter, kinds))
	if err != nil || len(lacking) == 0 {
		return err
	}
	var names []string
	for _, one := range lacking {
		names = append(names, fmt.Sprintf("%s (%s)", one, one.Why))
	}
	return fmt.Errorf("you lack these rights: %s", strings.Join(names, ", "))
}

// withoutUnlistable removes the resources that kube-state-metrics may not list, and records them. A user without the right to ask about
// the rights of others compares all.
func (v *Verifier) withoutUnlistable(ctx context.Context, kinds []exposition.Resource) []exposition.Resource {
	if len(v.KSMScale.Spec.Metrics.Namespaces) > 0 {
		// Its rights may be limited to these namespaces.
		return kinds
	}
	var rights []cluster.Right
	for _, kind := range kinds {
		rights = append(rights, cluster.Right{ResourceAttributes: authorizationv1.ResourceAttributes{
			Verb: "list", Group: kind.GroupVersionResource.Group, Resource: kind.GroupVersionResource.Resource, Namespace: metav1.NamespaceAll,
		}, Why: kind.Name})
	}
	unlistable, err := v.MonitorLacks(ctx, v.KSMScale, rights)
	if err != nil {
		return kinds
	}
	for _, one := range unlistable {
		v.skipped[one.Why] = fmt.Sprintf("service account %s may not list it", objects.ServiceAccountOf(v.KSMScale))
	}
	return slices.DeleteFunc(kinds, func(kind exposition.Resource) bool { return v.skipped[kind.Name] != "" })
}
