package victorialogs

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/breakwater-otel/breakwater/integration/harness"
)

// captured is a request of the exporter to an insert path.
type captured struct {
	path   string
	header http.Header
	body   []byte
}

// capture returns the requests that the exporter makes of the records. A server that stores nothing takes them.
func capture(t *testing.T, settings string, logs plog.Logs) []captured {
	t.Helper()
	var mu sync.Mutex
	var requests []captured
	sink := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		requests = append(requests, captured{path: r.URL.Path, header: r.Header.Clone(), body: body})
	}))
	defer sink.Close()
	startExporter(t, sink.URL, settings).send(t, logs)
	return requests
}

// replay sends the requests to VictoriaLogs, of the lines those that keep says, and makes them visible.
func replay(t *testing.T, logs *harness.VictoriaLogs, requests []captured, keep func(line int) bool) int {
	t.Helper()
	sent := 0
	for _, c := range requests {
		body := c.body
		if c.path == jsonLinePath {
			body = nil
			for line := range bytes.Lines(c.body) {
				if keep(sent) {
					body = append(body, line...)
				}
				sent++
			}
		} else {
			if !keep(sent) {
				body = nil
			}
			sent++
		}
		if len(body) == 0 {
			continue
		}
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, logs.URL()+c.path, bytes.NewReader(body))
		require.NoError(t, err)
		request.Header = c.header.Clone()
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, http.StatusOK, response.StatusCode)
	}
	require.NoError(t, logs.Flush(t.Context()))
	return sent
}

// numbered makes records whose message is their number.
func numbered(n int, change func(i int, record plog.LogRecord)) plog.Logs {
	logs := plog.NewLogs()
	resource := logs.ResourceLogs().AppendEmpty()
	resource.Resource().Attributes().PutStr("service_name", "redelivery")
	records := resource.ScopeLogs().AppendEmpty().LogRecords()
	at := time.Now().Add(-time.Minute)
	for i := range n {
		record := records.AppendEmpty()
		record.SetTimestamp(pcommon.NewTimestampFromTime(at.Add(time.Duration(i) * time.Microsecond)))
		record.Body().SetStr("row " + strconv.Itoa(i))
		record.Attributes().PutInt("number", int64(i))
		if change != nil {
			change(i, record)
		}
	}
	return logs
}

// messagesOf returns the messages of all rows, sorted.
func messagesOf(t *testing.T, logs *harness.VictoriaLogs, filter string) []string {
	t.Helper()
	require.NoError(t, logs.Flush(t.Context()))
	rows, err := logs.Query(t.Context(), filter)
	require.NoError(t, err)
	messages := make([]string, 0, len(rows))
	for _, row := range rows {
		messages = append(messages, row["_msg"])
	}
	slices.Sort(messages)
	return messages
}

func bodiesOf(logs plog.Logs) []string {
	var bodies []string
	for _, resource := range logs.ResourceLogs().All() {
		for _, scope := range resource.ScopeLogs().All() {
			for _, record := range scope.LogRecords().All() {
				bodies = append(bodies, record.Body().AsString())
			}
		}
	}
	slices.Sort(bodies)
	return bodies
}

// requireMessages holds that the rows are the records, each as often as it was produced.
func requireMessages(t *testing.T, logs *harness.VictoriaLogs, want plog.Logs) {
	t.Helper()
	got, bodies := messagesOf(t, logs, "*"), bodiesOf(want)
	if slices.Equal(got, bodies) {
		return
	}
	times := make(map[string]int)
	for _, body := range bodies {
		times[body]++
	}
	for _, message := range got {
		times[message]--
	}
	shown := 0
	for message, n := range times {
		if n != 0 && shown < 10 {
			shown++
			t.Errorf("%.60q (%d bytes): %d too few", message, len(message), n)
		}
	}
	t.Errorf("%d rows of %d records", len(got), len(bodies))
}

