package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/scram"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"gopkg.in/yaml.v3"
)

const (
	logsTopic = "otel-logs-v1"
	liveGroup = "breakwater-consumer-logs"
	shipped   = "../../configs/consumer.yaml"
)

// base is the time of the first message.
var base = time.Now().Add(-time.Hour).Truncate(time.Second).UTC()

// kafka is a cluster in this process, which the shipped profile finds by KAFKA_BROKERS.
type kafka struct {
	*kfake.Cluster
	client *kgo.Client
	admin  *kadm.Client
}

func newKafka(t *testing.T) *kafka {
	return newKafkaWith(t, nil)
}

// newKafkaWith makes a cluster with more options, and a client that meets them.
func newKafkaWith(t *testing.T, clusterOpts []kfake.Opt, clientOpts ...kgo.Opt) *kafka {
	cluster, err := kfake.NewCluster(append(clusterOpts, kfake.NumBrokers(1), kfake.SeedTopics(2, logsTopic, "fluent-bit-logs-v1"))...)
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	t.Setenv("KAFKA_BROKERS", strings.Join(cluster.ListenAddrs(), ","))
	client, err := kgo.NewClient(append(clientOpts, kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.MaxProduceRequestsInflightPerBroker(1), kgo.ProducerBatchMaxBytes(1000))...)
	require.NoError(t, err)
	t.Cleanup(client.Close)
	return &kafka{cluster, client, kadm.NewClient(client)}
}

// messages produces messages of two records each, one a second.
func (k *kafka) messages(t *testing.T, partition int32, n int) {
	for i := range n {
		require.NoError(t, k.client.ProduceSync(t.Context(), &kgo.Record{
			Topic: logsTopic, Partition: partition, Value: twoRecords(t), Timestamp: base.Add(time.Duration(i) * time.Second),
		}).FirstErr())
	}
}

func twoRecords(t *testing.T) []byte {
	logs := plog.NewLogs()
	records := logs.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords()
	records.AppendEmpty().Body().SetStr("one")
	records.AppendEmpty().Body().SetStr("two")
	value, err := (&plog.ProtoMarshaler{}).MarshalLogs(logs)
	require.NoError(t, err)
	return value
}

func (k *kafka) commit(t *testing.T, group string, offsets ...int64) {
	os := kadm.Offsets{}
	for partition, offset := range offsets {
		os.Add(kadm.Offset{Topic: logsTopic, Partition: int32(partition), At: offset, LeaderEpoch: -1})
	}
	require.NoError(t, k.admin.CommitAllOffsets(t.Context(), group, os))
}

func (k *kafka) deleteBefore(t *testing.T, partition int32, offset int64) {
	gone := kadm.Offsets{}
	gone.Add(kadm.Offset{Topic: logsTopic, Partition: partition, At: offset})
	_, err := k.admin.DeleteRecords(t.Context(), gone)
	require.NoError(t, err)
}

// command runs the command with the shipped profile.
func command(t *testing.T, args ...string) (status int, output string) {
	var out bytes.Buffer
	args = append([]string{args[0], "-config", shipped, "-source", "logs", "-timeout", "5s"}, args[1:]...)
	status = run(t.Context(), args, os.Getenv, &out, &out)
	return status, out.String()
}

// row returns the cells of a partition's line of a report.
func row(t *testing.T, output, first string) []string {
	t.Helper()
	for line := range strings.Lines(output) {
		if cells := strings.Fields(line); len(cells) > 2 && cells[0] == first {
			return cells
		}
	}
	require.Failf(t, "no line", "%s in\n%s", first, output)
	return nil
}

func at(second int) string { return base.Add(time.Duration(second) * time.Second).Format(time.RFC3339) }

