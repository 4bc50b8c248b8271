package load

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"

	"github.com/breakwater-otel/breakwater/integration/harness"
)

// receiver answers requests one after the other as it is told, and then with 200. It keeps what it took.
type receiver struct {
	*httptest.Server
	mu      sync.Mutex
	answers []string
	bodies  [][]byte
}

func newReceiver(t *testing.T, answers ...string) *receiver {
	r := &receiver{answers: answers}
	r.Server = httptest.NewServer(http.HandlerFunc(r.serve))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) serve(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	r.mu.Lock()
	answer := "200"
	if len(r.answers) > 0 {
		answer, r.answers = r.answers[0], r.answers[1:]
	}
	if err == nil && (answer == "200" || strings.HasPrefix(answer, "taken")) {
		r.bodies = append(r.bodies, body)
	}
	r.mu.Unlock()
	switch answer {
	case "200":
		// As the collector does, with the empty message that says that nothing was rejected.
		body, _ := plogotlp.NewExportResponse().MarshalProto()
		_, _ = w.Write(body)
	case "taken, garbage":
		_, _ = w.Write([]byte("<html>"))
	case "taken, reset", "reset":
		panic(http.ErrAbortHandler)
	case "taken, partial":
		response := plogotlp.NewExportResponse()
		response.PartialSuccess().SetRejectedLogRecords(1)
		body, _ := response.MarshalProto()
		_, _ = w.Write(body)
	case "400", "429", "500", "503":
		w.WriteHeader(map[string]int{"400": 400, "429": 429, "500": 500, "503": 503}[answer])
	}
}

func (r *receiver) texts(t *testing.T) []string {
	var texts []string
	for _, body := range r.bodies {
		request := plogotlp.NewExportRequest()
		require.NoError(t, request.UnmarshalProto(body))
		records := request.Logs().ResourceLogs().At(0).ScopeLogs().At(0).LogRecords()
		for i := range records.Len() {
			texts = append(texts, records.At(i).Body().Str())
		}
	}
	return texts
}

func newLogs(t *testing.T, r *receiver) *OTLPLogs {
	w, err := NewOTLPLogs(OTLPOptions{
		Common:  Common{Name: "logs", Seed: 1, Labels: map[string]string{"env": "test"}},
		BaseURL: r.URL, Resource: map[string]string{"deployment.environment.name": "test"},
	})
	require.NoError(t, err)
	return w
}

func TestPushIsRepeatedUntilItIsAnswered(t *testing.T) {
	all := []harness.SeqRange{{First: 0, Last: 9}}
	tests := map[string]struct {
		answers []string
		copies  int
		refused []harness.SeqRange
		resent  []harness.SeqRange
	}{
		"taken":             {nil, 1, nil, nil},
		"later":             {[]string{"503", "429", "503"}, 1, nil, nil},
		"refused":           {[]string{"503", "400"}, 0, all, nil},
		"no answer, stored": {[]string{"taken, reset"}, 2, nil, all},
		"no answer":         {[]string{"reset", "reset"}, 1, nil, all},
		"server error":      {[]string{"500"}, 1, nil, all},
		"no OTLP":           {[]string{"taken, garbage"}, 2, nil, all},
		"partial success":   {[]string{"taken, partial"}, 2, nil, all},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := newReceiver(t, test.answers...)
			w := newLogs(t, r)
			require.NoError(t, w.writeRecords(t.Context(), 10))
			accounts, err := w.Stop(t.Context())
			require.NoError(t, err)
			account := accounts[0]
			assert.EqualValues(t, 10, account.Next)
			assert.Equal(t, test.refused, account.Refused)
			assert.Equal(t, test.resent, account.Resent)
			assert.Empty(t, account.Unanswered)
			assert.Equal(t, test.refused == nil, account.Written == 10)
			assert.Equal(t, test.refused == nil, account.Acknowledged(9))
			assert.False(t, account.Acknowledged(10))

			var want []string
			for range test.copies {
				for seq := range int64(10) {
					want = append(want, account.Record(seq).Text)
				}
			}
			assert.Equal(t, want, r.texts(t))
		})
	}
}

func TestStopWhileNobodyAnswers(t *testing.T) {
	for answer, unanswered := range map[string]bool{"500": true, "503": false} {
		t.Run(answer, func(t *testing.T) {
			r := newReceiver(t)
			r.answers = make([]string, 10_000)
			for i := range r.answers {
				r.answers[i] = answer
			}
			w := newLogs(t, r)
			w.SetRate(1000)
			require.NoError(t, w.Start())
			require.Eventually(t, func() bool {
				r.mu.Lock()
				defer r.mu.Unlock()
				return len(r.answers) < 9_998
			}, 10*time.Second, time.Millisecond)
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
			defer cancel()
			accounts, err := w.Stop(ctx)
			require.NoError(t, err)
			account := accounts[0]
			assert.Zero(t, account.Written)
			all := []harness.SeqRange{{First: 0, Last: account.Next - 1}}
			if unanswered {
				assert.Equal(t, all, account.Unanswered)
			} else {
				// Nobody has it, so finding it would be a surprise. But the last attempt may have been cut off.
				assert.Equal(t, all, append(account.Refused, account.Unanswered...))
			}
		})
	}
}