// TestRedelivery sends requests that say that they may have been delivered, and of which VictoriaLogs has all rows,
// none or some. In the end it has each of them as often as it was produced, and only the missing ones were sent.
func TestRedelivery(t *testing.T) {
	loads := map[string]func() plog.Logs{
		"plain":   func() plog.Logs { return numbered(100, nil) },
		"one":     func() plog.Logs { return numbered(1, nil) },
		"batches": func() plog.Logs { return numbered(20_000, nil) },
		"not UTF-8": func() plog.Logs {
			return numbered(20, func(i int, record plog.LogRecord) {
				record.Body().SetStr(fmt.Sprintf("row %d %s", i, hostileTexts["every byte"]))
				record.Attributes().PutStr("k\xff\xed\xa0\x80", "v\xfe")
			})
		},
		"without time": func() plog.Logs {
			return numbered(20, func(i int, record plog.LogRecord) {
				if i%5 == 2 {
					record.SetTimestamp(0)
				}
			})
		},
		"all without time": func() plog.Logs {
			return numbered(20, func(_ int, record plog.LogRecord) { record.SetTimestamp(0) })
		},
		"clamped": func() plog.Logs {
			return numbered(20, func(i int, record plog.LogRecord) {
				if i%3 == 0 {
					record.SetTimestamp(pcommon.Timestamp(i + 1))
				}
			})
		},
		"identical": func() plog.Logs {
			return numbered(30, func(i int, record plog.LogRecord) {
				record.SetTimestamp(pcommon.NewTimestampFromTime(time.Now().Truncate(time.Minute)))
				record.Body().SetStr("row " + strconv.Itoa(i%4))
				record.Attributes().PutInt("number", int64(i%4))
			})
		},
		"identical but for the time": func() plog.Logs {
			return numbered(20, func(_ int, record plog.LogRecord) {
				record.Body().SetStr("tick")
				record.Attributes().PutInt("number", 0)
			})
		},
		"over-long": func() plog.Logs {
			return numbered(12, func(i int, record plog.LogRecord) {
				if i%4 == 1 {
					record.Body().SetStr(fmt.Sprintf("row %d%s", i, repeat(" \x00\xff\"large", 300_000)))
				}
			})
		},
		"only over-long": func() plog.Logs {
			return numbered(2, func(i int, record plog.LogRecord) {
				record.Body().SetStr(fmt.Sprintf("row %d%s", i, repeat(" large", 300_000)))
			})
		},
		"over-long without time": func() plog.Logs {
			return numbered(4, func(i int, record plog.LogRecord) {
				record.SetTimestamp(0)
				if i%2 == 1 {
					record.Body().SetStr(fmt.Sprintf("row %d%s", i, repeat(" large", 300_000)))
				}
			})
		},
		"values of each kind": func() plog.Logs {
			return numbered(20, func(i int, record plog.LogRecord) {
				hostileCorpus()[i*7].fill(record)
				record.Body().SetStr("row " + strconv.Itoa(i))
				record.Attributes().PutDouble("double", 1e21/float64(i+1))
				record.Attributes().PutBool("bool", i%2 == 0)
				record.Attributes().PutStr("empty", "")
				record.Attributes().PutEmptySlice("array").AppendEmpty().SetDouble(1e-7)
				record.SetSeverityText("severity")
				record.Attributes().PutStr("severity", "of its own")
			})
		},
	}
	present := map[string]func(line int) bool{
		"all":             func(int) bool { return true },
		"none":            func(int) bool { return false },
		"every second":    func(line int) bool { return line%2 == 0 },
		"only the first":  func(line int) bool { return line == 0 },
		"all but a third": func(line int) bool { return line != 2 },
	}
	for _, name := range sortedKeys(loads) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, how := range sortedKeys(present) {
				// One server for each: the same content at the same time is the same delivery.
				logs := harness.StartVictoriaLogs(t, harness.VictoriaLogsOptions{Retention: serverRetention})
				load := loads[name]()
				requests := capture(t, "", load)
				there := 0
				keep := func(line int) bool {
					if present[how](line) {
						there++
						return true
					}
					return false
				}
				produced := replay(t, logs, requests, keep)
				require.Equal(t, load.LogRecordCount(), produced, "lines and over-long records")

				e := startExporter(t, logs.URL(), "")
				e.sendRedelivered(t, load)
				requireMessages(t, logs, load)
				assert.EqualValues(t, produced-there, e.metric(t, "sent_records"), "%s: sent records", how)
				rows, err := logs.Query(t.Context(), "* | uniq by (delivery_id)")
				require.NoError(t, err)
				assert.Len(t, rows, (produced+8191)/8192, "%s: ids", how)
				if there > 0 && there < produced && produced < 8192 {
					assert.EqualValues(t, 1, e.metric(t, "verifications", "result", "partial"), how)
					assert.EqualValues(t, produced-there, e.metric(t, "repaired_records"), how)
				}
				if there == produced {
					assert.Zero(t, e.metric(t, "requests"), "%s: inserts", how)
				}
				requireNothingDropped(t, logs)
				if t.Failed() {
					t.Fatalf("%s of %s was there", how, name)
				}
				require.NoError(t, logs.Stop(t.Context()))
			}
		})
	}
}

