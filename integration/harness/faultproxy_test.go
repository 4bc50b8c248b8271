package harness_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/breakwater-otel/breakwater/integration/harness"
)

// bodySink is a server that remembers what it read of each body.
type bodySink struct {
	mu    sync.Mutex
	whole int
	parts []int // bytes of the bodies that broke off
}

func (s *bodySink) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	s.mu.Lock()
	if err != nil {
		s.parts = append(s.parts, len(body))
	} else {
		s.whole++
	}
	s.mu.Unlock()
	_, _ = io.WriteString(w, "the answer")
}

func (s *bodySink) seen() (whole int, parts []int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.whole, s.parts
}

// TestFaultProxy holds what client and server see of each fault.
func TestFaultProxy(t *testing.T) {
	t.Parallel()
	const anyError, timeout = "error", "timeout"
	tests := map[harness.Fault]struct {
		client string // the body, or what kind of error
		status int
		whole  int  // whole requests that the server saw in the end
		orNone bool // or none, by chance
	}{
		harness.FaultNone:            {client: "the answer", status: 200, whole: 1},
		harness.FaultCutBeforeBody:   {client: anyError},
		harness.FaultCutInBody:       {client: anyError},
		harness.FaultCutBeforeAnswer: {client: anyError, whole: 1},
		harness.FaultCutInAnswer:     {client: anyError, whole: 1},
		harness.FaultBadGateway:      {client: "bad gateway", status: 502, whole: 1},
		harness.FaultHoldAnswer:      {client: timeout, whole: 1},
		harness.FaultHoldRequest:     {client: timeout, whole: 1},
		harness.FaultReset:           {client: anyError, whole: 1, orNone: true},
		harness.FaultEarlyOK:         {client: "", status: 200},
	}
	assert.Len(t, tests, len(harness.AllFaults())+2)
	for fault, want := range tests {
		t.Run(string(fault), func(t *testing.T) {
			t.Parallel()
			sink := &bodySink{}
			server := httptest.NewServer(sink)
			defer server.Close()
			for seed := range uint64(8) {
				before, _ := sink.seen()
				proxy := harness.StartFaultProxy(t, harness.FaultProxyOptions{
					Target: server.URL, Seed: seed, Record: true,
					Choose: func(*http.Request) harness.Fault { return fault },
				})
				client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{}}
				if want.client == timeout {
					client.Timeout = 400 * time.Millisecond // time for a loaded machine to read the body first
				}
				body := bytes.Repeat([]byte("0123456789"), 2_000)
				response, err := client.Post(proxy.URL()+"/path?x=y", "text/plain", bytes.NewReader(body))
				var answer []byte
				if err == nil {
					answer, err = io.ReadAll(response.Body)
					_ = response.Body.Close()
				}
				switch want.client {
				case anyError:
					require.Error(t, err)
				case timeout:
					require.ErrorContains(t, err, "Client.Timeout exceeded")
				default:
					require.NoError(t, err)
					assert.Equal(t, want.client, string(answer))
					assert.Equal(t, want.status, response.StatusCode)
				}
				client.CloseIdleConnections()
				require.NoError(t, proxy.WaitIdle(t.Context()))
				assert.Equal(t, map[harness.Fault]int{fault: 1}, proxy.Counts())
				whole, parts := sink.seen()
				if want.orNone {
					assert.LessOrEqual(t, whole-before, want.whole)
				} else {
					assert.Equal(t, want.whole, whole-before)
				}
				for _, part := range parts {
					assert.Less(t, part, len(body))
				}
				for _, recorded := range proxy.Requests("/pa") {
					assert.Equal(t, body, recorded.Body)
					assert.Equal(t, "y", recorded.Query.Get("x"))
				}
				require.NoError(t, proxy.Close())
			}
		})
	}
}

// TestFaultProxyIsRandom holds that the seed decides, that each kind of fault comes, and that the paths and the switch
// are obeyed.
func TestFaultProxyIsRandom(t *testing.T) {
	t.Parallel()
	sink := &bodySink{}
	server := httptest.NewServer(sink)
	defer server.Close()
	run := func(seed uint64) map[harness.Fault]int {
		proxy := harness.StartFaultProxy(t, harness.FaultProxyOptions{
			Target: server.URL, Seed: seed, Rate: 0.5, Paths: []string{"/insert/"}, LateBy: time.Millisecond,
		})
		client := http.Client{Timeout: 250 * time.Millisecond, Transport: &http.Transport{}}
		post := func(path string) error {
			response, err := client.Post(proxy.URL()+path, "text/plain", bytes.NewReader(make([]byte, 1000)))
			if err == nil {
				_, err = io.Copy(io.Discard, response.Body)
				_ = response.Body.Close()
			}
			return err
		}
		for range 100 {
			_ = post("/insert/jsonline")
		}
		counts := proxy.Counts()
		for range 20 {
			assert.NoError(t, post("/select/logsql/query"))
		}
		proxy.SetFaults(false)
		for range 20 {
			assert.NoError(t, post("/insert/jsonline"))
		}
		client.CloseIdleConnections()
		require.NoError(t, proxy.WaitIdle(t.Context()))
		return counts
	}
	counts := run(1)
	for _, fault := range append(harness.AllFaults(), harness.FaultNone) {
		assert.NotZero(t, counts[fault], fault)
	}
	assert.Equal(t, counts, run(1))
	assert.NotEqual(t, counts, run(2))
}
