package ksm

import (
	"bytes"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"os"
)

var errOtherCertificate = errors.New("kube-state-metrics serves a certificate other than the mounted one")

// pinned connects only to a server that has the certificate in a file, and its key. It does not check names and times. The
// certificate is for the clients that scrape, and a pod that is unready after its expiry would help no client.
func pinned(file string) http.RoundTripper {
	return &http.Transport{
		ForceAttemptHTTP2: true,
		TLSClientConfig: &tls.Config{
			MinVersion:         tls.VersionTLS12,
			InsecureSkipVerify: true, //nolint:gosec // VerifyConnection compares the certificate itself.
			VerifyConnection: func(state tls.ConnectionState) error {
				// The file is read for each connection, because it changes.
				given, err := certificateOf(file)
				if err != nil {
					return err
				}
				if len(state.PeerCertificates) == 0 || !bytes.Equal(state.PeerCertificates[0].Raw, given) {
					return errOtherCertificate
				}
				return nil
			},
		},
	}
}

// certificateOf is the first certificate in a file, which is the server's.
func certificateOf(file string) ([]byte, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read the certificate of kube-state-metrics: %w", err)
	}
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "CERTIFICATE" {
			return block.Bytes, nil
		}
	}
	return nil, fmt.Errorf("%s has no certificate", file)
}