// TestRedeliveryAfterARestart delivers by one exporter and again by another one: no new row.
func TestRedeliveryAfterARestart(t *testing.T) {
	logs := harness.StartVictoriaLogs(t, harness.VictoriaLogsOptions{Retention: serverRetention})
	load := numbered(20_000, func(i int, record plog.LogRecord) {
		if i%100 == 7 {
			record.SetTimestamp(0)
		}
		if i%5000 == 9 {
			record.Body().SetStr(fmt.Sprintf("row %d%s", i, repeat(" large", 300_000)))
		}
	})
	startExporter(t, logs.URL(), "").send(t, load)
	for range 2 {
		e := startExporter(t, logs.URL(), "")
		require.NoError(t, e.ConsumeLogs(redelivered(t.Context(), "true"), load))
		assert.Zero(t, e.metric(t, "sent_records"))
		assert.EqualValues(t, 3, e.metric(t, "verifications", "result", "found"))
		requireMessages(t, logs, load)
	}
}

// TestRedeliveryWaitsForWhatMayShow holds that rows that do not show are sent at once when the last possible delivery is
// long ago, and not before visibility_delay when it is not, or not known.
func TestRedeliveryWaitsForWhatMayShow(t *testing.T) {
	logs := harness.StartVictoriaLogs(t, harness.VictoriaLogsOptions{Retention: serverRetention})
	const delay = 2 * time.Second
	e := startExporter(t, logs.URL(), `idempotency: {visibility_delay: 2s}`)
	tests := []struct {
		name  string
		last  func() string
		waits bool
	}{
		{"long ago", func() string { return unixMilli(time.Now().Add(-time.Minute)) }, false},
		{"just now", func() string { return unixMilli(time.Now()) }, true},
		{"not known", func() string { return "true" }, true},
		{"nothing", func() string { return "" }, true},
		{"in the future", func() string { return unixMilli(time.Now().Add(time.Hour)) }, true}, // not believed
	}
	for _, test := range tests {
		load := numbered(10, func(_ int, record plog.LogRecord) { record.Body().SetStr("last delivery: " + test.name) })
		start := time.Now()
		require.NoError(t, e.ConsumeLogs(redelivered(t.Context(), test.last()), load))
		took := time.Since(start)
		if test.waits {
			assert.Greater(t, took, delay-100*time.Millisecond, test.name)
		} else {
			assert.Less(t, took, delay, test.name)
		}
		assert.Less(t, took, 5*delay, test.name)
	}
	require.Len(t, messagesOf(t, logs, "*"), 50)
}

// basicAuth is an authenticator extension.
type basicAuth struct {
	component.StartFunc
	component.ShutdownFunc
}