func TestDryRunOfTimes(t *testing.T) {
	k := newKafka(t)
	k.messages(t, 0, 20)
	k.messages(t, 1, 5)
	k.commit(t, liveGroup, 20, 5)
	status, output := command(t, "run", "-from", at(3), "-to", at(10))
	require.Zero(t, status, output)
	bytes := len(twoRecords(t))
	assert.Equal(t, []string{"0", "3", "9", "7", fmt.Sprint(7 * bytes), "14", stamp(base.Add(3 * time.Second)), stamp(base.Add(9 * time.Second))}, row(t, output, "0"))
	assert.Equal(t, []string{"1", "3", "4", "2", fmt.Sprint(2 * bytes), "4", stamp(base.Add(3 * time.Second)), stamp(base.Add(4 * time.Second))}, row(t, output, "1"))
	assert.Equal(t, []string{"total", "9", fmt.Sprint(9 * bytes), "18", stamp(base.Add(3 * time.Second)), stamp(base.Add(9 * time.Second))}, row(t, output, "total"))
	assert.Contains(t, output, "nothing was sent")
	groups, err := k.admin.ListGroups(t.Context())
	require.NoError(t, err)
	assert.Equal(t, []string{liveGroup}, groups.Groups(), "a dry run leaves nothing")
}

func TestDryRunOfOffsets(t *testing.T) {
	k := newKafka(t)
	k.messages(t, 0, 20)
	k.messages(t, 1, 20)
	k.commit(t, liveGroup, 20, 20)
	status, output := command(t, "run", "-offsets", "1:5-7,0:18-")
	require.Zero(t, status, output)
	assert.Equal(t, []string{"0", "18", "19", "2"}, row(t, output, "0")[:4])
	assert.Equal(t, []string{"1", "5", "7", "3"}, row(t, output, "1")[:4])
	for args, message := range map[string]string{
		"2:1-2":  "topic otel-logs-v1 has no partition 2",
		"0:5-20": "partition 0 of topic otel-logs-v1 ends at offset 19, before 20",
	} {
		status, output := command(t, "run", "-offsets", args)
		assert.Equal(t, 1, status)
		assert.Contains(t, output, message)
	}
}

func TestWhatRetentionHasDeleted(t *testing.T) {
	k := newKafka(t)
	k.messages(t, 0, 20)
	k.messages(t, 1, 20)
	k.commit(t, liveGroup, 20, 20)
	k.deleteBefore(t, 0, 6)
	for args, missing := range map[string]string{
		"-offsets 0:2-10,1:0-3":                "partition 0: Kafka has deleted offsets 2 to 5, 4 of 9 messages",
		"-offsets 0:2-4":                       "partition 0: Kafka has deleted offsets 2 to 4, 3 of 3 messages",
		"-from " + at(2) + " -to " + at(10):    "partition 0: Kafka has deleted everything before offset 6, and with it what there was from " + stamp(base.Add(2*time.Second)) + " until " + stamp(base.Add(6*time.Second)),
		"-from " + at(2) + " -to " + at(4):     "until " + stamp(base.Add(4*time.Second)),
		"-from " + at(0) + " -to now -ahead":   "from " + stamp(base),
		"-offsets 0:0-19 -name with-this-name": "deleted offsets 0 to 5",
	} {
		status, output := command(t, append([]string{"run"}, strings.Fields(args)...)...)
		assert.Equal(t, 1, status, args)
		assert.Contains(t, output, missing, args)
		assert.Contains(t, output, "-allow-missing", args)
		status, output = command(t, append([]string{"run", "-allow-missing"}, strings.Fields(args)...)...)
		assert.Zero(t, status, output)
		assert.Contains(t, output, missing, args)
	}
	status, output := command(t, "run", "-from", at(6), "-to", at(10))
	assert.Zero(t, status, "nothing of that is missing: %s", output)
	status, output = command(t, "run", "-from", "start", "-to", at(10))
	assert.Zero(t, status, "what there is: %s", output)
	assert.Equal(t, []string{"0", "6", "9", "4"}, row(t, output, "0")[:4])
}

func TestWhatTheLiveGroupHasNotSettled(t *testing.T) {
	k := newKafka(t)
	k.messages(t, 0, 20)
	k.messages(t, 1, 20)
	k.commit(t, liveGroup, 15)
	status, output := command(t, "run", "-from", at(2))
	require.Zero(t, status, output)
	assert.Equal(t, []string{"0", "2", "14", "13"}, row(t, output, "0")[:4], "up to what is settled")
	assert.Equal(t, "0", row(t, output, "1")[3])
	assert.Contains(t, output, "it ends where group "+liveGroup+" has settled")

	status, output = command(t, "run", "-from", at(2), "-to", at(18))
	assert.Equal(t, 1, status)
	assert.Contains(t, output, "partition 0: offsets 15 to 17")
	assert.Contains(t, output, "partition 1: offsets 2 to 17")
	assert.Contains(t, output, "has not settled all of the range")
	status, output = command(t, "run", "-from", at(2), "-to", at(18), "-ahead")
	assert.Zero(t, status, output)
	assert.Equal(t, []string{"0", "2", "17", "16"}, row(t, output, "0")[:4])
}

