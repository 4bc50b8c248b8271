package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/breakwater-otel/breakwater/internal/letters"
)

const (
	dlq  = "otel-dlq-v1"
	beat = "fluent-bit-logs-v1"
	logs = "otel-logs-v1"
)

var buried = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

// kafka is a cluster, and the command run on it.
type kafka struct {
	*kfake.Cluster
	t      *testing.T
	client *kgo.Client
}

func newKafka(t *testing.T) *kafka {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(2, dlq, beat, logs, "otel-metrics-v1"))
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	client, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	require.NoError(t, err)
	t.Cleanup(client.Close)
	return &kafka{Cluster: cluster, t: t, client: client}
}

// bury puts letters into partition 0.
func (k *kafka) bury(list ...letters.Letter) {
	for _, l := range list {
		l = letters.Normalize(l, buried)
		require.NoError(k.t, k.client.ProduceSync(k.t.Context(), letters.ToRecord(&l, dlq)).FirstErr())
	}
}

func (k *kafka) run(args ...string) (stdout, stderr string, status int) {
	return k.runEnv(nil, args...)
}

func (k *kafka) runEnv(env map[string]string, args ...string) (stdout, stderr string, status int) {
	getenv := func(name string) string {
		if name == "KAFKA_BROKERS" {
			return strings.Join(k.ListenAddrs(), ",")
		}
		return env[name]
	}
	var out, errs bytes.Buffer
	status = run(k.t.Context(), args, getenv, &out, &errs)
	return out.String(), errs.String(), status
}

// ok runs the command, which must succeed, and returns its output with the columns
// apart by one space.
func (k *kafka) ok(args ...string) string {
	stdout, stderr, status := k.run(args...)
	require.Equal(k.t, 0, status, stderr)
	require.Empty(k.t, stderr)
	return regexp.MustCompile(` +`).ReplaceAllString(stdout, " ")
}

// read returns all records of a topic.
func (k *kafka) read(topic string) []*kgo.Record {
	ends, err := kadm.NewClient(k.client).ListEndOffsets(k.t.Context(), topic)
	require.NoError(k.t, err)
	want := 0
	ends.Each(func(o kadm.ListedOffset) { want += int(o.Offset) })
	if want == 0 {
		return nil
	}
	reader, err := kgo.NewClient(kgo.SeedBrokers(k.ListenAddrs()...), kgo.ConsumeTopics(topic))
	require.NoError(k.t, err)
	defer reader.Close()
	ctx, cancel := context.WithTimeout(k.t.Context(), 20*time.Second)
	defer cancel()
	var read []*kgo.Record
	for len(read) < want {
		fetches := reader.PollFetches(ctx)
		require.NoError(k.t, fetches.Err())
		read = append(read, fetches.Records()...)
	}
	return read
}

func undecodable(offset int64, value string) letters.Letter {
	return letters.Letter{
		Reason: "undecodable", Error: "invalid character", Signal: "logs", Encoding: "json",
		Topic: beat, Partition: 1, Offset: offset, Timestamp: buried.Add(-time.Hour), Value: []byte(value),
	}
}

func encodedLogs(t *testing.T, body string) []byte {
	data := plog.NewLogs()
	data.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty().Body().SetStr(body)
	value, err := (&plog.ProtoMarshaler{}).MarshalLogs(data)
	require.NoError(t, err)
	return value
}

func refused(t *testing.T, offset int64, body string) letters.Letter {
	return letters.Letter{
		Reason: "refused", Error: "HTTP 400", Signal: "logs", Encoding: "otlp_proto", Topic: beat, Offset: offset,
		Last: offset + 5, Records: 1, Value: encodedLogs(t, body),
	}
}

