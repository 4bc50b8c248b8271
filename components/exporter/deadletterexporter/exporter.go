package deadletterexporter

import (
	"context"
	"strconv"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/collector/client"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/breakwater-otel/breakwater/components/exporter/deadletterexporter/internal/metadata"
	"github.com/breakwater-otel/breakwater/components/internal/deadletter"
	"github.com/breakwater-otel/breakwater/components/internal/kafkaclient"
)

type deadLetterExporter struct {
	config    *Config
	settings  component.TelemetrySettings
	telemetry *metadata.TelemetryBuilder
	store     *deadletter.KafkaOrFile // set by start
}

func newExporter(config *Config, set exporter.Settings) (*deadLetterExporter, error) {
	telemetry, err := metadata.NewTelemetryBuilder(set.TelemetrySettings)
	if err != nil {
		return nil, err
	}
	return &deadLetterExporter{config: config, settings: set.TelemetrySettings, telemetry: telemetry}, nil
}

func (e *deadLetterExporter) start(ctx context.Context, host component.Host) (err error) {
	e.store, err = deadletter.NewStore(e.config.Store, func(extra ...kgo.Opt) (*kgo.Client, error) {
		opts, err := kafkaclient.Options(ctx, host, e.config.Kafka, e.settings.Logger)
		if err != nil {
			return nil, err
		}
		return kgo.NewClient(append(opts, extra...)...)
	}, e.settings.Logger)
	return err
}

func (e *deadLetterExporter) shutdown(ctx context.Context) error {
	e.telemetry.Shutdown()
	if e.store == nil {
		return nil
	}
	return e.store.Shutdown(ctx)
}

func (e *deadLetterExporter) pushLogs(ctx context.Context, logs plog.Logs) error {
	parts, err := split(logs, e.config.Store.MaxValueBytes(), logsCodec)
	if err != nil {
		return err
	}
	return e.bury(ctx, deadletter.SignalLogs, parts)
}

func (e *deadLetterExporter) pushMetrics(ctx context.Context, metrics pmetric.Metrics) error {
	parts, err := split(metrics, e.config.Store.MaxValueBytes(), metricsCodec)
	if err != nil {
		return err
	}
	return e.bury(ctx, deadletter.SignalMetrics, parts)
}

func (e *deadLetterExporter) pushTraces(ctx context.Context, traces ptrace.Traces) error {
	parts, err := split(traces, e.config.Store.MaxValueBytes(), tracesCodec)
	if err != nil {
		return err
	}
	return e.bury(ctx, deadletter.SignalTraces, parts)
}

// bury stores the parts of a request as letters.
func (e *deadLetterExporter) bury(ctx context.Context, signal string, parts []part) error {
	common := letterOf(client.FromContext(ctx).Metadata)
	common.Signal = signal
	common.Encoding = deadletter.EncodingOTLP
	letters := make([]deadletter.Letter, len(parts))
	records := 0
	for i, p := range parts {
		letters[i] = common
		letters[i].Value, letters[i].Records = p.value, p.records
		records += p.records
	}
	stored, err := e.store.Store(ctx, letters...)
	if err != nil {
		return consumererror.NewRetryableError(err)
	}
	reason := attribute.String("reason", deadletter.MetricReason(common.Reason))
	of := attribute.String("signal", signal)
	for destination, count := range map[string]int{"topic": stored.InTopic, "file": stored.InFiles} {
		if count > 0 {
			e.telemetry.ExporterDeadLetterStoreLetters.Add(ctx, int64(count),
				metric.WithAttributes(attribute.String("destination", destination), reason, of))
		}
	}
	e.telemetry.ExporterDeadLetterStoreRecords.Add(ctx, int64(records), metric.WithAttributes(reason, of))
	return nil
}

// letterOf returns what the connector and the receiver say of a request.
func letterOf(metadata client.Metadata) deadletter.Letter {
	get := func(key string) string {
		if values := metadata.Get(key); len(values) > 0 {
			return values[0]
		}
		return ""
	}
	number := func(key string, bits int) int64 {
		n, err := strconv.ParseInt(get(key), 10, bits)
		if err != nil {
			return 0
		}
		return n
	}
	letter := deadletter.Letter{
		Reason:    get(deadletter.MetadataReason),
		Error:     get(deadletter.MetadataError),
		Topic:     get(deadletter.MetadataTopic),
		Partition: int32(number(deadletter.MetadataPartition, 32)),
		Offset:    number(deadletter.MetadataOffset, 64),
		Last:      number(deadletter.MetadataLastOffset, 64),
		Replays:   max(0, int(number(deadletter.MetadataReplays, 32))),
	}
	if letter.Reason == "" || letter.Reason == deadletter.ReasonUndecodable {
		// The value is records here, and not a message as it was read.
		letter.Reason = deadletter.ReasonOther
	}
	return letter
}
