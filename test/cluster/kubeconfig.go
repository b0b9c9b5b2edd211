package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// tokenValidity of KubeconfigFor. The token is never renewed, so it must be valid longer than every test and demo.
const tokenValidity = 12 * time.Hour

// KubeconfigFor writes a kubeconfig to path for the service account, which must exist. A program with it has exactly that
// identity and its RBAC rules. Its token is valid for 12 hours, and ends with the service account.
func (c *Cluster) KubeconfigFor(ctx context.Context, namespace, serviceAccount, path string) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	seconds := int64(tokenValidity.Seconds())
	token, err := client.CoreV1().ServiceAccounts(namespace).CreateToken(ctx, serviceAccount,
		&authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &seconds}},
		metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("create token for service account %s/%s: %w", namespace, serviceAccount, err)
	}
	user := &clientcmdapi.AuthInfo{Token: token.Status.Token}
	return writeKubeconfig(path, c.config.Host, c.pki().certFile("ca"), namespace, user)
}

// writeUserKubeconfigs writes one for each user with a client certificate.
func (c *Cluster) writeUserKubeconfigs(server string) error {
	for name := range users {
		user := &clientcmdapi.AuthInfo{
			ClientCertificate: c.pki().certFile(name), ClientKey: c.pki().keyFile(name),
		}
		err := writeKubeconfig(c.kubeconfigOf(name), server, c.pki().certFile("ca"), "", user)
		if err != nil {
			return err
		}
	}
	return nil
}

func writeKubeconfig(path, server, caFile, namespace string, user *clientcmdapi.AuthInfo) error {
	const name = "local"
	config := clientcmdapi.NewConfig()
	config.Clusters[name] = &clientcmdapi.Cluster{Server: server, CertificateAuthority: caFile}
	config.AuthInfos[name] = user
	config.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: name, Namespace: namespace}
	config.CurrentContext = name
	if err := clientcmd.WriteToFile(*config, path); err != nil {
		return fmt.Errorf("write kubeconfig %s: %w", path, err)
	}
	return nil
}

// loadConfig reads a kubeconfig; the limits are high enough to create thousands of objects without waiting.
func loadConfig(path string) (*rest.Config, error) {
	config, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil {
		return nil, fmt.Errorf("load kubeconfig %s: %w", path, err)
	}
	config.QPS, config.Burst = 2000, 4000
	return config, nil
}

func (c *Cluster) client() (*kubernetes.Clientset, error) {
	if c.config == nil {
		return nil, errors.New("the start of this cluster was cut short")
	}
	client, err := kubernetes.NewForConfig(c.config)
	if err != nil {
		return nil, fmt.Errorf("create client: %w", err)
	}
	return client, nil
}
