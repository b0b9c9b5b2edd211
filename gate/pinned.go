package gate

import (
	"bytes"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"os"
)

var errOtherCertificate = errors.New("kube-state-metrics shows another certificate than the one that it was given")

// pinned connects to no one but who shows the certificate in a file, and has its key. Neither names nor times count: the
// certificate is made for those who scrape, and to be unready when it has expired would help no one.
func pinned(file string) http.RoundTripper {
	return &http.Transport{
		ForceAttemptHTTP2: true,
		TLSClientConfig: &tls.Config{
			MinVersion:         tls.VersionTLS12,
			InsecureSkipVerify: true, //nolint:gosec // VerifyConnection compares the certificate itself.
			VerifyConnection: func(state tls.ConnectionState) error {
				// It is read each time, because it changes.
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

// certificateOf is the first certificate in a file, which is that of the server.
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