func TestList(t *testing.T) {
	k := newKafka(t)
	assert.Equal(t, "0 dead letters\n", k.ok("list"))
	k.bury(undecodable(1, "a"), undecodable(2, "b"), refused(t, 3, "c"), undecodable(1, "a"))
	require.NoError(t, k.client.ProduceSync(t.Context(), &kgo.Record{Topic: dlq, Value: []byte("x")}).FirstErr())
	assert.Equal(t, `LETTERS RECORDS REPLAYED REASON SIGNAL TOPIC FIRST LAST FIRST ID LAST ID ERROR
2 0 0 undecodable logs fluent-bit-logs-v1 2026-03-04T05:06:07Z 2026-03-04T05:06:07Z 0:0 0:1 invalid character
1 1 0 refused logs fluent-bit-logs-v1 2026-03-04T05:06:07Z 2026-03-04T05:06:07Z 0:2 0:2 HTTP 400
3 dead letters (and 1 copies of them, stored twice after a failure; 1 that are no dead letters)
`, k.ok("list"))
	assert.Equal(t, `ID TIME REASON SIGNAL FROM BYTES RECORDS REPLAYS REPLAYED ERROR
0:1 2026-03-04T05:06:07Z undecodable logs fluent-bit-logs-v1/1@2 1 0 0 no invalid character
0:2 2026-03-04T05:06:07Z refused logs fluent-bit-logs-v1/0@3-8 19 1 0 no HTTP 400
2 dead letters (and 1 that are no dead letters)
`, k.ok("list", "-each", "-first-offset=1", "-last-offset=2"))
}

func TestSelection(t *testing.T) {
	k := newKafka(t)
	other := refused(t, 1, "c")
	other.Topic, other.Signal = logs, "traces"
	k.bury(undecodable(1, "a"), refused(t, 2, "b"), other)
	for want, args := range map[string][]string{
		"0:0":         {"-reason=undecodable"},
		"0:1 0:2":     {"-reason=refused"},
		"0:2":         {"-signal=traces"},
		"0:0 0:1":     {"-source-topic=" + beat},
		"0:1":         {"-first-offset=1", "-last-offset=1"},
		"0:0 0:1 0:2": {"-partition=0"},
		"":            {"-partition=1"},
		"0:0 0:2":     {"-id=0:0,0:2"},
	} {
		var ids []string
		for _, line := range strings.Split(k.ok(append([]string{"list", "-each"}, args...)...), "\n") {
			if id, _, _ := strings.Cut(line, " "); strings.Contains(id, ":") {
				ids = append(ids, id)
			}
		}
		assert.Equal(t, want, strings.Join(ids, " "), args)
	}
}

func TestAListIsBoundedAndSafeForATerminal(t *testing.T) {
	k := newKafka(t)
	batch := make([]*kgo.Record, 0, maxGroups+10)
	for i := range maxGroups + 10 {
		l := undecodable(int64(i), "a")
		l.Error = fmt.Sprintf("\x1b[31m%d\n%s", i, strings.Repeat("x", 200))
		l = letters.Normalize(l, buried)
		batch = append(batch, letters.ToRecord(&l, dlq))
	}
	require.NoError(t, k.client.ProduceSync(t.Context(), batch...).FirstErr())
	out := k.ok("list")
	assert.Equal(t, maxGroups+3, strings.Count(out, "\n"))
	assert.Contains(t, out, "10 0 0 (others)")
	assert.NotContains(t, out, "\x1b")
	assert.NotContains(t, out, strings.Repeat("x", 150))
}

func TestShow(t *testing.T) {
	k := newKafka(t)
	first := undecodable(7, "{\"log\": broken\x1b[2J")
	first.Key = []byte("k\x00")
	first.Headers = []letters.Header{{Key: "traceparent", Value: []byte("00-a")}}
	k.bury(first, undecodable(8, "\xff\xfe"), refused(t, 9, "the body"), undecodable(10, strings.Repeat("é", maxShownBytes)))

	out := k.ok("show", "0:0")
	for _, want := range []string{
		"id: 0:0\n", "buried: 2026-03-04T05:06:07Z\n", "reason: undecodable\n", "error: invalid character\n", "encoding: json\n",
		"from: fluent-bit-logs-v1/1@7\n", "timestamp: 2026-03-04T04:06:07Z\n", `key: "k\x00"`, `header: "traceparent" = "00-a"`,
		"value: 18 bytes\n", "\n{\"log\": broken\\x1b[2J\n",
	} {
		assert.Contains(t, out, want)
	}
	assert.Contains(t, k.ok("show", "0:1"), "00000000 ff fe")
	assert.Contains(t, k.ok("show", "0:2"), `"stringValue": "the body"`)
	long := k.ok("show", "0:3")
	assert.Contains(t, long, "… and 65536 more bytes; -raw writes all")
	assert.NotContains(t, long, "ff fe", "not hex because a rune was cut in two")

	stdout, _, status := k.run("show", "-raw", "0:0")
	assert.Equal(t, 0, status)
	assert.Equal(t, string(first.Value), stdout)

	for id, want := range map[string]string{
		"0:99": "has no record 0:99", "7:0": "has no record 7:0", "x:0": "must be partition:offset", "0": "must be partition:offset",
	} {
		_, stderr, status := k.run("show", id)
		assert.Equal(t, 1, status)
		assert.Contains(t, stderr, want)
	}
}

