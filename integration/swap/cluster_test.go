package swap

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/breakwater-otel/breakwater/integration/harness"
)

// source produces numbered records in messages of OTLP.
type source struct {
	client *harness.KafkaClient
	next   int64
}

const (
	sourceName  = "source"
	sourceTopic = "logs"
)

func newSource(t *testing.T, kafka *harness.FakeKafka) *source {
	client, err := harness.NewKafkaClient(kafka.Brokers())
	require.NoError(t, err)
	t.Cleanup(client.Close)
	_, err = client.Admin().CreateTopics(t.Context(), 2, 1, nil, sourceTopic, "metrics", "fluent-bit", "dlq")
	require.NoError(t, err)
	return &source{client: client}
}

// produce sends messages of 100 records each, of 10 streams.
func (s *source) produce(t *testing.T, messages int) {
	t.Helper()
	var marshaler plog.ProtoMarshaler
	var records []*kgo.Record
	for range messages {
		logs := plog.NewLogs()
		for stream := range 10 {
			resource := logs.ResourceLogs().AppendEmpty()
			resource.Resource().Attributes().PutStr("service_name", fmt.Sprint("service-", stream))
			scope := resource.ScopeLogs().AppendEmpty()
			for range 10 {
				record := scope.LogRecords().AppendEmpty()
				record.SetTimestamp(pcommon.NewTimestampFromTime(time.Now()))
				record.Body().SetStr(harness.FormatLine(sourceName, s.next, "in a cluster"))
				s.next++
			}
		}
		value, err := marshaler.MarshalLogs(logs)
		require.NoError(t, err)
		records = append(records, &kgo.Record{Topic: sourceTopic, Value: value})
	}
	require.NoError(t, s.client.Produce(t.Context(), records...))
}

// consumer starts the shipped profile for VictoriaLogs on the topics of a source.
func (s *source) consumer(t *testing.T, kafka *harness.FakeKafka, env map[string]string) *harness.Breakwater {
	return harness.StartBreakwater(t, harness.BreakwaterOptions{
		Name: "consumer", Configs: []string{"configs/consumer.yaml"},
		Env: merge(map[string]string{
			"KAFKA_BROKERS": kafka.BootstrapServers(), "KAFKA_LOGS_TOPIC": sourceTopic, "KAFKA_METRICS_TOPIC": "metrics",
			"KAFKA_FLUENTBIT_TOPIC": "fluent-bit", "KAFKA_DLQ_TOPIC": "dlq",
		}, env),
	})
}

// awaitTally waits until the select endpoint has every record, and returns what it has.
func (s *source) awaitTally(t *testing.T, logs *harness.VictoriaLogs) harness.TallyReport {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), arriveTimeout)
	defer cancel()
	var report harness.TallyReport
	require.NoError(t, harness.Eventually(ctx, 500*time.Millisecond, func(ctx context.Context) error {
		tally := harness.NewTally()
		if err := logs.QueryEach(ctx, "*", func(row harness.LogRow) error {
			tally.Add(row["_msg"])
			return nil
		}); err != nil {
			return err
		}
		report = tally.CompareTo(sourceName, s.next)
		return report.Err()
	}))
	return report
}

// TestVictoriaLogsCluster kills vlinsert, which answers while the rows are in its memory, and a vlstorage.
func TestVictoriaLogsCluster(t *testing.T) {
	t.Parallel()
	metrics := harness.StartVictoriaMetrics(t, harness.VictoriaMetricsOptions{})
	storage := []*harness.VictoriaLogs{
		harness.StartVictoriaLogs(t, harness.VictoriaLogsOptions{Name: "vlstorage-0"}),
		harness.StartVictoriaLogs(t, harness.VictoriaLogsOptions{Name: "vlstorage-1"}),
	}
	nodes := []string{storage[0].URL(), storage[1].URL()}
	storageFlag := "-storageNode=" + strings.ReplaceAll(strings.Join(nodes, ","), "http://", "")
	insert := harness.StartVictoriaLogs(t, harness.VictoriaLogsOptions{Name: "vlinsert", Args: []string{storageFlag}})
	query := harness.StartVictoriaLogs(t, harness.VictoriaLogsOptions{Name: "vlselect", Args: []string{storageFlag}})

	kafka := harness.StartFakeKafka(t, harness.FakeKafkaOptions{})
	s := newSource(t, kafka)
	s.consumer(t, kafka, map[string]string{
		"VICTORIALOGS_ENDPOINT": insert.URL(), "VICTORIALOGS_QUERY_ENDPOINT": query.URL(),
		"VICTORIALOGS_NODES":       strings.Join(append(nodes, insert.URL()), ","),
		"VICTORIAMETRICS_ENDPOINT": metrics.URL(),
	})
	s.produce(t, 50)
	assert.Zero(t, s.awaitTally(t, query).Duplicates)
	for _, node := range storage {
		n, err := node.Count(t.Context(), "*")
		require.NoError(t, err)
		assert.NotZero(t, n, node.Name())
	}

	for range 3 {
		s.produce(t, 20)
		time.Sleep(300 * time.Millisecond) // some of it is with vlinsert, and not further
		require.NoError(t, insert.Kill())
		require.NoError(t, insert.Start(t.Context()))
	}
	assert.Zero(t, s.awaitTally(t, query).Duplicates, "after kills of vlinsert")

	s.produce(t, 20)
	require.NoError(t, storage[0].Kill())
	s.produce(t, 20)
	require.NoError(t, storage[0].Start(t.Context()))
	// What vlinsert sends to another node because one has not answered may be on both.
	t.Log("after the kill of a vlstorage: ", s.awaitTally(t, query))
}

// TestVLAgent sends through a vlagent, which answers while the rows are in its memory, and asks the VictoriaLogs behind it.
func TestVLAgent(t *testing.T) {
	t.Parallel()
	metrics := harness.StartVictoriaMetrics(t, harness.VictoriaMetricsOptions{})
	logs := harness.StartVictoriaLogs(t, harness.VictoriaLogsOptions{})
	agent := harness.StartVLAgent(t, harness.VLAgentOptions{RemoteURL: logs.URL()})
	kafka := harness.StartFakeKafka(t, harness.FakeKafkaOptions{})
	s := newSource(t, kafka)
	s.consumer(t, kafka, map[string]string{
		"VICTORIALOGS_ENDPOINT": agent.URL(), "VICTORIALOGS_QUERY_ENDPOINT": logs.URL(),
		"VICTORIALOGS_NODES":       logs.URL() + "," + agent.URL(),
		"VICTORIAMETRICS_ENDPOINT": metrics.URL(),
	})
	s.produce(t, 50)
	assert.Zero(t, s.awaitTally(t, logs).Duplicates)
	rows, err := logs.Query(t.Context(), "* | limit 1")
	require.NoError(t, err)
	assert.NotEmpty(t, rows[0]["delivery_id"], "the address of the request arrives")
	assert.Equal(t, `{service_name="`+rows[0]["service_name"]+`"}`, rows[0]["_stream"])

	for range 3 {
		s.produce(t, 20)
		time.Sleep(300 * time.Millisecond) // some of it is with vlagent, and not further
		require.NoError(t, agent.Kill())
		require.NoError(t, agent.Start(t.Context()))
	}
	// What its queue on disk still has is sent beside what is read again, and may be there twice.
	t.Log("after kills of vlagent: ", s.awaitTally(t, logs))
}