func TestWhatBackendsDoNotKeep(t *testing.T) {
	k := newKafka(t)
	k.messages(t, 0, 20)
	k.commit(t, liveGroup, 20, 0)
	t.Setenv("VICTORIALOGS_RETENTION", time.Since(base.Add(10*time.Second)).Round(time.Second).String())
	_, output := command(t, "run", "-from", at(0))
	assert.Regexp(t, `note: (2|1)\d messages are older than \S+, the retention of the backend of victorialogs .*stored with the time of sending`, output)
	t.Setenv("VICTORIALOGS_RETENTION", "24h")
	_, output = command(t, "run", "-from", at(0))
	assert.NotContains(t, output, "retention of the backend")
}

func TestGroupsOfOthersAreRefused(t *testing.T) {
	k := newKafka(t)
	k.messages(t, 0, 20)
	t.Setenv("KAFKA_GROUP_ID", "breakwater-replay-mine")
	status, output := command(t, "run", "-from", at(0), "-name", "mine-logs", "-yes")
	assert.Equal(t, 1, status)
	assert.Contains(t, output, "group breakwater-replay-mine-logs is that of the live consumer")
	k.commit(t, "breakwater-replay-other", 5, 5)
	status, output = command(t, "run", "-from", at(0), "-name", "other", "-yes")
	assert.Equal(t, 1, status)
	assert.Contains(t, output, "not of this command")
}

// started leaves a replay as an interrupted one does.
func (k *kafka) started(t *testing.T, name string, args ...string) {
	opts, err := parse("run", append([]string{"-config", shipped, "-source", "logs", "-name", name}, args...), os.Getenv, os.Stderr)
	require.NoError(t, err)
	p, c, err := open(t.Context(), opts)
	require.NoError(t, err)
	defer c.close()
	pl, err := newPlan(t.Context(), c, p, opts, time.Now())
	require.NoError(t, err)
	require.NoError(t, savePlan(t.Context(), c, pl))
}

func TestAReplayGoesOn(t *testing.T) {
	k := newKafka(t)
	k.messages(t, 0, 20)
	k.messages(t, 1, 20)
	k.commit(t, liveGroup, 20, 20)
	status, output := command(t, "list")
	require.Zero(t, status)
	assert.Contains(t, output, "no replay of topic otel-logs-v1 is under way")

	k.started(t, "x", "-offsets", "0:3-10,1:0-4")
	k.commit(t, groupOf("x"), 6) // of the first partition
	_, output = command(t, "list")
	assert.Equal(t, []string{"x", logsTopic, "0:3-10,1:0-4", "13", "10", "interrupted"}, row(t, output, "x"))
	for _, args := range [][]string{{"-name", "x"}, {"-name", "x", "-offsets", "0:3-10,1:0-4"}} {
		status, output = command(t, append([]string{"run"}, args...)...)
		require.Zero(t, status, output)
		assert.Contains(t, output, "3 of 13 messages are settled")
		assert.Equal(t, []string{"0", "6", "10", "5"}, row(t, output, "0")[:4])
		assert.Equal(t, []string{"1", "0", "4", "5"}, row(t, output, "1")[:4])
	}
	status, output = command(t, "run", "-name", "x", "-offsets", "0:3-11")
	assert.Equal(t, 1, status)
	assert.Contains(t, output, `replay x is under way with the range "0:3-10,1:0-4"`)

	k.deleteBefore(t, 0, 8)
	status, output = command(t, "run", "-name", "x")
	assert.Equal(t, 1, status)
	assert.Contains(t, output, "Kafka has deleted offsets 6 to 7 since the replay has begun, 2 of 8 messages")

	status, output = command(t, "discard", "x")
	require.Zero(t, status, output)
	assert.Contains(t, output, "10 of its 13 messages had not been settled")
	status, output = command(t, "discard", "x")
	assert.Equal(t, 1, status)
	assert.Contains(t, output, "no replay x")
	status, output = command(t, "run", "-name", "x")
	assert.Equal(t, 1, status)
	assert.Contains(t, output, "no range is given")
}

