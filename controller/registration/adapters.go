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

// adapters have what it takes to look at the certificates that all of them serve.
type adapters struct {
	service   v1alpha1.ServiceReference
	reader    client.Reader
	handshake handshake
}

// serve is nil if all adapters serve a certificate that an authority has signed, and otherwise tells why it is not
// certain that they do.
func (a adapters) serve(ctx context.Context, authority *x509.Certificate) error {
	var endpointSlices discoveryv1.EndpointSliceList
	if err := a.reader.List(ctx, &endpointSlices, client.InNamespace(a.service.Namespace), client.MatchingLabels{discoveryv1.LabelServiceName: a.service.Name}); err != nil {
		return fmt.Errorf("list the EndpointSlices of the adapter's Service: %w", err)
	}
	addresses := servingAddresses(endpointSlices.Items)
	if len(addresses) == 0 {
		return errNoAdapter
	}
	roots := x509.NewCertPool()
	roots.AddCert(authority)
	config := &tls.Config{RootCAs: roots, ServerName: a.service.DNSName(), MinVersion: tls.VersionTLS12}
	// One that does not is enough, so that not more than one is waited for.
	for _, address := range addresses {
		if err := a.handshake(ctx, address, config); err != nil {
			return fmt.Errorf("adapter at %s: %w", address, err)
		}
	}
	return nil
}

// servingAddresses are those that requests may be sent to. An adapter that is not ready has no requests to lose.
func servingAddresses(endpointSlices []discoveryv1.EndpointSlice) []string {
	var addresses []string
	for i := range endpointSlices {
		ports := endpointSlices[i].Ports
		for _, endpoint := range endpointSlices[i].Endpoints {
			// What is not known of an endpoint counts as true.
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

// errNoAdapter is that nothing tells which certificates are served.
var errNoAdapter = errors.New("the adapter's Service has no endpoints")

// A handshake fails unless the server at an address has a certificate that the configuration accepts.
type handshake func(ctx context.Context, address string, config *tls.Config) error

// handshakeTimeout is short, as a change of the authority waits for a handshake that hangs.
const handshakeTimeout = 3 * time.Second

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
