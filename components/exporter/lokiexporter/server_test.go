package lokiexporter

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
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
	stored   map[string]time.Time
	twice    int      // entries that are stored again
	queries  []string // selectors
	noAnswer int      // how many of the next requests it takes without an answer
	requests int
	sizes    []int // records of each request
	headers  []http.Header
}

func newLokiDouble(t *testing.T) *lokiDouble {
	l := &lokiDouble{stored: make(map[string]time.Time), refuse: func(string, time.Time) (int, string) { return 0, "" }}
	l.Server = httptest.NewServer(http.HandlerFunc(l.serve))
	t.Cleanup(l.Close)
	return l
}

func (l *lokiDouble) serve(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == queryPath {
		l.query(w, r)
		return
	}
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
				} else {
					if _, is := l.stored[line]; is {
						l.twice++
					}
					l.stored[line] = record.Timestamp().AsTime()
				}
			}
		}
	}
	if l.noAnswer > 0 {
		l.noAnswer--
		panic(http.ErrAbortHandler)
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
	return slices.Sorted(maps.Keys(l.stored))
}

// query answers what is stored, a page of at most queryPage, whatever the stream.
func (l *lokiDouble) query(w http.ResponseWriter, r *http.Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.queries = append(l.queries, r.URL.Query().Get("query"))
	start, _ := strconv.ParseInt(r.URL.Query().Get("start"), 10, 64)
	end, _ := strconv.ParseInt(r.URL.Query().Get("end"), 10, 64)
	values := make([][2]string, 0, len(l.stored))
	for line, at := range l.stored {
		if nanos := at.UnixNano(); nanos >= start && nanos < end {
			values = append(values, [2]string{strconv.FormatInt(nanos, 10), line})
		}
	}
	slices.SortFunc(values, func(a, b [2]string) int { return strings.Compare(a[0]+a[1], b[0]+b[1]) })
	values = values[:min(len(values), queryPage)]
	_ = json.NewEncoder(w).Encode(map[string]any{"status": "success", "data": map[string]any{
		"resultType": "streams", "result": []any{map[string]any{"stream": map[string]string{}, "values": values}},
	}})
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
