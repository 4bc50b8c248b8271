package lokiexporter

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/proto"
)

// lokiDouble stores and refuses as Loki does: what it takes of a request is stored though the answer is 400, and of
// several streams the last one decides about the answer.
type lokiDouble struct {
	*httptest.Server
	// refuse says why a line is refused, by status and text; status 0: it is taken.
	refuse func(line string, at time.Time) (status int, text string)

	mu       sync.Mutex
	stored   []string
	requests int
	sizes    []int // records of each request
	headers  []http.Header
}

func newLokiDouble(t *testing.T) *lokiDouble {
	l := &lokiDouble{refuse: func(string, time.Time) (int, string) { return 0, "" }}
	l.Server = httptest.NewServer(http.HandlerFunc(l.serve))
	t.Cleanup(l.Close)
	return l
}

func (l *lokiDouble) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	request := plogotlp.NewExportRequest()
	if err != nil || r.URL.Path != otlpPath || request.UnmarshalProto(body) != nil {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.requests++
	l.headers = append(l.headers, r.Header.Clone())
	l.sizes = append(l.sizes, request.Logs().LogRecordCount())
	status, text, errs := http.StatusNoContent, "", 0
	for _, resource := range request.Logs().ResourceLogs().All() {
		status, text = http.StatusNoContent, "" // those of the stream before are forgotten
		for _, scope := range resource.ScopeLogs().All() {
			for _, record := range scope.LogRecords().All() {
				line := record.Body().Str()
				if s, why := l.refuse(line, record.Timestamp().AsTime()); s != 0 {
					status, text = s, why
					errs++
				} else if !slices.Contains(l.stored, line) {
					l.stored = append(l.stored, line)
				}
			}
		}
	}
	if status == http.StatusNoContent {
		w.WriteHeader(status)
		return
	}
	if errs > 1 {
		text = fmt.Sprintf("%d errors like: %s", errs, text)
	}
	content, _ := proto.Marshal(&spb.Status{Message: text})
	w.WriteHeader(status)
	_, _ = w.Write(content)
}

func (l *lokiDouble) lines() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Sorted(slices.Values(l.stored))
}

var begin = time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)

// logsOf returns a record a second, all of one resource.
func logsOf(resource string, lines ...string) plog.Logs {
	logs := plog.NewLogs()
	addLogs(logs, resource, lines...)
	return logs
}

func addLogs(logs plog.Logs, resource string, lines ...string) {
	rl := logs.ResourceLogs().AppendEmpty()
	rl.Resource().Attributes().PutStr("service_name", resource)
	scope := rl.ScopeLogs().AppendEmpty()
	scope.Scope().SetName("scope")
	for i, line := range lines {
		record := scope.LogRecords().AppendEmpty()
		record.SetTimestamp(pcommon.NewTimestampFromTime(begin.Add(time.Duration(i) * time.Second)))
		record.Body().SetStr(line)
	}
}

func numbered(n int) []string {
	lines := make([]string, n)
	for i := range lines {
		lines[i] = fmt.Sprintf("line %04d", i)
	}
	return lines
}

func bodies(logs plog.Logs) []string {
	var lines []string
	for _, resource := range logs.ResourceLogs().All() {
		for _, scope := range resource.ScopeLogs().All() {
			for _, record := range scope.LogRecords().All() {
				lines = append(lines, record.Body().Str())
			}
		}
	}
	return lines
}

func testConfig(endpoint string) *Config {
	config := createDefaultConfig().(*Config)
	config.Endpoint = endpoint
	config.RetryConfig.InitialInterval = time.Millisecond
	config.RetryConfig.MaxInterval = time.Millisecond
	return config
}