const authorization = "Basic dXNlcjpzZWNyZXQ="

type authorizingTransport struct{ base http.RoundTripper }

func (a authorizingTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", authorization)
	return a.base.RoundTrip(r)
}

// RoundTripper implements extensionauth.HTTPClient.
func (basicAuth) RoundTripper(base http.RoundTripper) (http.RoundTripper, error) {
	return authorizingTransport{base}, nil
}

// extensionHost is a host with extensions.
type extensionHost struct {
	component.Host
	extensions map[component.ID]component.Component
}

func (h extensionHost) GetExtensions() map[component.ID]component.Component { return h.extensions }

func hostWith(extensions map[component.ID]component.Component) component.Host {
	return extensionHost{Host: componenttest.NewNopHost(), extensions: extensions}
}

// TestQueriesBearAuthAndTenant puts a gate before VictoriaLogs that lets nobody in without both.
func TestQueriesBearAuthAndTenant(t *testing.T) {
	require.Equal(t, authorization, "Basic "+base64.StdEncoding.EncodeToString([]byte("user:secret")))
	logs := harness.StartVictoriaLogs(t, harness.VictoriaLogsOptions{Retention: serverRetention})
	var queries atomic.Int64
	gate := startGate(t, logs, func(w http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("Authorization") != authorization || r.Header.Get("AccountID") != "7" || r.Header.Get("ProjectID") != "9" || r.Header.Get("X-Scope") != "x" {
			http.Error(w, "who are you", http.StatusUnauthorized)
			return false
		}
		if strings.HasPrefix(r.URL.Path, queryPath) {
			queries.Add(1)
		}
		return true
	})
	host := hostWith(map[component.ID]component.Component{component.MustNewID("basicauth"): basicAuth{}})
	const settings = `{auth: {authenticator: basicauth}, headers: {X-Scope: x}, tenant: {account_id: 7, project_id: 9}}`
	load := numbered(100, nil)
	startExporterOn(t, host, gate.URL, settings).send(t, load)
	require.NoError(t, logs.Flush(t.Context()))
	assert.Zero(t, queries.Load(), "no suspicion, no question")
	e := startExporterOn(t, host, gate.URL, settings)
	e.sendRedelivered(t, load)
	assert.Positive(t, queries.Load())
	assert.Len(t, tenantRows(t, logs, 7, 9), 100)
	assert.Zero(t, e.metric(t, "sent_records"))
}

// TestTenantsAreAskedForTheirOwnRows holds that the rows of one tenant are no proof for those of another one.
func TestTenantsAreAskedForTheirOwnRows(t *testing.T) {
	logs := harness.StartVictoriaLogs(t, harness.VictoriaLogsOptions{Retention: serverRetention})
	build := func(tenant string) plog.Logs {
		return numbered(10, func(_ int, record plog.LogRecord) {
			record.SetTimestamp(pcommon.NewTimestampFromTime(time.Now().Truncate(time.Hour)))
			if tenant != "" {
				record.Attributes().PutStr("tenant", tenant)
			}
		})
	}
	const settings = `{tenant: {from_attribute: tenant}, fields: {record: {exclude: [tenant]}}}`
	startExporter(t, logs.URL(), settings).send(t, build("1"))
	require.NoError(t, logs.Flush(t.Context()))
	e := startExporter(t, logs.URL(), settings)
	e.sendRedelivered(t, build("1"))
	e.sendRedelivered(t, build("2"))
	assert.Len(t, tenantRows(t, logs, 1, 0), 10)
	assert.Len(t, tenantRows(t, logs, 2, 0), 10)
	assert.EqualValues(t, 10, e.metric(t, "sent_records"))
}

