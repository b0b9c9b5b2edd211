package adapter

import (
	"context"
	"fmt"
	"net/http"
	"sync/atomic"

	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	"k8s.io/metrics/pkg/apis/external_metrics/v1beta1"
	"sigs.k8s.io/custom-metrics-apiserver/pkg/apiserver"
)

// maxAnswer is the size in bytes of the largest accepted answer. It has room for thousands of series or names.
const maxAnswer = 2 << 20

// delegateClient has a client of the delegate, which trusts the current content of the CA file.
type delegateClient struct {
	config *rest.Config
	ca     *dynamiccertificates.DynamicFileCAContent
	// current is replaced when the CAs change.
	current atomic.Pointer[rest.RESTClient]
}

var _ dynamiccertificates.Listener = (*delegateClient)(nil)

// newDelegateClient returns a client with the credentials of the adapter at its API server.
func newDelegateClient(adapterConfig *rest.Config, options *DelegateOptions) (*delegateClient, error) {
	url, err := options.url()
	if err != nil {
		return nil, err
	}
	ca, err := dynamiccertificates.NewDynamicCAContentFromFile("delegate", options.CAFile)
	if err != nil {
		return nil, fmt.Errorf("read --delegate-ca-file: %w", err)
	}
	client := &delegateClient{config: delegateConfig(adapterConfig, url.String(), options.ServerName), ca: ca}
	ca.AddListener(client)
	return client, client.renew()
}

// delegateConfig is the client configuration of the delegate, without its CAs.
func delegateConfig(adapterConfig *rest.Config, host, serverName string) *rest.Config {
	config := rest.CopyConfig(adapterConfig)
	config.Host, config.APIPath = host, "/apis"
	config.GroupVersion = &v1beta1.SchemeGroupVersion
	config.NegotiatedSerializer = apiserver.Codecs.WithoutConversion()
	config.AcceptContentTypes, config.ContentType = "", "application/json"
	config.Insecure = false
	config.CAFile = ""
	config.ServerName = serverName
	config.Impersonate = rest.ImpersonationConfig{}
	// A compressed answer could be larger than maxAnswer.
	config.DisableCompression = true
	// Delegate limits the number of requests and their duration.
	config.RateLimiter, config.QPS, config.Timeout = nil, -1, 0
	config.WarningHandler, config.WarningHandlerWithContext = rest.NoWarnings{}, nil
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return limited{next} })
	return config
}

// Run reads the CAs again when their file changes, until the context is done.
func (c *delegateClient) Run(ctx context.Context) { c.ca.Run(ctx, 1) }

// Enqueue is called when the CAs have changed.
func (c *delegateClient) Enqueue() {
	if err := c.renew(); err != nil {
		klog.Background().Error(err, "Cannot use the CAs of the delegate; the client keeps the previous CAs")
	}
}

func (c *delegateClient) renew() error {
	config := rest.CopyConfig(c.config)
	config.CAData = c.ca.CurrentCABundleContent()
	httpClient, err := rest.HTTPClientFor(config)
	if err != nil {
		return fmt.Errorf("create a client of the delegate: %w", err)
	}
	// The client would send the adapter's token to the target of a redirect.
	httpClient.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	client, err := rest.RESTClientForConfigAndClient(config, httpClient)
	if err != nil {
		return fmt.Errorf("create a client of the delegate: %w", err)
	}
	c.current.Store(client)
	return nil
}

// get is a request to the delegate without retries.
func (c *delegateClient) get() *rest.Request { return c.current.Load().Get().MaxRetries(0) }

// limited returns an error after maxAnswer bytes of an answer.
type limited struct{ next http.RoundTripper }

// RoundTrip is part of http.RoundTripper.
func (l limited) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := l.next.RoundTrip(request)
	if err == nil {
		response.Body = http.MaxBytesReader(nil, response.Body, maxAnswer)
	}
	return response, err
}
