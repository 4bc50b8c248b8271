package oracle

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/breakwater-otel/breakwater/integration/crucible/load"
	"github.com/breakwater-otel/breakwater/integration/harness"
)

// TestRealVictoriaLogs stores records with a few of them removed, doubled, corrupted and relabelled in a real server.
func TestRealVictoriaLogs(t *testing.T) {
	server := harness.StartVictoriaLogs(t, harness.VictoriaLogsOptions{})
	a, b := otlpLogs("a", 2000), lines("b", 1000)
	a.Labels = map[string]string{"env": "test \"1\"", "host.name": "edge-7"}
	b.Labels = a.Labels
	insert := func(found ...Found) {
		var batch []harness.LogRow
		for _, f := range found {
			row := harness.LogRow{"_msg": f.Text, "_time": f.Time.Format(time.RFC3339Nano), "other": "field"}
			maps.Copy(row, f.Labels)
			batch = append(batch, row)
		}
		require.NoError(t, server.InsertJSON(t.Context(), []string{"env", "host.name"}, batch...))
	}
	source := VictoriaLogs{URL: server.URL()}
	accounts := accountsOf(a, b)
	full := stored(a, b)

	// What the exporter had to give another time says so in a field.
	clamped := full[1999]
	require.NoError(t, server.InsertJSON(t.Context(), []string{"env", "host.name"}, harness.LogRow{
		"_msg": clamped.Text, "_time": clamped.Time.Add(time.Hour).Format(time.RFC3339Nano),
		"original_time": clamped.Time.Format(time.RFC3339Nano), "env": a.Labels["env"], "host.name": "edge-7",
	}))
	insert(slices.Concat(full[:1999], full[2000:])...)
	require.NoError(t, server.Flush(t.Context()))
	n, err := source.Count(t.Context())
	require.NoError(t, err)
	assert.EqualValues(t, 3000, n)
	report, err := Check(t.Context(), accounts, []Source{source}, nil)
	require.NoError(t, err)
	assert.Equal(t, []WriterReport{all(a), all(b)}, report.Writers)
	assert.Zero(t, report.Foreign)

	// Doubled, corrupted and relabelled copies come on top.
	torn := full[7]
	torn.Text = torn.Text[:len(torn.Text)-1]
	insert(full[5], full[5], torn, relabel(full[6], "env", "prod"), Found{Text: "hello", Time: base, Labels: a.Labels})
	require.NoError(t, server.Flush(t.Context()))
	// A filter is the way to have removed some behind the oracle's back: the server does not delete.
	source.Filter = fmt.Sprintf(`!_msg:=%q`, full[2500].Text)
	report, err = Check(t.Context(), accounts, []Source{source}, nil)
	require.NoError(t, err)
	wantA, wantB := all(a), all(b)
	wantA.Duplicated, wantA.DuplicatedSeqs = 3, []harness.SeqRange{{First: 5, Last: 6}}
	wantA.CorruptedCopies = 1
	wantA.Mislabelled = 1
	wantA.LabelExamples = []LabelMismatch{{Seq: 6, Label: "env", Want: `test "1"`, Got: "prod"}}
	wantB.Stored, wantB.Lost, wantB.LostSeqs = 999, 1, one(500)
	assert.Equal(t, []WriterReport{wantA, wantB}, report.Writers)
	assert.EqualValues(t, 1, report.Foreign)
}