// TestWhoCannotBeAskedIsNotGuessed answers the questions in every wrong way: nothing is sent, and the request is one to
// try again. Once the questions are answered, it is delivered, once.
func TestWhoCannotBeAskedIsNotGuessed(t *testing.T) {
	logs := harness.StartVictoriaLogs(t, harness.VictoriaLogsOptions{Retention: serverRetention})
	answers := map[string]http.HandlerFunc{
		"401":             func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) },
		"404":             func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) },
		"400":             func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadRequest) },
		"429":             func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTooManyRequests) },
		"502":             func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) },
		"204":             func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) },
		"redirect":        func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/login", http.StatusFound) },
		"nothing":         func(http.ResponseWriter, *http.Request) {},
		"a page":          func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>welcome</html>\n") },
		"other JSON":      func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"status":"ok"}`+"\n") },
		"an empty object": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "{}\n") },
		"a negative":      func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"present":"-1"}`+"\n") },
		"no answer":       func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"a broken answer": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = io.WriteString(w, `{"present":"0"}`+"\n")
		},
	}
	for _, name := range sortedKeys(answers) {
		t.Run(name, func(t *testing.T) {
			var broken atomic.Bool
			broken.Store(true)
			queries, inserts := atomic.Int64{}, atomic.Int64{}
			gate := startGate(t, logs, func(w http.ResponseWriter, r *http.Request) bool {
				if !strings.HasPrefix(r.URL.Path, queryPath) {
					inserts.Add(1)
					return true
				}
				queries.Add(1)
				if broken.Load() {
					_, _ = io.Copy(io.Discard, r.Body)
					answers[name](w, r)
					return false
				}
				return true
			})
			load := numbered(3, func(i int, record plog.LogRecord) { record.Body().SetStr(fmt.Sprintf("%s %d", name, i)) })
			const settings = `idempotency: {timeout: 300ms, visibility_delay: 1s}`
			once := startExporter(t, gate.URL, `{retry_on_failure: {enabled: false}, `+settings+`}`)
			err := once.ConsumeLogs(redelivered(t.Context(), unixMilli(time.Now().Add(-time.Minute))), load)
			require.Error(t, err)
			assert.False(t, consumererror.IsPermanent(err), err)
			assert.Positive(t, queries.Load())
			assert.Zero(t, inserts.Load(), "nothing is sent")
			assert.EqualValues(t, 1, once.metric(t, "verifications", "result", "failed"))

			// Asked again until there is an answer.
			again := startExporter(t, gate.URL, settings)
			asked := queries.Load()
			done := make(chan error, 1)
			go func() {
				done <- again.ConsumeLogs(redelivered(t.Context(), unixMilli(time.Now().Add(-time.Minute))), load)
			}()
			eventually(t, func() error {
				if queries.Load() < asked+2 {
					return fmt.Errorf("%d questions", queries.Load()-asked)
				}
				return nil
			})
			assert.Zero(t, inserts.Load(), "nothing is sent")
			broken.Store(false)
			require.NoError(t, <-done)
			require.NoError(t, logs.Flush(t.Context()))
			n, err := logs.Count(t.Context(), fmt.Sprintf("_msg:%q*", name))
			require.NoError(t, err)
			assert.EqualValues(t, 3, n)
		})
	}
}

// TestQueryEndpointDown is the same for an endpoint of its own at which nobody listens.
func TestQueryEndpointDown(t *testing.T) {
	logs := harness.StartVictoriaLogs(t, harness.VictoriaLogsOptions{Retention: serverRetention})
	port, err := harness.FreePort()
	require.NoError(t, err)
	defer harness.ReleasePort(port)
	e := startExporter(t, logs.URL(), `{retry_on_failure: {enabled: false}, idempotency: {query_endpoint: "http://`+harness.Loopback(port)+`"}}`)
	load := numbered(5, nil)
	err = e.ConsumeLogs(redelivered(t.Context(), unixMilli(time.Now().Add(-time.Minute))), load)
	require.Error(t, err)
	assert.False(t, consumererror.IsPermanent(err))
	assert.Empty(t, messagesOf(t, logs, "*"))
	e.send(t, numbered(6, nil)) // not suspect: nobody is asked
}

