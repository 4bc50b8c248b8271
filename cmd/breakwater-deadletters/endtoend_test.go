package main

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/client"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/connector"
	"go.opentelemetry.io/collector/connector/connectortest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/exporter/exportertest"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pipeline"

	"github.com/breakwater-otel/breakwater/components/connector/deadletterconnector"
	"github.com/breakwater-otel/breakwater/components/exporter/deadletterexporter"
)

// What a backend refuses goes through the components of the consumer into the topic,
// and back by the command; the number of replays goes all the way with it.
func TestFromTheBackendsRefusalToTheReplay(t *testing.T) {
	k := newKafka(t)

	storeFactory := deadletterexporter.NewFactory()
	storeConfig := storeFactory.CreateDefaultConfig()
	require.NoError(t, confmap.NewFromStringMap(map[string]any{"brokers": k.ListenAddrs(), "topic": dlq}).Unmarshal(storeConfig))
	store, err := storeFactory.CreateLogs(t.Context(), exportertest.NewNopSettings(storeFactory.Type()), storeConfig)
	require.NoError(t, err)
	require.NoError(t, store.Start(t.Context(), componenttest.NewNopHost()))
	defer func() { require.NoError(t, store.Shutdown(t.Context())) }()

	refusedRecord, err := (&plog.ProtoUnmarshaler{}).UnmarshalLogs(encodedLogs(t, "refused one"))
	require.NoError(t, err)
	backend := consumertest.NewErr(consumererror.NewLogs(consumererror.NewPermanent(errors.New("HTTP 400")), refusedRecord))
	connectorFactory := deadletterconnector.NewFactory()
	config := connectorFactory.CreateDefaultConfig()
	require.NoError(t, confmap.NewFromStringMap(map[string]any{"primary": []any{"logs/a"}, "dead_letter": []any{"logs/b"}}).Unmarshal(config))
	consume, err := connectorFactory.CreateLogsToLogs(t.Context(), connectortest.NewNopSettings(connectorFactory.Type()), config,
		connector.NewLogsRouter(map[pipeline.ID]consumer.Logs{
			pipeline.NewIDWithName(pipeline.SignalLogs, "a"): backend, pipeline.NewIDWithName(pipeline.SignalLogs, "b"): store,
		}))
	require.NoError(t, err)
	defer func() { require.NoError(t, consume.Shutdown(t.Context())) }()

	// receive is the receiver: position and headers of the message are client metadata.
	receive := func(value []byte, offset string, headers map[string][]string) {
		request, err := (&plog.ProtoUnmarshaler{}).UnmarshalLogs(value)
		require.NoError(t, err)
		metadata := map[string][]string{
			"breakwater.kafka.topic": {logs}, "breakwater.kafka.partition": {"0"},
			"breakwater.kafka.offset": {offset}, "breakwater.kafka.last_offset": {offset},
		}
		for key, values := range headers {
			metadata[key] = values
		}
		ctx := client.NewContext(t.Context(), client.Info{Metadata: client.NewMetadata(metadata)})
		require.NoError(t, consume.ConsumeLogs(ctx, request))
	}
	both := plog.NewLogs()
	for _, body := range []string{"good one", "refused one"} {
		both.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty().Body().SetStr(body)
	}
	value, err := (&plog.ProtoMarshaler{}).MarshalLogs(both)
	require.NoError(t, err)
	receive(value, "12", nil)

	letter := k.read(dlq)[0]
	assert.Contains(t, k.ok("list"), " refused logs otel-logs-v1 ")
	assert.Contains(t, k.ok("list"), " Permanent error: HTTP 400\n1 dead letters\n")
	assert.Equal(t, encodedLogs(t, "refused one"), letter.Value)
	assert.Contains(t, k.ok("replay", "-yes"), "1 replayed, 0 skipped")

	replayed := k.read(logs)
	require.Len(t, replayed, 1)
	assert.Equal(t, encodedLogs(t, "refused one"), replayed[0].Value)
	headers := map[string][]string{}
	for _, h := range replayed[0].Headers {
		headers[h.Key] = append(headers[h.Key], string(h.Value))
	}
	receive(replayed[0].Value, "13", headers)
	out := k.ok("replay", "-yes")
	assert.Contains(t, out, "skipped: came back 1 times (-max-replays 1)")
	assert.Contains(t, out, "0 replayed, 2 skipped")
}
