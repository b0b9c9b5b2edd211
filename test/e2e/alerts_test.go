package e2e

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"os/exec"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/keyutil"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/example/ksmscale/api/v1alpha1"
	"github.com/example/ksmscale/controller/objects"
)

// seeAlerts makes faults that a Prometheus notices. For each, the expression of the alert holds there, and the first command of the runbook
// names the cause. TestInstall and package integration have the other alerts.
func seeAlerts(t *testing.T, prometheus *prometheusServer, ksmScale *v1alpha1.KSMScale) {
	t.Helper()
	t.Run("a network policy", func(t *testing.T) { seeNotScraped(t, prometheus, ksmScale) })
	t.Run("missing rights, and a version with bugs", func(t *testing.T) { seeMissingRights(t, prometheus, ksmScale) })
	t.Run("a controller that may not renew the certificate", func(t *testing.T) { seeNotRenewed(t, prometheus) })
}

// awaitAlert waits until the expression of an alert holds. The alert itself fires some minutes later.
func (s *prometheusServer) awaitAlert(t *testing.T, alert, matchers string) {
	t.Helper()
	s.AwaitSome(t, fmt.Sprintf("ALERTS{alertname=%q,%s}", alert, matchers))
}

// seeNotScraped lets a network policy refuse the scrapes of a shard. The local cluster has no network plugin that enforces policies, so the
// network namespaces of the pods drop the packets. The liveness probe of kube-state-metrics fails too, and may for two minutes.
func seeNotScraped(t *testing.T, prometheus *prometheusServer, ksmScale *v1alpha1.KSMScale) {
	t.Helper()
	ofShard := v1alpha1.Shard{KSMScale: ksmScale.Name, Total: ksmScale.TotalShards()}.Selector()
	policy := &networkingv1.NetworkPolicy{
		ObjectMeta: metav1.ObjectMeta{Namespace: monitoringNamespace, Name: "deny-all"},
		Spec: networkingv1.NetworkPolicySpec{
			PodSelector: metav1.LabelSelector{MatchLabels: ofShard}, PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress},
		},
	}
	create(t, policy)
	for _, pod := range pods(t, monitoringNamespace, labels.SelectorFromSet(ofShard).String()) {
		process := strconv.Itoa(processOf(t, pod, "kube-state-metrics"))
		output, err := exec.CommandContext(t.Context(), "nsenter", "--target", process, "--net", "iptables", "--wait", "--insert", "INPUT",
			"!", "--in-interface", "lo", "--protocol", "tcp", "--dport", fmt.Sprint(v1alpha1.PortMetrics), "--jump", "DROP").CombinedOutput()
		require.NoError(t, err, string(output))
		// The rule ends with the network namespace of the pod, also if its process has ended.
		t.Cleanup(func() {
			kubectl(t, "delete", "pod", "-n", pod.Namespace, pod.Name, "--ignore-not-found", "--wait=false")
		})
	}
	prometheus.awaitAlert(t, "KSMShardNotScraped", fmt.Sprintf("ksmscale=%q,shard=%q", ksmScale.Name, "0"))
	awaitCauses(t, "KSMShardNotScraped", ksmScale, fmt.Sprintf("KSMScale %s: NetworkPolicy deny-all limits who may connect to its pods", ksmScale.Name))
}

// seeMissingRights lets pods of an old version run with a service account that may not list one resource, and not watch another one.
func seeMissingRights(t *testing.T, prometheus *prometheusServer, ksmScale *v1alpha1.KSMScale) {
	t.Helper()
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: monitoringNamespace, Name: "own"}}
	role := &rbacv1.ClusterRole{}
	require.NoError(t, shared.client.Get(t.Context(), client.ObjectKey{Name: objects.MonitorClusterRole}, role))
	role = &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: account.Name}, Rules: role.Rules}
	for i := range role.Rules {
		role.Rules[i].Resources = slices.DeleteFunc(role.Rules[i].Resources, func(resource string) bool { return resource == "configmaps" || resource == "services" })
	}
	role.Rules = append(role.Rules, rbacv1.PolicyRule{APIGroups: []string{corev1.GroupName}, Resources: []string{"services"}, Verbs: []string{"list"}})
	create(t, account, role, &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: account.Name},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role.Name},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: account.Namespace, Name: account.Name}},
	})
	before := ksmScale.Spec
	t.Cleanup(func() {
		update(t, ksmScale, func(spec *v1alpha1.KSMScaleSpec) {
			spec.MonitorImage, spec.Template = before.MonitorImage, before.Template
		})
	})
	update(t, ksmScale, func(spec *v1alpha1.KSMScaleSpec) {
		spec.MonitorImage = "registry.k8s.io/kube-state-metrics/kube-state-metrics:v2.18.0"
		spec.Template = &v1alpha1.PodTemplate{ServiceAccountName: account.Name}
	})
	ofKSMScale := fmt.Sprintf("ksmscale=%q", ksmScale.Name)
	prometheus.awaitAlert(t, "KSMListErrors", ofKSMScale+`,resource="*v1.ConfigMap"`)
	prometheus.awaitAlert(t, "KSMWatchErrors", ofKSMScale+`,resource="*v1.Service"`)
	prometheus.awaitAlert(t, "KSMVersionWithShardingBugs", ofKSMScale+`,version="v2.18.0"`)
	lacks := fmt.Sprintf("KSMScale %s: service account %s/own lacks the rights to list configmaps, watch configmaps, watch services", ksmScale.Name, monitoringNamespace)
	awaitCauses(t, "KSMListErrors", ksmScale, lacks)
	awaitCauses(t, "KSMWatchErrors", ksmScale, lacks)
	awaitCauses(t, "KSMVersionWithShardingBugs", ksmScale, "VersionSupported False, KnownBugs", "v2.20.0")
}