// TestSelectDisabled is the same for a server that answers no question (-select.disable), as vlinsert does.
func TestSelectDisabled(t *testing.T) {
	logs := harness.StartVictoriaLogs(t, harness.VictoriaLogsOptions{Retention: serverRetention, Args: []string{"-select.disable"}})
	e := startExporter(t, logs.URL(), `retry_on_failure: {enabled: false}`)
	err := e.ConsumeLogs(redelivered(t.Context(), unixMilli(time.Now().Add(-time.Minute))), numbered(5, nil))
	require.Error(t, err)
	assert.False(t, consumererror.IsPermanent(err))
	own, err := logs.Metrics(t.Context())
	require.NoError(t, err)
	assert.Zero(t, own.Sum("vl_rows_ingested_total"))
}

func TestIdempotencyOff(t *testing.T) {
	logs := harness.StartVictoriaLogs(t, harness.VictoriaLogsOptions{Retention: serverRetention})
	proxy := recordingProxy(t, logs)
	e := startExporter(t, proxy.URL(), `idempotency: {enabled: false}`)
	load := numbered(5, func(i int, record plog.LogRecord) {
		if i == 0 {
			record.Attributes().PutStr("delivery_id", "of the application")
		}
	})
	for range 2 {
		e.sendRedelivered(t, load)
	}
	rows := queryRows(t, logs, "* | sort by (_time)", 10)
	assert.Equal(t, "of the application", rows[0]["delivery_id"])
	assert.NotContains(t, rows[4], "delivery_id")
	assert.Empty(t, proxy.Requests(queryPath))
	for _, request := range proxy.Requests("") {
		assert.Empty(t, request.Header.Get("VL-Extra-Fields"))
	}
}

func TestIdempotencyFieldOfAnotherName(t *testing.T) {
	logs := harness.StartVictoriaLogs(t, harness.VictoriaLogsOptions{Retention: serverRetention})
	const settings = `idempotency: {field: "sent.as id"}`
	load := numbered(5, func(_ int, record plog.LogRecord) {
		record.Attributes().PutStr("sent.as id", "x")
		record.Attributes().PutStr("delivery_id", "y")
	})
	startExporter(t, logs.URL(), settings).send(t, load)
	require.NoError(t, logs.Flush(t.Context()))
	startExporter(t, logs.URL(), settings).sendRedelivered(t, load)
	for _, row := range queryRows(t, logs, "*", 5) {
		assert.Regexp(t, `^[0-9a-f]{32}$`, row["sent.as id"])
		assert.Equal(t, "x", row["attributes.sent.as id"])
		assert.Equal(t, "y", row["delivery_id"])
	}
}

