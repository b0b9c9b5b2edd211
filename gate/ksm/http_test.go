package ksm

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/client-go/rest"
)

func TestTheTokenIsSentOnlyIfItIsAskedFor(t *testing.T) {
	var sent string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		sent = request.Header.Get("Authorization")
		_, _ = w.Write([]byte("# TYPE process_start_time_seconds gauge\nprocess_start_time_seconds 1\n"))
	}))
	t.Cleanup(server.Close)
	token := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(token, []byte("secret"), 0o600))
	config := &rest.Config{BearerTokenFile: token}

	for authenticate, expected := range map[bool]string{true: "Bearer secret", false: ""} {
		client, err := NewHTTPClient(config, "", authenticate)
		require.NoError(t, err)
		_, err = (&Client{HTTP: client, Telemetry: server.URL}).Process(t.Context(), time.Minute)
		require.NoError(t, err)
		assert.Equal(t, expected, sent)
	}
}
