package gate

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"k8s.io/client-go/rest"
)

// auditIDHeader is in every answer that an API server gives itself, whatever its status. Load balancers do not set it.
const auditIDHeader = "Audit-ID"

// contact asks the API server whether it answers.
type contact struct {
	client *http.Client
	// host is the URL of the API server.
	host string
}

// newContact has connections of its own, of HTTP/1.1: a request that is not answered in time ends its connection, so that the
// next one tries another. Over HTTP/2 it would wait, together with all other requests, for a connection that died in silence.
func newContact(config *rest.Config) (*contact, error) {
	config = rest.CopyConfig(config)
	config.NextProtos = []string{"http/1.1"}
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("create the client of the API server: %w", err)
	}
	return &contact{client: client, host: config.Host}, nil
}

// ask returns an error if the API server does not answer in time. Any answer of its own will do, an error too: readiness must
// not depend on how busy an API server is. An answer of a load balancer, which has lost the API server, will not do.
func (c *contact) ask(ctx context.Context, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.host+"/version", nil)
	if err != nil {
		return fmt.Errorf("ask the API server: %w", err)
	}
	response, err := c.client.Do(request)
	if err != nil {
		return fmt.Errorf("the API server does not answer: %w", err)
	}
	if response.Header.Get(auditIDHeader) == "" {
		err = fmt.Errorf("something between answers %s instead of the API server: the header %s is missing", response.Status, auditIDHeader)
	}
	return errors.Join(err, response.Body.Close())
}