func TestArguments(t *testing.T) {
	for args, message := range map[string]string{
		"run":                                                 "no -source given",
		"run -source logs":                                    "no range given",
		"run -source x -from start":                           "has no receiver x; it has durable_kafka/fluent_bit, durable_kafka/logs, durable_kafka/metrics",
		"run -source logs -from tomorrow":                     "must be RFC 3339",
		"run -source logs -from -1h":                          "is in the future",
		"run -source logs -from 1h -to 2h":                    "-from must be before -to",
		"run -source logs -from 1h x":                         `unexpected argument "x"`,
		"run -source logs -offsets 0":                         `"0" must be partition:first-last`,
		"run -source logs -offsets 0:5-4":                     "ends before it begins",
		"run -source logs -offsets 0:1-,0:2-":                 "partition 0 is there twice",
		"run -source logs -offsets 0:1- -from 1h":             "exclude each other",
		"run -source logs -from 1h -name a/b":                 "must be of letters",
		"discard -source logs":                                "needs the name",
		"run -source logs -from 1h -config x.yaml":            "x.yaml",
		"run -source logs -from 2026-01-02T03:04:05.0000001Z": "milliseconds",
	} {
		t.Run(args, func(t *testing.T) {
			var out bytes.Buffer
			words := strings.Fields(args)
			if !strings.Contains(args, "-config") {
				words = append([]string{words[0], "-config", shipped}, words[1:]...)
			}
			assert.Equal(t, 1, run(t.Context(), words, os.Getenv, &out, &out))
			assert.Contains(t, out.String(), message)
		})
	}
	t.Run("no command", func(t *testing.T) {
		var out bytes.Buffer
		assert.Equal(t, 1, run(t.Context(), nil, os.Getenv, &out, &out))
		assert.Contains(t, out.String(), "usage")
	})
	t.Run("no Kafka", func(t *testing.T) {
		t.Setenv("KAFKA_BROKERS", "127.0.0.1:1")
		var out bytes.Buffer
		assert.Equal(t, 1, run(t.Context(), []string{"list", "-config", shipped, "-source", "logs", "-timeout", "1s"}, os.Getenv, &out, &out))
		assert.Contains(t, out.String(), "cannot reach Kafka at 127.0.0.1:1")
	})
}

// The name is of the range and of the backends.
func TestDefaultName(t *testing.T) {
	name := func(args ...string) string {
		opts, err := parse("run", append([]string{"-source", "logs"}, args...), os.Getenv, os.Stderr)
		require.NoError(t, err)
		return opts.name
	}
	first := name("-from", "1h")
	assert.Equal(t, first, name("-from", "1h", "-yes", "-count"))
	assert.NotEqual(t, first, name("-from", "2h"))
	t.Setenv("VICTORIALOGS_ENDPOINT", "http://other:9428")
	assert.NotEqual(t, first, name("-from", "1h"))
}

