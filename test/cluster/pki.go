package cluster

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net"
	"path/filepath"
	"time"

	"k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/keyutil"
)

// validity of every certificate: long enough for a cluster somebody forgot to take down.
const validity = 365 * 24 * time.Hour

// pki writes the keys and certificates of a cluster to a folder. The files are NAME.crt and NAME.key.
type pki struct{ dir string }

// signer is a CA: its certificate and its signing key.
type signer struct {
	certificate *x509.Certificate
	key         crypto.Signer
}

func (p pki) certFile(name string) string { return filepath.Join(p.dir, name+".crt") }
func (p pki) keyFile(name string) string  { return filepath.Join(p.dir, name+".key") }

// writeAll creates the files that the components' flags name. These are a CA for the API server and its clients, a second
// CA for requests that the API server passes on to aggregated API servers, and the key that signs service-account tokens.
// With a single CA, any client could pose as the API server.
func (p pki) writeAll() error {
	ca, err := p.writeCA("ca")
	if err != nil {
		return err
	}
	proxyCA, err := p.writeCA("proxy-ca")
	if err != nil {
		return err
	}
	server := cert.Config{
		CommonName: APIServer,
		AltNames: cert.AltNames{
			DNSNames: []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"},
			IPs:      []net.IP{net.IPv4(127, 0, 0, 1), net.ParseIP(apiServerServiceIP), net.ParseIP(nodeAddress(0)), net.ParseIP(nodeAddress(1))},
		},
		Usages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if err := p.writeSigned("server", server, ca); err != nil {
		return err
	}
	for name, user := range users {
		if err := p.writeSigned(name, user, ca); err != nil {
			return err
		}
	}
	if err := p.writeSigned(proxyUser, clientConfig(proxyUser), proxyCA); err != nil {
		return err
	}
	_, err = p.writeKey("service-account")
	return err
}

// clientConfig describes the certificate of a user; its organizations are the user's groups.
func clientConfig(user string, groups ...string) cert.Config {
	return cert.Config{
		CommonName: user, Organization: groups, Usages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
}

func (p pki) writeCA(name string) (signer, error) {
	key, err := p.writeKey(name)
	if err != nil {
		return signer{}, err
	}
	signed, err := cert.NewSelfSignedCACert(cert.Config{CommonName: name}, key)
	if err != nil {
		return signer{}, fmt.Errorf("create CA %s: %w", name, err)
	}
	return signer{signed, key}, p.writeCert(name, signed)
}

func (p pki) writeSigned(name string, config cert.Config, by signer) error {
	key, err := p.writeKey(name)
	if err != nil {
		return err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return fmt.Errorf("draw serial number for %s: %w", name, err)
	}
	template := &x509.Certificate{
		Subject:      pkix.Name{CommonName: config.CommonName, Organization: config.Organization},
		DNSNames:     config.AltNames.DNSNames,
		IPAddresses:  config.AltNames.IPs,
		SerialNumber: serial,
		NotBefore:    by.certificate.NotBefore,
		NotAfter:     time.Now().Add(validity),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  config.Usages,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, by.certificate, key.Public(), by.key)
	if err != nil {
		return fmt.Errorf("sign certificate of %s: %w", name, err)
	}
	return p.writeCert(name, &x509.Certificate{Raw: der})
}

func (p pki) writeCert(name string, signed *x509.Certificate) error {
	encoded, err := cert.EncodeCertificates(signed)
	if err != nil {
		return fmt.Errorf("encode certificate of %s: %w", name, err)
	}
	if err := cert.WriteCert(p.certFile(name), encoded); err != nil {
		return fmt.Errorf("write certificate of %s: %w", name, err)
	}
	return nil
}

func (p pki) writeKey(name string) (crypto.Signer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("generate key of %s: %w", name, err)
	}
	encoded, err := keyutil.MarshalPrivateKeyToPEM(key)
	if err != nil {
		return nil, fmt.Errorf("encode key of %s: %w", name, err)
	}
	if err := keyutil.WriteKey(p.keyFile(name), encoded); err != nil {
		return nil, fmt.Errorf("write key of %s: %w", name, err)
	}
	return key, nil
}