func TestOTLPIsShownAsJSON(t *testing.T) {
	metrics := pmetric.NewMetrics()
	m := metrics.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
	m.SetName("the metric")
	m.SetEmptyGauge().DataPoints().AppendEmpty().SetIntValue(3)
	encodedMetrics, err := (&pmetric.ProtoMarshaler{}).MarshalMetrics(metrics)
	require.NoError(t, err)
	traces := ptrace.NewTraces()
	traces.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty().SetName("the span")
	encodedTraces, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(traces)
	require.NoError(t, err)
	for _, c := range []struct {
		signal string
		value  []byte
		want   string
	}{
		{"logs", encodedLogs(t, "the body"), `"stringValue": "the body"`},
		{"metrics", encodedMetrics, `"name": "the metric"`},
		{"traces", encodedTraces, `"name": "the span"`},
		{"logs", []byte("\xff"), "00000000  ff"},
		{"profiles", []byte("text"), "text\n"},
	} {
		assert.Contains(t, readable(&letters.Letter{Signal: c.signal, Encoding: "otlp_proto", Value: c.value}), c.want)
	}
}

func TestReplayIsADryRunUnlessToldOtherwise(t *testing.T) {
	k := newKafka(t)
	k.bury(undecodable(1, "a"))
	assert.Equal(t, `LETTERS RECORDS REASON SIGNAL FROM TO WHAT
1 0 undecodable logs fluent-bit-logs-v1 fluent-bit-logs-v1 would be replayed
1 would be replayed, 0 skipped; -yes does it
`, k.ok("replay"))
	assert.Empty(t, k.read(beat))
	assert.Len(t, k.read(dlq), 1, "no mark")
}

func TestReplayOnce(t *testing.T) {
	k := newKafka(t)
	first := undecodable(1, "a\x00")
	first.Key = []byte("k")
	first.Headers = []letters.Header{{Key: "h", Value: []byte("1")}, {Key: "h", Value: nil}}
	k.bury(first, refused(t, 3, "c"), first)

	assert.Equal(t, `LETTERS RECORDS REASON SIGNAL FROM TO WHAT
1 1 refused logs fluent-bit-logs-v1 otel-logs-v1 replayed
1 0 undecodable logs fluent-bit-logs-v1 fluent-bit-logs-v1 replayed
1 0 undecodable logs fluent-bit-logs-v1 fluent-bit-logs-v1 skipped: copy of another one
2 replayed, 1 skipped
`, k.ok("replay", "-yes"))
	message := k.read(beat)
	require.Len(t, message, 1)
	assert.Equal(t, []byte("a\x00"), message[0].Value)
	assert.Equal(t, []byte("k"), message[0].Key)
	assert.Equal(t, []kgo.RecordHeader{{Key: "h", Value: []byte("1")}, {Key: "h"}, {Key: letters.HeaderReplays, Value: []byte("1")}}, message[0].Headers)
	message = k.read(logs)
	require.Len(t, message, 1)
	assert.Equal(t, encodedLogs(t, "c"), message[0].Value)
	assert.Equal(t, []kgo.RecordHeader{{Key: letters.HeaderReplays, Value: []byte("1")}}, message[0].Headers)

	assert.Contains(t, k.ok("replay", "-yes"), "0 replayed, 3 skipped")
	assert.Contains(t, k.ok("replay", "-yes"), "skipped: replayed before")
	assert.Len(t, k.read(beat), 1)
	assert.Contains(t, k.ok("list"), "\n1 0 1 undecodable", "the list says what is replayed")

	assert.Contains(t, k.ok("replay", "-yes", "-again", "-reason=undecodable"), "1 replayed, 1 skipped")
	assert.Len(t, k.read(beat), 2)
	assert.Len(t, k.read(logs), 1)
}