// TestRealVictoriaMetrics does the same with samples.
func TestRealVictoriaMetrics(t *testing.T) {
	server := harness.StartVictoriaMetrics(t, harness.VictoriaMetricsOptions{})
	accounts := samples(t, "m", 500)
	// Count looks at the last weeks only.
	now := time.Now().Truncate(time.Second)
	for i := range accounts {
		record, seqAt := accounts[i].Record, accounts[i].SeqAt
		accounts[i].Record = func(seq int64) load.Record {
			r := record(seq)
			r.Time = r.Time.Add(now.Sub(base))
			return r
		}
		accounts[i].SeqAt = func(at time.Time) (int64, bool) { return seqAt(at.Add(base.Sub(now))) }
	}
	full := stored(accounts...)
	insert := func(found ...Found) {
		var batch []harness.MetricData
		for _, f := range found {
			batch = append(batch, harness.MetricData{
				Labels: f.Labels, Values: []float64{f.Value}, Timestamps: []int64{f.Time.UnixMilli()},
			})
		}
		require.NoError(t, server.Import(t.Context(), batch...))
	}
	insert(slices.Concat(full[:3], full[5:500], full[501:])...)
	insert(full[10], full[11])               // sent again: one sample, after deduplication
	insert(relabel(full[12], "env", "prod")) // another series
	wrong := full[4]
	wrong.Value = 99 // was never written; deduplication prefers the larger of two
	insert(wrong, Found{Metric: "up", Value: 1, Time: now, Labels: map[string]string{"__name__": "up"}})
	require.NoError(t, server.Flush(t.Context()))

	source := VictoriaMetrics{URL: server.URL()}
	n, err := source.Count(t.Context())
	require.NoError(t, err)
	assert.EqualValues(t, 1000-3+2, n)
	report, err := Check(t.Context(), accounts, []Source{source}, nil)
	require.NoError(t, err)
	gauge, counter := all(accounts[0]), all(accounts[1])
	gauge.Stored, gauge.Lost, gauge.LostSeqs = 498, 1, one(3)
	gauge.Corrupted, gauge.CorruptedSeqs, gauge.CorruptedCopies = 1, one(4), 1
	gauge.Duplicated, gauge.DuplicatedSeqs = 1, one(12)
	gauge.Mislabelled = 1
	gauge.LabelExamples = []LabelMismatch{{Seq: 12, Label: "env", Want: "test", Got: "prod"}}
	counter.Stored, counter.Lost, counter.LostSeqs = 499, 1, one(0)
	assert.Equal(t, []WriterReport{gauge, counter}, report.Writers)
	assert.Zero(t, report.Foreign)
}

// TestLoki reads from something that answers as Loki does, a few lines at a time.
func TestLoki(t *testing.T) {
	a := otlpLogs("a", 1000)
	full := stored(a)
	for i := 100; i < 108; i++ {
		full[i].Time = full[100].Time // as many as one answer may have but one
	}
	text := a.Record
	a.Record = func(seq int64) load.Record { return load.Record{Text: text(seq).Text} }
	full = append(full, full[3], relabel(full[4], "env", "prod"))
	const limit = 9
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		assert.Equal(t, "/loki/api/v1/query_range", r.URL.Path)
		assert.Equal(t, `{env=~".+"}`, r.FormValue("query"))
		assert.Equal(t, "forward", r.FormValue("direction"))
		start, _ := strconv.ParseInt(r.FormValue("start"), 10, 64)
		end, _ := strconv.ParseInt(r.FormValue("end"), 10, 64)
		most, _ := strconv.Atoi(r.FormValue("limit"))
		assert.LessOrEqual(t, time.Duration(end-start), maxWindow)
		streams := map[string][][]any{}
		n := 0
		for _, f := range full {
			if at := f.Time.UnixNano(); at >= start && at < end && n < most {
				n++
				labels, _ := json.Marshal(f.Labels)
				streams[string(labels)] = append(streams[string(labels)], []any{strconv.FormatInt(at, 10), f.Text})
			}
		}
		result := []map[string]any{}
		for labels, values := range streams {
			result = append(result, map[string]any{"stream": json.RawMessage(labels), "values": values})
		}
		assert.NoError(t, json.NewEncoder(w).Encode(map[string]any{
			"status": "success", "data": map[string]any{"resultType": "streams", "result": result},
		}))
	}))
	defer server.Close()
	source := Loki{URL: server.URL, Selector: `{env=~".+"}`, From: base.Add(-50 * time.Hour), To: base.Add(time.Hour), Limit: limit}
	report, err := Check(t.Context(), accountsOf(a), []Source{source}, nil)
	require.NoError(t, err)
	want := all(a)
	want.Duplicated, want.DuplicatedSeqs = 2, []harness.SeqRange{{First: 3, Last: 4}}
	want.Mislabelled, want.LabelExamples = 1, []LabelMismatch{{Seq: 4, Label: "env", Want: "test", Got: "prod"}}
	assert.Equal(t, []WriterReport{want}, report.Writers)

	full[108].Time = full[100].Time
	_, err = Check(t.Context(), accountsOf(a), []Source{source}, nil)
	require.ErrorContains(t, err, "has 9 lines or more")
}