// TestIDDoesNotDependOnWhatWasBefore holds that the same records make the same requests whatever the exporter has
// encoded before: a redelivery comes after other traffic than the delivery did.
func TestIDDoesNotDependOnWhatWasBefore(t *testing.T) {
	corpus := hostileCorpus()
	build := func(n int) plog.Logs {
		at := time.Now().Truncate(time.Hour)
		all := plog.NewLogs()
		for i := range 200 {
			// Some follow their like, as in a file, and some do not.
			c := corpus[(n*31+i/(1+n%4)*7)%len(corpus)]
			record := newRecord(all, c.name)
			c.fill(record)
			record.SetTimestamp(pcommon.NewTimestampFromTime(at.Add(time.Duration(i))))
		}
		more := numbered(200, func(i int, record plog.LogRecord) {
			record.SetTimestamp(pcommon.NewTimestampFromTime(at))
			record.SetSeverityNumber(plog.SeverityNumber(i % (n + 1)))
			if i%3 == n%3 {
				record.Attributes().PutStr("service_name", "of the record "+strconv.Itoa(i%2)) // shadows the resource's
			}
			if i%5 == 0 {
				record.Attributes().PutStr("number", "") // no field
			}
			switch i % 7 {
			case n % 7:
				record.Body().SetEmptyMap().PutStr("log", "lifted")
				record.Body().Map().PutInt("number", int64(i%2))
			case (n + 1) % 7:
				record.Body().SetEmptyMap().PutStr("message", "lifted")
				record.Body().Map().PutStr("log", "")
			}
		})
		more.ResourceLogs().MoveAndAppendTo(all.ResourceLogs())
		return all
	}
	for _, settings := range []string{
		"", `stream_fields: ["*name", "c?se", "k*"]`,
		`fields: {record: {prefix: r., exclude: ["a*"]}, body: {rename: {number: n}}, observed_timestamp: seen}`,
	} {
		const loads = 12
		var cold [loads][]string
		for n := range cold {
			for _, request := range capture(t, settings, build(n)) {
				cold[n] = append(cold[n], request.header.Get("VL-Extra-Fields")+" "+request.header.Get("VL-Stream-Fields")+" "+request.path+" "+strconv.Itoa(len(request.body)))
			}
			require.NotEmpty(t, cold[n])
		}
		var mu sync.Mutex
		var warm []string
		sink := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			mu.Lock()
			defer mu.Unlock()
			warm = append(warm, r.Header.Get("VL-Extra-Fields")+" "+r.Header.Get("VL-Stream-Fields")+" "+r.URL.Path+" "+strconv.Itoa(len(body)))
		}))
		e := startExporter(t, sink.URL, settings)
		for range 3 {
			for n := range cold {
				warm = nil
				e.send(t, build(n))
				if !slices.Equal(cold[n], warm) {
					t.Errorf("%q: load %d: %v instead of %v", settings, n, warm, cold[n])
				}
			}
		}
		sink.Close()
	}
}

// TestLimitCrossedBetweenAttempts sends records that are inside of a limit of time at the first attempt and outside of
// it at the second one: they are the same records.
func TestLimitCrossedBetweenAttempts(t *testing.T) {
	for name, limits := range map[string]string{"past": `max_past: 24h`, "future": `max_future: 24h`} {
		t.Run(name, func(t *testing.T) {
			logs := harness.StartVictoriaLogs(t, harness.VictoriaLogsOptions{Retention: serverRetention})
			load := numbered(400, func(i int, record plog.LogRecord) {
				// From a minute before the limit to a minute after it.
				distance := 24*time.Hour - time.Minute - 10*time.Second + time.Duration(i)*200*time.Millisecond
				if name == "past" {
					distance = -distance
				}
				record.SetTimestamp(pcommon.NewTimestampFromTime(time.Now().Add(distance)))
			})
			settings := `{limits: {` + limits + `}, idempotency: {visibility_delay: 4s}}`
			e := startExporter(t, startScript(t, logs, harness.FaultCutBeforeAnswer).URL(), settings)
			e.send(t, load)
			requireMessages(t, logs, load)

			// And by another process.
			time.Sleep(500 * time.Millisecond) // records cross with the time that passes; there is nothing to poll
			startExporter(t, logs.URL(), settings).sendRedelivered(t, load)
			requireMessages(t, logs, load)
		})
	}
}

// killTest is what was sent to a VictoriaLogs before it was killed.
type killTest struct {
	logs     *harness.VictoriaLogs
	requests []plog.Logs
	all      plog.Logs
	rows     int
	killed   time.Time
}