func TestTheGuard(t *testing.T) {
	k := newKafka(t)
	k.bury(undecodable(1, "a"))
	k.ok("replay", "-yes")
	// The receiver cannot decode it this time either.
	message := k.read(beat)[0]
	again := undecodable(message.Offset, string(message.Value))
	again.Partition = message.Partition
	for _, h := range message.Headers {
		again.Headers = append(again.Headers, letters.Header{Key: h.Key, Value: h.Value})
	}
	k.bury(again)
	out := k.ok("replay", "-yes")
	assert.Contains(t, out, "skipped: came back 1 times (-max-replays 1)")
	assert.Contains(t, out, "0 replayed, 2 skipped")
	assert.Len(t, k.read(beat), 1)

	assert.Contains(t, k.ok("replay", "-yes", "-max-replays=2"), "1 replayed, 1 skipped")
	replayed := k.read(beat)
	require.Len(t, replayed, 2)
	counts := []string{}
	for _, r := range replayed {
		counts = append(counts, string(r.Headers[len(r.Headers)-1].Value))
		assert.Len(t, r.Headers, 1)
	}
	assert.ElementsMatch(t, []string{"1", "2"}, counts)
}

func TestWhereAReplayGoes(t *testing.T) {
	k := newKafka(t)
	traces := refused(t, 1, "a")
	traces.Signal = "traces"
	nowhere := undecodable(0, "x")
	nowhere.Topic = ""
	loop := undecodable(5, "x")
	loop.Topic = dlq
	metrics := refused(t, 2, "b")
	metrics.Signal = "metrics"
	k.bury(traces, nowhere, loop, metrics)
	out := k.ok("replay")
	assert.Contains(t, out, "1 1 refused traces fluent-bit-logs-v1 - skipped: no topic known (-to)")
	assert.Contains(t, out, "1 0 undecodable logs - - skipped: no topic known (-to)")
	assert.Contains(t, out, "skipped: came from the dead letter topic (-to)")
	assert.Contains(t, out, "1 1 refused metrics fluent-bit-logs-v1 otel-metrics-v1 would be replayed")

	stdout, _, status := k.runEnv(map[string]string{"KAFKA_METRICS_TOPIC": "other"}, "replay", "-signal=metrics")
	require.Equal(t, 0, status)
	assert.Contains(t, stdout, "other  would be replayed")

	assert.Contains(t, k.ok("replay", "-yes", "-to="+logs), "4 replayed, 0 skipped")
	assert.Len(t, k.read(logs), 4)
}

func TestALetterThatIsRefusedStopsNoOther(t *testing.T) {
	k := newKafka(t)
	large := undecodable(1, strings.Repeat("x", maxFlushBytes))
	unknown := undecodable(2, "b")
	unknown.Topic = "gone"
	k.bury(large, unknown, undecodable(3, "c"))
	stdout, stderr, status := k.run("replay", "-yes")
	assert.Equal(t, 1, status)
	assert.Contains(t, stdout, "failed: "+kerr.UnknownTopicOrPartition.Message)
	assert.Contains(t, stdout, "\n2 replayed, 0 skipped\n")
	assert.Equal(t, "breakwater-deadletters: error: 1 letters are refused where they should go; they are dead letters still\n", stderr)
	assert.Len(t, k.read(beat), 2)

	out := k.ok("replay")
	assert.Contains(t, out, "1 would be replayed, 2 skipped")
	assert.Contains(t, out, "gone would be replayed")
}