func TestConfigurationOfTheConsumer(t *testing.T) {
	t.Setenv("SECRET", "s3cret")
	extra := filepath.Join(t.TempDir(), "extra.yaml")
	require.NoError(t, os.WriteFile(extra, []byte("exporters: {victorialogs: {headers: {x: \"${env:SECRET}\"}}}\n"), 0o600))
	for source, want := range map[string]struct {
		receiver  string
		pipelines []string
	}{
		"logs":       {"durable_kafka/logs", []string{"logs/dead_letter", "logs/otlp", "logs/victorialogs"}},
		"fluent-bit": {"durable_kafka/fluent_bit", []string{"logs/dead_letter", "logs/fluent_bit", "logs/victorialogs"}},
		"metrics":    {"durable_kafka/metrics", []string{"metrics/dead_letter", "metrics/otlp", "metrics/victoriametrics"}},
	} {
		t.Run(source, func(t *testing.T) {
			p, err := loadProfile(t.Context(), &options{configs: []string{shipped, extra}, source: source})
			require.NoError(t, err)
			assert.Equal(t, want.pipelines, p.pipelines)
			pl := &plan{group: "breakwater-replay-x", id: "breakwater-replay-x/1", spans: []*span{{partition: 3, from: 5, until: 9}}}
			text, err := p.consumerConfig(pl, "127.0.0.1:1111", 2222)
			require.NoError(t, err)
			assert.NotContains(t, string(text), "s3cret")
			assert.Contains(t, string(text), "${env:SECRET}")
			var config map[string]any
			require.NoError(t, yaml.Unmarshal(text, &config))
			assert.Len(t, child(config, "receivers"), 1)
			receiver := child(config, "receivers", want.receiver)
			assert.Equal(t, "breakwater-replay-x", receiver["group_id"])
			assert.Equal(t, map[string]any{"offsets": map[string]any{"3": 5}}, receiver["start_at"])
			assert.Equal(t, map[string]any{"offsets": map[string]any{"3": 9}}, receiver["until"])
			assert.Equal(t, map[string]any{"id": "breakwater-replay-x/1"}, receiver["replay"])
			assert.Len(t, child(config, "service", "pipelines"), 3)
			assert.Equal(t, []string{"durability", "fluent_bit_encoding", "lossless", "health_check"}, stringsOf(child(config, "service")["extensions"]))
			assert.Equal(t, map[string]any{"endpoint": "127.0.0.1:1111"}, child(config, "extensions", "health_check"))
		})
	}
}

// The files of configs/security.d are for the command, too: it logs in to Kafka with them, and hands them on to the consumer
// that does the replay, without the password.
func TestALoginToKafka(t *testing.T) {
	const user, password = "replay", "p$$w: ${env:HOME}"
	k := newKafkaWith(t, []kfake.Opt{kfake.EnableSASL(), kfake.Superuser("SCRAM-SHA-512", user, password)},
		kgo.SASL(scram.Auth{User: user, Pass: password}.AsSha512Mechanism()))
	k.messages(t, 0, 3)
	k.commit(t, liveGroup, 3, 0)
	secret := filepath.Join(t.TempDir(), "password")
	t.Setenv("KAFKA_SASL_USERNAME", user)
	t.Setenv("KAFKA_SASL_PASSWORD_FILE", secret)
	secured := shipped + ",../../configs/security.d/kafka-sasl.yaml"

	require.NoError(t, os.WriteFile(secret, []byte(password+"\n"), 0o600))
	status, output := command(t, "run", "-config", secured, "-from", "start")
	assert.Zero(t, status, output)
	assert.Equal(t, "3", row(t, output, "total")[1])
	p, err := loadProfile(t.Context(), &options{configs: words(secured), source: "logs"})
	require.NoError(t, err)
	text, err := p.consumerConfig(&plan{group: "breakwater-replay-x", id: "breakwater-replay-x/1"}, "127.0.0.1:1111", 2222)
	require.NoError(t, err)
	assert.NotContains(t, string(text), password)
	var config map[string]any
	require.NoError(t, yaml.Unmarshal(text, &config))
	assert.Equal(t, "${secretfile:env:KAFKA_SASL_PASSWORD_FILE}", child(config, "security", "kafka", "auth", "sasl")["password"])

	require.NoError(t, os.WriteFile(secret, []byte("another one"), 0o600))
	status, output = command(t, "run", "-config", secured, "-from", "start", "-timeout", "1s")
	assert.Equal(t, 1, status)
	assert.Contains(t, output, "cannot reach Kafka")
	assert.NotContains(t, output, "another one")

	t.Setenv("KAFKA_SASL_PASSWORD_FILE", "")
	status, output = command(t, "run", "-config", secured, "-from", "start")
	assert.Equal(t, 1, status)
	assert.Contains(t, output, "KAFKA_SASL_PASSWORD_FILE")
}

