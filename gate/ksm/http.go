package ksm

import (
	"fmt"
	"net/http"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/transport"
)

// NewHTTPClient returns an HTTP client of kube-state-metrics. With a certificate's file, the server must have that certificate. With
// authenticates, the client sends the token of the service account.
func NewHTTPClient(config *rest.Config, certificate string, authenticates bool) (*http.Client, error) {
	transporter := http.DefaultTransport
	if certificate != "" {
		transporter = pinned(certificate)
	}
	if !authenticates {
		return &http.Client{Transport: transporter}, nil
	}
	// The client reads the token from its file repeatedly, because the token changes.
	withToken, err := transport.NewBearerAuthWithRefreshRoundTripper(config.BearerToken, config.BearerTokenFile, transporter)
	if err != nil {
		return nil, fmt.Errorf("read the token of the service account: %w", err)
	}
	return &http.Client{Transport: withToken}, nil
}