func TestAnOutageStopsTheReplay(t *testing.T) {
	k := newKafka(t)
	k.bury(undecodable(1, "a"), undecodable(2, strings.Repeat("x", maxFlushBytes)))
	var requests atomic.Int64
	k.ControlKey(int16(kmsg.Produce), func(request kmsg.Request) (kmsg.Response, error, bool) {
		k.KeepControl()
		requests.Add(1)
		response, _ := k.refuse(request, kerr.NotEnoughReplicas)
		return response, nil, true
	})
	_, stderr, status := k.run("replay", "-yes", "-timeout=1s")
	assert.Equal(t, 1, status)
	assert.Contains(t, stderr, "replay stopped; what is marked is not replayed again: letter 0:0 to topic fluent-bit-logs-v1: ")
	assert.Positive(t, requests.Load())
	assert.Empty(t, k.read(beat))
	assert.Len(t, k.read(dlq), 2, "no mark")
}

// refuse answers a produce request with an error; toDLQ says whether it was for the
// dead letter topic.
func (k *kafka) refuse(request kmsg.Request, code *kerr.Error) (_ kmsg.Response, toDLQ bool) {
	produce := request.(*kmsg.ProduceRequest)
	response := produce.ResponseKind().(*kmsg.ProduceResponse)
	for _, topic := range produce.Topics {
		answer := kmsg.NewProduceResponseTopic()
		answer.Topic, answer.TopicID = topic.Topic, topic.TopicID
		toDLQ = toDLQ || topic.Topic == dlq || topic.TopicID == k.TopicInfo(dlq).TopicID
		for _, partition := range topic.Partitions {
			p := kmsg.NewProduceResponseTopicPartition()
			p.Partition, p.ErrorCode = partition.Partition, code.Code
			answer.Partitions = append(answer.Partitions, p)
		}
		response.Topics = append(response.Topics, answer)
	}
	return response, toDLQ
}

func TestWhatCannotBeMarkedIsTold(t *testing.T) {
	k := newKafka(t)
	k.bury(undecodable(1, "a"))
	k.ControlKey(int16(kmsg.Produce), func(request kmsg.Request) (kmsg.Response, error, bool) {
		k.KeepControl()
		response, toDLQ := k.refuse(request, kerr.TopicAuthorizationFailed)
		return response, nil, toDLQ
	})
	_, stderr, status := k.run("replay", "-yes")
	assert.Equal(t, 1, status)
	assert.Contains(t, stderr, "letters 0:0 to 0:0 are replayed and not marked")
	assert.Len(t, k.read(beat), 1)
}

func writeLetters(t *testing.T, path string, list ...letters.Letter) {
	var content []byte
	for _, l := range list {
		l = letters.Normalize(l, buried)
		var err error
		content, err = letters.AppendLine(content, &l)
		require.NoError(t, err)
	}
	require.NoError(t, os.WriteFile(path, content, 0o600))
}

func TestFiles(t *testing.T) {
	k := newKafka(t)
	directory := t.TempDir()
	writeLetters(t, filepath.Join(directory, "dead-letters-1.jsonl"), undecodable(1, "a"), undecodable(2, "b"))
	writeLetters(t, filepath.Join(directory, "dead-letters-2.jsonl"), refused(t, 3, "c"))
	file, err := os.OpenFile(filepath.Join(directory, "dead-letters-2.jsonl"), os.O_APPEND|os.O_WRONLY, 0)
	require.NoError(t, err)
	_, err = file.WriteString("{}\n{\"reason\":")
	require.NoError(t, err)
	require.NoError(t, file.Close())

	out := k.ok("list", "-files="+directory)
	assert.Contains(t, out, "dead-letters-1.jsonl:1 dead-letters-1.jsonl:2 invalid character")
	assert.Contains(t, out, "3 dead letters (and 1 that are no dead letters; 1 torn last lines, which nobody took for stored)")
	assert.Contains(t, k.ok("show", "-files="+directory, "dead-letters-2.jsonl:1"), `"stringValue": "c"`)
	_, stderr, status := k.run("show", "-files="+directory, "dead-letters-2.jsonl:9")
	assert.Equal(t, 1, status)
	assert.Contains(t, stderr, "no letter dead-letters-2.jsonl:9")

	marks := filepath.Join(directory, letters.MarksFile)
	require.NoError(t, os.WriteFile(marks, []byte(`{"replayed":"torn`), 0o600))
	assert.Contains(t, k.ok("replay", "-files="+directory, "-yes", "-id=dead-letters-1.jsonl:2"), "1 replayed, 0 skipped")
	require.Len(t, k.read(beat), 1)
	assert.Equal(t, "b", string(k.read(beat)[0].Value))
	assert.Contains(t, k.ok("replay", "-files="+directory, "-yes"), "2 replayed, 1 skipped")
	assert.Contains(t, k.ok("replay", "-files="+directory, "-yes"), "0 replayed, 3 skipped")
	assert.Len(t, k.read(beat), 2)
	assert.Len(t, k.read(logs), 1)
	assert.Empty(t, k.read(dlq), "marks of files are beside them")

	// A letter has the same identity in the topic.
	k.bury(undecodable(1, "a"))
	e, err := (&fileSource{paths: []string{filepath.Join(directory, "dead-letters-1.jsonl")}}).one(t.Context(), "dead-letters-1.jsonl:1")
	require.NoError(t, err)
	assert.Contains(t, k.ok("show", "0:0"), e.letter.ID())
}