// TestStopLetsAPushEnd holds that a push under way when the writer is stopped is not broken off and sent again.
func TestStopLetsAPushEnd(t *testing.T) {
	arrived, release := make(chan struct{}, 100), make(chan struct{})
	r := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		arrived <- struct{}{}
		<-release
	}))
	defer r.Close()
	w, err := NewOTLPLogs(OTLPOptions{Common: Common{Name: "logs", Rate: 1000}, BaseURL: r.URL})
	require.NoError(t, err)
	require.NoError(t, w.Start())
	<-arrived
	time.AfterFunc(50*time.Millisecond, func() { close(release) })
	accounts, err := w.Stop(t.Context())
	require.NoError(t, err)
	assert.Equal(t, accounts[0].Next, accounts[0].Written)
	assert.Positive(t, accounts[0].Written)
	assert.Empty(t, accounts[0].Resent)
	assert.Empty(t, arrived)
}

func TestNobodyListens(t *testing.T) {
	r := newReceiver(t)
	r.Close()
	w := newLogs(t, r)
	result, err := w.push(t.Context(), 0, 1)
	require.Error(t, err)
	assert.Equal(t, notTaken, result)
}

func TestLogsBearWhatTheAccountSays(t *testing.T) {
	r := newReceiver(t)
	day := 24 * time.Hour
	base := time.Date(2026, 1, 2, 3, 4, 5, 6e6, time.UTC)
	w, err := NewOTLPLogs(OTLPOptions{
		Common:  Common{Name: "logs", JumpEvery: 2, Jumps: []time.Duration{day, -6 * day}},
		BaseURL: r.URL, Resource: map[string]string{"service.name": "shop"}, Base: base, Step: time.Second,
	})
	require.NoError(t, err)
	require.NoError(t, w.writeRecords(t.Context(), 6))
	accounts, err := w.Stop(t.Context())
	require.NoError(t, err)
	request := plogotlp.NewExportRequest()
	require.NoError(t, request.UnmarshalProto(r.bodies[0]))
	logs := request.Logs().ResourceLogs().At(0)
	assert.Equal(t, map[string]any{"service.name": "shop"}, logs.Resource().Attributes().AsRaw())
	for seq, want := range []time.Duration{0, time.Second + day, 2 * time.Second, 3*time.Second - 6*day, 4 * time.Second, 5*time.Second + day} {
		assert.Equal(t, base.Add(want), logs.ScopeLogs().At(0).LogRecords().At(seq).Timestamp().AsTime())
		assert.Equal(t, base.Add(want), accounts[0].Record(int64(seq)).Time)
	}
	assert.True(t, accounts[0].Unordered)
}

func TestMetricsBearWhatTheAccountsSay(t *testing.T) {
	r := newReceiver(t)
	w, err := NewOTLPMetrics(OTLPOptions{Common: Common{Name: "m"}, BaseURL: r.URL})
	require.NoError(t, err)
	require.NoError(t, w.writeRecords(t.Context(), 3))
	require.NoError(t, w.writeRecords(t.Context(), 4))
	accounts, err := w.Stop(t.Context())
	require.NoError(t, err)
	require.Len(t, accounts, 2)
	assert.Equal(t, "m", accounts[0].Writer)
	assert.Equal(t, "m.counter", accounts[1].Writer)
	next := int64(0)
	for _, body := range r.bodies {
		request := pmetricotlp.NewExportRequest()
		require.NoError(t, request.UnmarshalProto(body))
		metrics := request.Metrics().ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics()
		gauge, counter := metrics.At(0), metrics.At(1)
		assert.Equal(t, accounts[0].Metric, gauge.Name())
		assert.Equal(t, accounts[1].Metric, counter.Name()+"_total")
		assert.True(t, counter.Sum().IsMonotonic())
		assert.Equal(t, pmetric.AggregationTemporalityCumulative, counter.Sum().AggregationTemporality())
		for i, points := range []pmetric.NumberDataPointSlice{gauge.Gauge().DataPoints(), counter.Sum().DataPoints()} {
			for j := range points.Len() {
				p := points.At(j)
				seq, ok := accounts[i].SeqAt(p.Timestamp().AsTime())
				require.True(t, ok)
				assert.Equal(t, next+int64(j), seq)
				assert.Equal(t, Record{Value: p.DoubleValue(), Time: p.Timestamp().AsTime()}, accounts[i].Record(seq))
				writer, _ := p.Attributes().Get(WriterLabel)
				assert.Equal(t, "m", writer.Str())
			}
		}
		next += int64(gauge.Gauge().DataPoints().Len())
	}
	assert.EqualValues(t, 7, next)
	_, ok := accounts[0].SeqAt(accounts[0].Record(3).Time.Add(time.Millisecond))
	assert.False(t, ok)
}

func TestPoisonIsUndecodable(t *testing.T) {
	w := &Poison{}
	w.opts = KafkaOptions{Common: Common{Name: "p", Seed: 9, Bytes: 100}}
	for seq := range int64(50) {
		_, err := (&plog.ProtoUnmarshaler{}).UnmarshalLogs(w.message(seq))
		require.Error(t, err, seq)
		_, err = (&pmetric.ProtoUnmarshaler{}).UnmarshalMetrics(w.message(seq))
		require.Error(t, err, seq)
		_, err = (&plog.JSONUnmarshaler{}).UnmarshalLogs(w.message(seq))
		require.Error(t, err, seq)
	}
}
