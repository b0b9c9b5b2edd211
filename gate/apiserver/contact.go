package apiserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"k8s.io/client-go/rest"
)

// auditIDHeader is a header of every answer of an API server, whatever its status. Load balancers do not set it.
const auditIDHeader = "Audit-ID"

// longestAnswer is more than the version of an API server takes, in bytes.
const longestAnswer = 64 << 10

// Contact checks whether the API server answers.
type Contact struct {
	client *http.Client
	// host is the URL of the API server.
	host string
}

// NewContact returns a contact with separate connections of HTTP/1.1. A request without an answer in time ends its
// connection, so the next request opens another one. With HTTP/2, all requests would wait for a connection that died
// without an error.
func NewContact(config *rest.Config) (*Contact, error) {
	config = rest.CopyConfig(config)
	config.NextProtos = []string{"http/1.1"}
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("create the client of the API server: %w", err)
	}
	return &Contact{client: client, host: config.Host}, nil
}

// Ask returns an error if the API server does not answer in time. An error of the API server is an answer: readiness must
// not depend on how busy an API server is. An answer of a load balancer that has lost the API server is not.
func (c *Contact) Ask(ctx context.Context, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.host+"/version", nil)
	if err != nil {
		return fmt.Errorf("create a request to the API server: %w", err)
	}
	response, err := c.client.Do(request)
	if err != nil {
		return fmt.Errorf("the API server does not answer: %w", err)
	}
	// Only an answer that was read leaves its connection open for the next request.
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, longestAnswer))
	if response.Header.Get(auditIDHeader) == "" {
		err = fmt.Errorf("a proxy answered %s instead of the API server: the header %s is missing", response.Status, auditIDHeader)
	}
	return errors.Join(err, response.Body.Close())
}
