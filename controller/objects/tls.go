package objects

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/example/ksmscale/api/v1alpha1"
)

const (
	tlsVolume = "kube-state-metrics-tls"
	tlsFolder = "/etc/kube-state-metrics/tls/"
	// webConfigFile is the value of --tls-config. kube-state-metrics reads it and the certificate for each connection.
	webConfigFile = "web.yaml"
	// webConfig names the certificate and the key in the same directory.
	webConfig = "tls_server_config: {cert_file: " + corev1.TLSCertKey + ", key_file: " + corev1.TLSPrivateKeyKey + "}"
)

// addTLS mounts the certificate, the key, and the file that names them, which comes from an annotation of the pod. Both containers mount the
// same files, so both get a new certificate at the same time.
func addTLS(metrics *v1alpha1.MetricsConfig, spec *corev1ac.PodSpecApplyConfiguration, containers []*corev1ac.ContainerApplyConfiguration) {
	if metrics.TLS.SecretName == "" {
		return
	}
	spec.WithVolumes(corev1ac.Volume().WithName(tlsVolume).WithProjected(corev1ac.ProjectedVolumeSource().WithSources(
		corev1ac.VolumeProjection().WithSecret(corev1ac.SecretProjection().WithName(metrics.TLS.SecretName).WithItems(
			corev1ac.KeyToPath().WithKey(corev1.TLSCertKey).WithPath(corev1.TLSCertKey),
			corev1ac.KeyToPath().WithKey(corev1.TLSPrivateKeyKey).WithPath(corev1.TLSPrivateKeyKey))),
		corev1ac.VolumeProjection().WithDownwardAPI(corev1ac.DownwardAPIProjection().WithItems(
			corev1ac.DownwardAPIVolumeFile().WithPath(webConfigFile).WithFieldRef(corev1ac.ObjectFieldSelector().
				WithAPIVersion("v1").WithFieldPath("metadata.annotations['"+v1alpha1.AnnotationWebConfig+"']")))))))
	for _, container := range containers {
		container.WithVolumeMounts(corev1ac.VolumeMount().WithName(tlsVolume).WithMountPath(tlsFolder).WithReadOnly(true))
	}
	containers[0].LivenessProbe.HTTPGet.WithScheme(corev1.URISchemeHTTPS)
}

// tlsArgs returns the arguments of kube-state-metrics for TLS.
func tlsArgs(metrics *v1alpha1.MetricsConfig) []string {
	if metrics.TLS.SecretName == "" {
		return nil
	}
	return []string{"--tls-config=" + tlsFolder + webConfigFile}
}

// gateTLSArgs returns the arguments of the gate for TLS.
func gateTLSArgs(metrics *v1alpha1.MetricsConfig) []string {
	if metrics.TLS.SecretName == "" {
		return nil
	}
	return []string{
		fmt.Sprintf("--metrics-url=https://localhost:%d/metrics", v1alpha1.PortMetrics),
		fmt.Sprintf("--telemetry-url=https://localhost:%d/metrics", v1alpha1.PortTelemetry),
		"--certificate=" + tlsFolder + corev1.TLSCertKey,
	}
}
