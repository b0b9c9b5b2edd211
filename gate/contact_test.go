package gate

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"k8s.io/client-go/rest"

	"github.com/example/ksmscale/gate/apiserver"
)

// blackHoles passes connections on, until it swallows all data of the open ones.
type blackHoles struct {
	net.Listener
	to string

	mu  sync.Mutex
	old []*atomic.Bool
}

func newBlackHoles(t *testing.T, to string) *blackHoles {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	holes := &blackHoles{Listener: listener, to: to}
	go holes.accept()
	return holes
}

func (h *blackHoles) accept() {
	for {
		in, err := h.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("tcp", h.to)
		if err != nil {
			_ = in.Close()
			continue
		}
		dead := &atomic.Bool{}
		h.mu.Lock()
		h.old = append(h.old, dead)
		h.mu.Unlock()
		go pass(in, out, dead)
		go pass(out, in, dead)
	}
}

func pass(to io.WriteCloser, from io.Reader, dead *atomic.Bool) {
	buffer := make([]byte, 4<<10)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			_ = to.Close()
			return
		}
		if !dead.Load() {
			_, _ = to.Write(buffer[:n])
		}
	}
}

// swallow makes all open connections swallow their data.
func (h *blackHoles) swallow() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, dead := range h.old {
		dead.Store(true)
	}
}

// The machine of one of several API servers loses power. Its connection does not end, and new connections lead to another
// API server.
func TestAConnectionThatDiesInSilenceIsReplaced(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set(auditIDHeader, "1") }))
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	holes := newBlackHoles(t, server.Listener.Addr().String())
	apiContact, err := apiserver.NewContact(&rest.Config{Host: "https://" + holes.Addr().String(), TLSClientConfig: rest.TLSClientConfig{Insecure: true}})
	require.NoError(t, err)
	require.NoError(t, apiContact.Ask(t.Context(), contactTimeout))
	holes.swallow()
	require.Error(t, apiContact.Ask(t.Context(), 100*time.Millisecond))
	require.NoError(t, apiContact.Ask(t.Context(), contactTimeout))
	require.Less(t, contactInterval+contactTimeout+contactInterval, contactPatience, "there is time for a second try")
}

func TestContactsShareAConnection(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set(auditIDHeader, "1")
		_, _ = io.WriteString(w, `{"major": "1", "minor": "37"}`)
	}))
	var opened atomic.Int32
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			opened.Add(1)
		}
	}
	server.StartTLS()
	t.Cleanup(server.Close)
	apiContact, err := apiserver.NewContact(&rest.Config{Host: server.URL, TLSClientConfig: rest.TLSClientConfig{Insecure: true}})
	require.NoError(t, err)
	for range 3 {
		require.NoError(t, apiContact.Ask(t.Context(), contactTimeout))
	}
	require.EqualValues(t, 1, opened.Load())
}
