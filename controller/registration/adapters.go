package registration

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/example/ksmscale/api/v1alpha1"
)

// adapters verifies the certificates that all adapters serve.
type adapters struct {
	service   v1alpha1.ServiceReference
	reader    client.Reader
	handshake handshake
}

// serve returns nil if all adapters serve a certificate that a CA has signed. Otherwise it returns why that is not certain.
func (a adapters) serve(ctx context.Context, ca *x509.Certificate) error {
	var endpointSlices discoveryv1.EndpointSliceList
	if err := a.reader.List(ctx, &endpointSlices, client.InNamespace(a.service.Namespace), client.MatchingLabels{discoveryv1.LabelServiceName: a.service.Name}); err != nil {
		return fmt.Errorf("list the EndpointSlices of the adapter's Service: %w", err)
	}
	addresses := servingAddresses(endpointSlices.Items)
	if len(addresses) == 0 {
		return errNoAdapter
	}
	roots := x509.NewCertPool()
	roots.AddCert(ca)
	config := &tls.Config{RootCAs: roots, ServerName: a.service.DNSName(), MinVersion: tls.VersionTLS12}
	// It stops at the first failure, because one failure is enough and each can take until the timeout.
	for _, address := range addresses {
		if err := a.handshake(ctx, address, config); err != nil {
			return fmt.Errorf("adapter at %s: %w", address, err)
		}
	}
	return nil
}

// servingAddresses returns the addresses that can receive requests. An adapter that is not ready has no requests to lose.
func servingAddresses(endpointSlices []discoveryv1.EndpointSlice) []string {
	var addresses []string
	for i := range endpointSlices {
		ports := endpointSlices[i].Ports
		for _, endpoint := range endpointSlices[i].Endpoints {
			// An unknown condition of an endpoint counts as true.
			ready := ptr.Deref(endpoint.Conditions.Ready, true)
			if !ready && !ptr.Deref(endpoint.Conditions.Serving, ready) {
				continue
			}
			for _, port := range ports {
				for _, address := range endpoint.Addresses {
					addresses = append(addresses, net.JoinHostPort(address, strconv.Itoa(int(ptr.Deref(port.Port, 0)))))
				}
			}
		}
	}
	slices.Sort(addresses)
	return slices.Compact(addresses)
}

// errNoAdapter reports that the served certificates are unknown.
var errNoAdapter = errors.New("the adapter's Service has no endpoints")

// handshake fails unless the server at an address has a certificate that the configuration accepts.
type handshake func(ctx context.Context, address string, config *tls.Config) error

// handshakeTimeout is short, because a change of the CA waits for a handshake that hangs.
const handshakeTimeout = 3 * time.Second

// shakeHands is a handshake over TCP.
func shakeHands(ctx context.Context, address string, config *tls.Config) error {
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	connection, err := (&tls.Dialer{Config: config}).DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	_ = connection.Close() // The certificate has been verified.
	return nil
}
