package controller

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/example/ksmscale/api/v1alpha1"
)

func always() bool { return true }

func never() bool { return false }

func TestCollector(t *testing.T) {
	scheme := runtime.NewScheme()
	require.NoError(t, v1alpha1.AddToScheme(scheme))
	scaled := &v1alpha1.KSMScale{ObjectMeta: metav1.ObjectMeta{Name: "main"}, Status: v1alpha1.KSMScaleStatus{
		ShardingStatus: &v1alpha1.ShardingStatus{TotalShards: 2, ShardDistribution: map[string]v1alpha1.ShardReplicas{"0": {Ready: 3}, "1": {}}},
		Conditions: []metav1.Condition{
			{Type: v1alpha1.ConditionCovered, Status: metav1.ConditionFalse},
			{Type: v1alpha1.ConditionAutoscaling, Status: metav1.ConditionUnknown},
		},
	}}
	fresh := &v1alpha1.KSMScale{ObjectMeta: metav1.ObjectMeta{Name: "new"}, Spec: v1alpha1.KSMScaleSpec{
		Autoscaling: &v1alpha1.AutoscalingConfig{Mode: v1alpha1.ModeNone},
	}}
	reader := fake.NewClientBuilder().WithScheme(scheme).WithObjects(scaled, fresh).Build()

	assert.NoError(t, testutil.CollectAndCompare(collector{ksmScales: reader, synced: always}, strings.NewReader(`
# HELP ksmscale_autoscaling_mode Who scales the shards of a KSMScale: 1 for the mode that it is in, 0 for the others.
# TYPE ksmscale_autoscaling_mode gauge
ksmscale_autoscaling_mode{ksmscale="main",mode="Direct"} 0
ksmscale_autoscaling_mode{ksmscale="main",mode="HorizontalPodAutoscaler"} 1
ksmscale_autoscaling_mode{ksmscale="main",mode="None"} 0
ksmscale_autoscaling_mode{ksmscale="new",mode="Direct"} 0
ksmscale_autoscaling_mode{ksmscale="new",mode="HorizontalPodAutoscaler"} 0
ksmscale_autoscaling_mode{ksmscale="new",mode="None"} 1
# HELP ksmscale_ready_replicas Number of ready pods of a shard.
# TYPE ksmscale_ready_replicas gauge
ksmscale_ready_replicas{ksmscale="main",shard="0",total_shards="2"} 3
ksmscale_ready_replicas{ksmscale="main",shard="1",total_shards="2"} 0
# HELP ksmscale_shard_covered 1 if a shard has a ready pod, or all of the shards have that it will take over from; 0 if its objects are missing from the metrics.
# TYPE ksmscale_shard_covered gauge
ksmscale_shard_covered{ksmscale="main",shard="0",total_shards="2"} 1
ksmscale_shard_covered{ksmscale="main",shard="1",total_shards="2"} 0
# HELP ksmscale_status_condition The conditions of a KSMScale: 1 for the status that one has, 0 for the others.
# TYPE ksmscale_status_condition gauge
ksmscale_status_condition{condition="Autoscaling",ksmscale="main",status="false"} 0
ksmscale_status_condition{condition="Autoscaling",ksmscale="main",status="true"} 0
ksmscale_status_condition{condition="Autoscaling",ksmscale="main",status="unknown"} 1
ksmscale_status_condition{condition="Covered",ksmscale="main",status="false"} 1
ksmscale_status_condition{condition="Covered",ksmscale="main",status="true"} 0
ksmscale_status_condition{condition="Covered",ksmscale="main",status="unknown"} 0
`)))
	assert.Zero(t, testutil.CollectAndCount(collector{ksmScales: reader, synced: never}))
}

func TestCertificateCollector(t *testing.T) {
	end := time.Unix(2_000_000_000, 0)
	server, authority := newAuthority(t, end), newAuthority(t, end.Add(time.Hour))
	key := client.ObjectKey{Namespace: "ksmscale-system", Name: "certificate"}
	with := func(data map[string][]byte) certificateCollector {
		secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name}, Data: data}
		return certificateCollector{
			secrets: fake.NewClientBuilder().WithObjects(secret).Build(), synced: always,
			certificate: certificateOptions{secret: key, renewBefore: 1000 * time.Second},
		}
	}
	made := with(map[string][]byte{corev1.TLSCertKey: bundle(t, server), caCertificateKey: bundle(t, authority)})

	assert.NoError(t, testutil.CollectAndCompare(made, strings.NewReader(`
# HELP ksmscale_certificate_expiration_timestamp_seconds Unix time of the end of the adapter's certificate (server), and of its authority's (authority).
# TYPE ksmscale_certificate_expiration_timestamp_seconds gauge
ksmscale_certificate_expiration_timestamp_seconds{certificate="authority"} 2.0000036e+09
ksmscale_certificate_expiration_timestamp_seconds{certificate="server"} 2e+09
# HELP ksmscale_certificate_renewal_timestamp_seconds Unix time from which on the adapter's certificate (server), or its authority's (authority), is to be renewed.
# TYPE ksmscale_certificate_renewal_timestamp_seconds gauge
ksmscale_certificate_renewal_timestamp_seconds{certificate="authority"} 2.0000026e+09
ksmscale_certificate_renewal_timestamp_seconds{certificate="server"} 1.999999e+09
`)))

	assert.Zero(t, testutil.CollectAndCount(with(nil)), "none has been made yet")
	assert.Zero(t, testutil.CollectAndCount(with(map[string][]byte{corev1.TLSCertKey: []byte("?")})), "no certificate")
	made.certificate.secret.Name = "other"
	assert.Zero(t, testutil.CollectAndCount(made), "no Secret")
	made.synced = never
	assert.Zero(t, testutil.CollectAndCount(made), "the cache has not been started")
	made.synced, made.secrets = always, failingReader{Reader: made.secrets}
	assert.ErrorContains(t, testutil.CollectAndCompare(made, strings.NewReader("")), "no right")
}

type failingReader struct{ client.Reader }

// Get fails.
func (failingReader) Get(_ context.Context, _ client.ObjectKey, _ client.Object, _ ...client.GetOption) error {
	return errors.New("no right")
}