// sendAndKill sends requests for some seconds, each of the stream that the function says, and kills VictoriaLogs, which
// forgets the last seconds that it has answered for. After the first requests, as many as settled says, it is restarted in
// order: then it has them and their streams on disk.
func sendAndKill(t *testing.T, settled int, stream func(request int) string) killTest {
	t.Helper()
	k := killTest{all: plog.NewLogs()}
	k.logs = harness.StartVictoriaLogs(t, harness.VictoriaLogsOptions{
		Retention: serverRetention,
		Args:      []string{"-inmemoryDataFlushInterval=1s"}, // 5s by default: the test need not take as long
	})
	e := startExporter(t, k.logs.URL(), "")
	const size = 300
	for start := time.Now(); time.Since(start) < 4*time.Second; {
		if settled > 0 && len(k.requests) == settled {
			require.NoError(t, k.logs.Stop(t.Context()))
			require.NoError(t, k.logs.Start(t.Context()))
			e = startExporter(t, k.logs.URL(), "")
			settled, start = 0, time.Now()
		}
		load := numbered(size, func(i int, record plog.LogRecord) { record.Body().SetStr("row " + strconv.Itoa(k.rows+i)) })
		load.ResourceLogs().At(0).Resource().Attributes().PutStr("case", stream(len(k.requests)))
		e.send(t, load)
		k.requests = append(k.requests, load)
		load.ResourceLogs().At(0).CopyTo(k.all.ResourceLogs().AppendEmpty())
		k.rows += size
		time.Sleep(40 * time.Millisecond) // a steady load, so that there is something at each age
	}
	require.NoError(t, k.logs.Kill())
	k.killed = time.Now()
	require.NoError(t, k.logs.Start(t.Context()))
	return k
}

// redeliver sends everything again, as our Kafka receiver does after a restart of the backend.
func (k killTest) redeliver(t *testing.T) *instance {
	t.Helper()
	e := startExporter(t, k.logs.URL(), "")
	ctx, cancel := context.WithTimeout(redelivered(t.Context(), unixMilli(k.killed)), time.Minute)
	defer cancel()
	var next atomic.Int64
	var workers sync.WaitGroup
	for range 4 {
		workers.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(k.requests); i = int(next.Add(1)) - 1 {
				if err := e.ConsumeLogs(ctx, k.requests[i]); err != nil {
					t.Error(err)
				}
			}
		})
	}
	workers.Wait()
	return e
}

// TestKilledServer kills VictoriaLogs and redelivers everything: nothing is lost, and nothing is there twice.
func TestKilledServer(t *testing.T) {
	const streams = 7
	k := sendAndKill(t, streams, func(request int) string { return strconv.Itoa(request % streams) })
	left, err := k.logs.Count(t.Context(), "*")
	require.NoError(t, err)
	t.Logf("%d rows answered for, %d left after the kill", k.rows, left)
	require.Less(t, left, int64(k.rows), "the kill took nothing, so the test shows nothing")
	require.Positive(t, left, "the kill took everything, so nothing had to be compared")

	e := k.redeliver(t)
	requireMessages(t, k.logs, k.all)
	assert.EqualValues(t, int64(k.rows)-left, e.metric(t, "sent_records"))
	byStream, err := k.logs.Count(t.Context(), `{service_name="redelivery"}`)
	require.NoError(t, err)
	assert.EqualValues(t, k.rows, byStream, "rows by their stream")
}

// TestKilledServerForgetsStreams is the same with a new stream for each request. VictoriaLogs writes rows and the index of
// streams to disk by clocks of their own, so a kill can leave rows of which no query shows anything but their number.
// A further row of the stream brings them back. Nothing is lost, and what is there twice is at most a row of a stream.
func TestKilledServerForgetsStreams(t *testing.T) {
	k := sendAndKill(t, 0, strconv.Itoa)
	stored, err := k.logs.Count(t.Context(), "*")
	require.NoError(t, err)
	visible, err := k.logs.Query(t.Context(), "* | fields _time, _stream")
	require.NoError(t, err)
	t.Logf("%d rows answered for, %d left after the kill, %d of them with a stream", k.rows, stored, len(visible))

	k.redeliver(t)
	require.NoError(t, k.logs.Flush(t.Context()))
	rows, err := k.logs.Query(t.Context(), `{service_name="redelivery"} | fields _msg`)
	require.NoError(t, err)
	times := make(map[string]int)
	for _, row := range rows {
		times[row["_msg"]]++
	}
	assert.Len(t, times, k.rows, "distinct rows by their stream")
	assert.LessOrEqual(t, len(rows)-k.rows, len(k.requests), "rows that are there twice")
}