func TestLokiCount(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		assert.Equal(t, `sum(count_over_time({service_name=~".+"}[3600s]))`, r.FormValue("query"))
		_, _ = w.Write([]byte(`{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,"1002"]}]}}`))
	}))
	defer server.Close()
	n, err := Loki{URL: server.URL, From: base, To: base.Add(time.Hour)}.Count(t.Context())
	require.NoError(t, err)
	assert.EqualValues(t, 1002, n)
}

func TestDeadLetterTopic(t *testing.T) {
	kafka := harness.StartFakeKafka(t, harness.FakeKafkaOptions{})
	client, err := harness.NewKafkaClient(kafka.Brokers())
	require.NoError(t, err)
	defer client.Close()
	source := DeadLetterTopic{Kafka: client, Topic: "dlq"}
	a := lines("a", 4)
	n, err := source.Count(t.Context())
	require.NoError(t, err)
	assert.Zero(t, n, "no topic, no letters")
	report, err := Check(t.Context(), accountsOf(a), []Source{stored(a)}, []DeadLetters{source})
	require.NoError(t, err)
	assert.Equal(t, []WriterReport{all(a)}, report.Writers)

	_, err = client.Admin().CreateTopic(t.Context(), 2, 1, nil, "dlq")
	require.NoError(t, err)
	headers := func(reason string) []kgo.RecordHeader {
		return []kgo.RecordHeader{{Key: "x", Value: []byte("y")}, {Key: reasonHeader, Value: []byte(reason)}}
	}
	require.NoError(t, client.Produce(t.Context(),
		&kgo.Record{Topic: "dlq", Partition: 0, Value: otlpLetter(t, a.Record(0).Text, a.Record(1).Text), Headers: headers("refused")},
		&kgo.Record{Topic: "dlq", Partition: 1, Value: []byte(a.Record(2).Text), Headers: headers("undecodable")},
	))
	n, err = source.Count(t.Context())
	require.NoError(t, err)
	assert.EqualValues(t, 2, n)
	report, err = Check(t.Context(), accountsOf(a), []Source{stored(a)[3:]}, []DeadLetters{source})
	require.NoError(t, err)
	want := all(a)
	want.Stored, want.DeadLettered, want.DeadByReason = 1, 3, map[string]int64{"refused": 2, "undecodable": 1}
	assert.Equal(t, []WriterReport{want}, report.Writers)
}

func TestDeadLetterFiles(t *testing.T) {
	a := lines("a", 3)
	dir := t.TempDir()
	line := func(reason, value string) string {
		text, err := json.Marshal(map[string]any{"reason": reason, "signal": "logs", "value": []byte(value), "partition": 1})
		require.NoError(t, err)
		return string(text) + "\n"
	}
	write := func(name, text string) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	write("1.jsonl", line("refused", string(otlpLetter(t, a.Record(0).Text)))+line("undecodable", "\xff"+a.Record(1).Text))
	write("2.jsonl", strings.TrimSuffix(line("refused", a.Record(2).Text), "\n"))
	source := DeadLetterFiles{Glob: filepath.Join(dir, "*.jsonl")}
	n, err := source.Count(t.Context())
	require.NoError(t, err)
	assert.EqualValues(t, 2, n)
	report, err := Check(t.Context(), accountsOf(a), nil, []DeadLetters{source})
	require.NoError(t, err)
	want := all(a)
	want.Stored, want.DeadLettered, want.DeadByReason = 0, 2, map[string]int64{"refused": 1, "undecodable": 1}
	want.Lost, want.LostSeqs = 1, one(2)
	assert.Equal(t, []WriterReport{want}, report.Writers)

	write("3.jsonl", "garbage\n")
	_, err = source.Count(t.Context())
	require.ErrorContains(t, err, "3.jsonl")
}

func TestParseStream(t *testing.T) {
	for text, want := range map[string]map[string]string{
		`{}`:                        {},
		`{env="test"}`:              {"env": "test"},
		`{a="x,y}",b="q\"\\ü\n"}`:   {"a": "x,y}", "b": "q\"\\ü\n"},
		`{"a b"="1",host.name="2"}`: {"a b": "1", "host.name": "2"},
	} {
		got, err := parseStream(text)
		require.NoError(t, err, text)
		assert.Equal(t, want, got)
	}
	for _, text := range []string{``, `{`, `{a}`, `{a=b}`, `{"a"b="c"}`, `{"a="c"}`, `{a="c}`} {
		_, err := parseStream(text)
		assert.Error(t, err, text)
	}
}