func TestCounting(t *testing.T) {
	logs := &profile{signal: "logs", encoding: "otlp_proto"}
	assert.EqualValues(t, 2, logs.counter()(twoRecords(t)))
	assert.EqualValues(t, 0, logs.counter()(nil))
	assert.EqualValues(t, -1, logs.counter()([]byte("no protobuf")))

	m := pmetric.NewMetrics()
	metrics := m.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty().Metrics()
	gauge := metrics.AppendEmpty().SetEmptyGauge()
	gauge.DataPoints().AppendEmpty().SetIntValue(1)
	gauge.DataPoints().AppendEmpty().SetDoubleValue(1)
	metrics.AppendEmpty().SetEmptySum().DataPoints().AppendEmpty()
	metrics.AppendEmpty().SetEmptyHistogram().DataPoints().AppendEmpty().BucketCounts().FromRaw([]uint64{1, 2})
	metrics.AppendEmpty().SetEmptyExponentialHistogram().DataPoints().AppendEmpty()
	metrics.AppendEmpty().SetEmptySummary().DataPoints().AppendEmpty()
	metrics.AppendEmpty().SetName("empty")
	value, err := (&pmetric.ProtoMarshaler{}).MarshalMetrics(m)
	require.NoError(t, err)
	assert.EqualValues(t, m.DataPointCount(), (&profile{signal: "metrics", encoding: "otlp_proto"}).counter()(value))

	for text, n := range map[string]int64{`{"a":1}`: 1, "{}\n{}\n{}": 3, `[{},{"b":[1]}]`: 2, `{"a"`: -1, `7`: -1, "": 0} {
		assert.Equal(t, n, (&profile{encoding: "fluent_bit_encoding"}).counter()([]byte(text)), text)
	}
	assert.Nil(t, (&profile{encoding: "raw"}).counter())
}

func TestTheTimeLeft(t *testing.T) {
	begin := time.Unix(1_700_000_000, 0)
	m := meter{begin: begin, total: 1000}
	for second := range 11 {
		m.add(begin.Add(time.Duration(second)*time.Second), samples{"receiver_durable_kafka_lag": float64(1000 - 50*second)}, int64(1000-50*max(0, second-4)))
	}
	assert.InDelta(t, 50, m.rate(), 0.01)
	left, known := m.left()
	assert.True(t, known)
	assert.Equal(t, 14*time.Second, left, "500 at 50 a second, and 4 to settle")
	assert.Contains(t, m.line(begin), " 30 %  500 of 1000 messages sent, 300 on disk, 50/s, about 14s left")
	m.add(begin.Add(11*time.Second), samples{"receiver_durable_kafka_lag": 0}, 500)
	assert.Contains(t, m.line(begin), "waiting for the backend")
}

func TestSamples(t *testing.T) {
	found, err := parseSamples(strings.NewReader(`# TYPE otelcol_a_total counter
otelcol_a_total{partition="0"} 3
otelcol_a_total{partition="1"} 4
# TYPE otelcol_b gauge
otelcol_b{exporter="x"} 2
otelcol_b{exporter="y"} 5
`))
	require.NoError(t, err)
	assert.Equal(t, samples{"a": 7, "b": 7, "b x": 2, "b y": 5}, found)
}

// An interrupted command ends the wait for a member that is still there.
func TestAloneWaitsForTheMemberOfBefore(t *testing.T) {
	k := newKafka(t)
	opts, err := parse("list", []string{"-config", shipped, "-source", "logs"}, os.Getenv, os.Stderr)
	require.NoError(t, err)
	_, c, err := open(t.Context(), opts)
	require.NoError(t, err)
	defer c.close()
	pl := &plan{name: "x", group: groupOf("x")}
	require.NoError(t, pl.alone(t.Context(), c, os.Stderr))
	member, err := kgo.NewClient(kgo.SeedBrokers(k.ListenAddrs()...), kgo.ConsumerGroup(pl.group), kgo.ConsumeTopics(logsTopic))
	require.NoError(t, err)
	defer member.Close()
	require.Eventually(t, func() bool { n, err := c.members(t.Context(), pl.group); return err == nil && n == 1 }, 10*time.Second, 10*time.Millisecond)
	ctx, cancel := context.WithCancel(t.Context())
	out := endsAt{cancel: cancel}
	require.ErrorIs(t, pl.alone(ctx, c, &out), context.Canceled)
	assert.Contains(t, out.String(), "has a member")
}

// endsAt ends a context with the first line that is written.
type endsAt struct {
	bytes.Buffer
	cancel context.CancelFunc
}

func (e *endsAt) Write(p []byte) (int, error) {
	e.cancel()
	return e.Buffer.Write(p)
}