// seeNotRenewed takes the right to write the adapter's certificate from the controller, and replaces the certificate and its CA by ones that
// end soon, as if the controller had not renewed them for years. With the right, the controller renews both.
func seeNotRenewed(t *testing.T, prometheus *prometheusServer) {
	t.Helper()
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: systemNamespace, Name: "ksmscale-adapter-certificate"}}
	role := &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: systemNamespace, Name: "ksmscale-controller"}}
	require.NoError(t, shared.client.Get(t.Context(), client.ObjectKeyFromObject(role), role))
	granted := role.DeepCopy()
	role.Rules = slices.DeleteFunc(role.Rules, func(rule rbacv1.PolicyRule) bool { return slices.Contains(rule.ResourceNames, secret.Name) })
	require.Less(t, len(role.Rules), len(granted.Rules))
	require.NoError(t, shared.client.Update(t.Context(), role))
	restore := sync.OnceFunc(func() {
		granted.ResourceVersion = ""
		require.NoError(t, shared.client.Update(context.WithoutCancel(t.Context()), granted))
		// A change of the Secret starts a check at once.
		kubectl(t, "annotate", "--overwrite", "secret", "-n", systemNamespace, secret.Name, "example.com/checked=now")
	})
	t.Cleanup(restore)
	awaitRight(t, controllerUser, authorizationv1.ResourceAttributes{Verb: "update", Namespace: systemNamespace, Resource: "secrets", Name: secret.Name}, false)
	awaitRight(t, controllerUser, authorizationv1.ResourceAttributes{Verb: "patch", Namespace: systemNamespace, Resource: "secrets", Name: secret.Name}, false)

	const ending = 10*24*time.Hour + time.Hour
	require.NoError(t, shared.client.Get(t.Context(), client.ObjectKeyFromObject(secret), secret))
	secret.Data = endingCertificates(t, ending)
	require.NoError(t, shared.client.Update(t.Context(), secret))
	// New pods do not wait for the kubelet to deliver the Secret.
	kubectl(t, "delete", "pods", "-n", systemNamespace, "-l", "app.kubernetes.io/component=adapter")
	awaitAvailable(t, systemNamespace, "ksmscale-adapter")
	for _, certificate := range []string{"server", "authority"} {
		prometheus.awaitAlert(t, "KSMCertificateNearExpiry", fmt.Sprintf("certificate=%q", certificate))
	}
	awaitCauses(t, "KSMCertificateNearExpiry", &v1alpha1.KSMScale{}, "WARNING CA of the adapter: it ends on ", "WARNING certificate of the adapter: it ends on ",
		", in 10 days, and should have been renewed", "see why the controller has not renewed it", "OK      external metrics API: ")

	restore()
	prometheus.AwaitSome(t, fmt.Sprintf("min(ksmscale_certificate_expiration_timestamp_seconds) - time() > %d", int((2*ending).Seconds())))
	prometheus.AwaitNone(t, `ALERTS{alertname="KSMCertificateNearExpiry"}`)
}

// endingCertificates returns the data of a Secret with a CA and a certificate of the adapter that both end after a time.
func endingCertificates(t *testing.T, left time.Duration) map[string][]byte {
	t.Helper()
	end := time.Now().Add(left)
	template := func(name string) *x509.Certificate {
		return &x509.Certificate{
			SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: end.AddDate(-10, 0, 0), NotAfter: end,
			KeyUsage: x509.KeyUsageDigitalSignature, BasicConstraintsValid: true,
		}
	}
	ca, server := template("ending"), template("ksmscale-adapter."+systemNamespace+".svc")
	ca.IsCA, ca.KeyUsage = true, x509.KeyUsageCertSign
	server.DNSNames, server.ExtKeyUsage = []string{server.Subject.CommonName}, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	signed := func(certificate *x509.Certificate, public *ecdsa.PublicKey) []byte {
		der, err := x509.CreateCertificate(rand.Reader, certificate, ca, public, caKey)
		require.NoError(t, err)
		encoded, err := cert.EncodeCertificates(&x509.Certificate{Raw: der})
		require.NoError(t, err)
		return encoded
	}
	encode := func(key *ecdsa.PrivateKey) []byte {
		encoded, err := keyutil.MarshalPrivateKeyToPEM(key)
		require.NoError(t, err)
		return encoded
	}
	return map[string][]byte{
		"ca.crt": signed(ca, &caKey.PublicKey), "ca.key": encode(caKey),
		corev1.TLSCertKey: signed(server, &key.PublicKey), corev1.TLSPrivateKeyKey: encode(key),
	}
}