func TestFilesNeedNoKafka(t *testing.T) {
	directory := t.TempDir()
	writeLetters(t, filepath.Join(directory, "a.jsonl"), undecodable(1, "a"))
	var out, errs bytes.Buffer
	none := func(string) string { return "" }
	for _, args := range [][]string{{"list"}, {"show", "a.jsonl:1"}, {"replay"}} {
		args = append([]string{args[0], "-brokers=127.0.0.1:1", "-files=" + directory}, args[1:]...)
		assert.Equal(t, 0, run(t.Context(), args, none, &out, &errs), errs.String())
	}
	_, err := openFiles([]string{filepath.Join(directory, "missing")})
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestTheLastOffsetMayBeAMarker(t *testing.T) {
	k := newKafka(t)
	l := letters.Normalize(undecodable(1, "a"), buried)
	producer, err := kgo.NewClient(kgo.SeedBrokers(k.ListenAddrs()...), kgo.TransactionalID("x"))
	require.NoError(t, err)
	defer producer.Close()
	require.NoError(t, producer.BeginTransaction())
	require.NoError(t, producer.ProduceSync(t.Context(), letters.ToRecord(&l, dlq)).FirstErr())
	require.NoError(t, producer.EndTransaction(t.Context(), kgo.TryCommit))
	assert.Contains(t, k.ok("list"), "\n1 dead letters\n")
}

func TestWrongArguments(t *testing.T) {
	for want, args := range map[string][]string{
		"usage: breakwater-deadletters": {"bury"},
		`unexpected argument "x"`:       {"list", "x"},
		"show needs the id":             {"show"},
		"no broker given":               {"list", "-brokers="},
		"no topic given":                {"list", "-topic="},
		"-timeout must be positive":     {"list", "-timeout=0s"},
		"-partition is of the dead":     {"list", "-files=x", "-partition=1"},
		"-max-replays must be at least": {"replay", "-max-replays=0"},
		"-to must not be the dead":      {"replay", "-to=otel-dlq-v1"},
		"flag provided but not defined": {"show", "-reason=x"},
	} {
		var out, errs bytes.Buffer
		assert.Equal(t, 1, run(t.Context(), args, func(string) string { return "" }, &out, &errs), args)
		assert.Contains(t, errs.String(), want)
		assert.Empty(t, out.String())
	}
	var out, errs bytes.Buffer
	none := func(string) string { return "" }
	assert.Equal(t, 1, run(t.Context(), nil, none, &out, &errs))
	assert.Equal(t, 0, run(t.Context(), []string{"-h"}, none, &out, &errs))
	assert.Equal(t, 0, run(t.Context(), []string{"replay", "-h"}, none, &out, &errs))
	assert.Contains(t, errs.String(), "-max-replays")
}

func TestUnreachableKafkaIsOneLine(t *testing.T) {
	k := newKafka(t)
	addrs := strings.Join(k.ListenAddrs(), ",")
	k.Close()
	var out, errs bytes.Buffer
	assert.Equal(t, 1, run(t.Context(), []string{"list", "-brokers=" + addrs, "-timeout=1s"}, func(string) string { return "" }, &out, &errs))
	assert.Contains(t, errs.String(), "cannot reach Kafka (KAFKA_BROKERS) at "+addrs)
	assert.Equal(t, 1, strings.Count(errs.String(), "\n"))
}
