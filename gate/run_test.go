package gate

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
)

// Anyone can connect to a gate, so a client that does not read or send must not hold a connection for ever.
func TestServerEndsConnections(t *testing.T) {
	server := newServer(":0", http.NotFoundHandler())
	assert.Equal(t, headerTimeout, server.ReadHeaderTimeout)
	assert.Equal(t, writeTimeout, server.WriteTimeout)
	assert.Equal(t, idleTimeout, server.IdleTimeout)
	assert.Greater(t, server.WriteTimeout, 10*probeTimeout, "a probe waits")
}
