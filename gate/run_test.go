package gate

import (
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Anyone can connect to a gate, so a client that does not read or send must not hold a connection for ever.
func TestServerEndsConnections(t *testing.T) {
	for name, request := range map[string]string{
		"without the end of its headers": "GET / HTTP/1.1\r\nHost: gate\r\n",
		"without its body":               "POST / HTTP/1.1\r\nHost: gate\r\nContent-Length: 100\r\n\r\n",
		"without another request":        "GET / HTTP/1.1\r\nHost: gate\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			server := newServer("", http.NotFoundHandler())
			// 0 would be no timeout.
			for _, timeout := range []*time.Duration{&server.ReadHeaderTimeout, &server.ReadTimeout, &server.WriteTimeout, &server.IdleTimeout} {
				*timeout = min(*timeout, 50*time.Millisecond)
			}
			go func() { _ = server.Serve(listener) }()
			t.Cleanup(func() { require.NoError(t, server.Close()) })
			connection, err := net.Dial("tcp", listener.Addr().String())
			require.NoError(t, err)
			defer connection.Close()
			_, err = connection.Write([]byte(request))
			require.NoError(t, err)
			tooLate := time.AfterFunc(time.Minute, func() { connection.Close() })
			defer tooLate.Stop()
			_, err = io.ReadAll(connection)
			assert.NoError(t, err, "the server closes the connection")
		})
	}
	assert.Greater(t, requestTimeout, 10*probeTimeout, "a probe waits")
}
