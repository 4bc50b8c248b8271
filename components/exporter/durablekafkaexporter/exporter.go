package durablekafkaexporter

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/open-telemetry/opentelemetry-collector-contrib/exporter/kafkaexporter"
	"github.com/twmb/franz-go/pkg/kerr"
	"go.opentelemetry.io/collector/client"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/config/configretry"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/exporterhelper"
	"go.opentelemetry.io/collector/exporter/exporterhelper/xexporterhelper"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"

	"github.com/breakwater-otel/breakwater/components/exporter/durablekafkaexporter/internal/metadata"
	"github.com/breakwater-otel/breakwater/components/internal/ledger"
)

// durable hands T over to an exporter of upstream, E, that has no queue and tries once.
type durable[T any, E component.Component] struct {
	set       exporter.Settings
	create    func(context.Context, exporter.Settings, component.Config) (E, error)
	config    *kafkaexporter.Config
	consume   func(E, context.Context, T) error
	telemetry *metadata.TelemetryBuilder
	*signalOf[T]
	stamper *stamper      // nil: records are not stamped
	storage *component.ID // of the queue; nil: it has none
	id      component.ID
	host    component.Host
	queue   *queueHost

	mu      sync.RWMutex // held for writing while the exporter is made anew
	current E
	made    int // how often it was made
}

func newDurable[T any, E component.Component](
	set exporter.Settings, cfg *Config, signal *signalOf[T],
	create func(context.Context, exporter.Settings, component.Config) (E, error),
	consume func(E, context.Context, T) error,
) (*durable[T, E], error) {
	telemetry, err := metadata.NewTelemetryBuilder(set.TelemetrySettings)
	if err != nil {
		return nil, err
	}
	within := cfg.Kafka
	within.QueueBatchConfig = configoptional.None[exporterhelper.QueueBatchConfig]()
	within.BackOffConfig = configretry.BackOffConfig{Enabled: false}
	d := &durable[T, E]{
		set: withinSettings(set), create: create, config: &within, consume: consume, telemetry: telemetry,
		signalOf: signal, id: set.ID,
	}
	if queue := cfg.Kafka.QueueBatchConfig.Get(); queue != nil {
		d.storage = queue.StorageID
	}
	if !cfg.Ledger.Enabled {
		return d, nil
	}
	if setting := severalMessages(&cfg.Kafka, signal.signal); setting != "" {
		set.Logger.Warn("The records are not stamped for the ledger: a request may become several messages", zap.String("setting", setting))
		return d, nil
	}
	if d.stamper, err = newStamper(cfg.Ledger, signal.signal, set.Logger, telemetry); err != nil {
		return nil, err
	}
	within.IncludeMetadataKeys = append(slices.Clone(within.IncludeMetadataKeys), ledger.HeaderKey)
	return d, nil
}

// severalMessages returns the setting for which a request becomes several messages, or "": each would have the stamp of
// all of them.
func severalMessages(cfg *kafkaexporter.Config, signal ledger.Signal) string {
	encoding, partition, by := cfg.Logs.Encoding, cfg.PartitionLogsByResourceAttributes, "partition_logs_by_resource_attributes"
	switch signal {
	case ledger.Metrics:
		encoding, partition, by = cfg.Metrics.Encoding, cfg.PartitionMetricsByResourceAttributes, "partition_metrics_by_resource_attributes"
	case ledger.Traces:
		encoding, partition, by = cfg.Traces.Encoding, cfg.PartitionTracesByID, "partition_traces_by_id"
	}
	switch {
	case encoding != "otlp_proto" && encoding != "otlp_json":
		return signal.String() + "::encoding"
	case partition:
		return by
	case signal == ledger.Logs && cfg.PartitionLogsByTraceID:
		return "partition_logs_by_trace_id"
	case cfg.TopicFromAttribute != "":
		return "topic_from_attribute"
	}
	return ""
}

func (d *durable[T, E]) start(ctx context.Context, host component.Host) error {
	d.host = host
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.make(ctx); err != nil {
		return err
	}
	if d.stamper != nil {
		d.stamper.start(ctx, host, d.id, d.storage)
	}
	return nil
}

// make makes and starts the exporter within.
func (d *durable[T, E]) make(ctx context.Context) error {
	made, err := d.create(ctx, d.set, d.config)
	if err != nil {
		return err
	}
	if err := made.Start(ctx, d.host); err != nil {
		return err
	}
	d.current = made
	d.made++
	return nil
}

func (d *durable[T, E]) shutdown(ctx context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.telemetry.Shutdown()
	if d.made == 0 {
		return nil
	}
	var err error
	if d.stamper != nil {
		err = d.stamper.shutdown(ctx)
	}
	return errors.Join(err, d.current.Shutdown(ctx))
}

type handoverKey struct{}

// stamped hands data to the queue under new numbers, and takes note whether the queue has it.
func (d *durable[T, E]) stamped(ctx context.Context, data T, next func(context.Context, T) error) error {
	count := 0
	if d.stamper != nil {
		count = d.count(data)
	}
	if count == 0 {
		return next(ctx, data)
	}
	h, stamp := d.stamper.begin(count)
	err := next(context.WithValue(ctx, handoverKey{}, stamp), data)
	d.stamper.end(ctx, h, err)
	return err
}

// convert makes the request for the queue.
func (d *durable[T, E]) convert(ctx context.Context, data T) (xexporterhelper.Request, error) {
	r := d.request(data)
	if stamp, ok := ctx.Value(handoverKey{}).(ledger.Stamp); ok {
		r.stamp = stamp
	}
	return r, nil
}

// send hands a request over, with its stamp as a header of the message.
func (d *durable[T, E]) send(ctx context.Context, r xexporterhelper.Request) error {
	own, ok := r.(*request[T])
	if !ok {
		return consumererror.NewPermanent(errForeignRequest)
	}
	if d.stamper == nil || own.items == 0 {
		return d.push(ctx, own.data)
	}
	header, said := d.stamper.header(own.stamp)
	info := client.FromContext(ctx)
	metadata := map[string][]string{ledger.HeaderKey: {string(header)}}
	for key := range info.Metadata.Keys() {
		if key != ledger.HeaderKey {
			metadata[key] = info.Metadata.Get(key)
		}
	}
	info.Metadata = client.NewMetadata(metadata)
	err := d.push(client.NewContext(ctx, info), own.data)
	if err == nil {
		d.stamper.told(said)
	}
	return err
}

// push hands data over. Its error is permanent only if the data cannot be encoded.
func (d *durable[T, E]) push(ctx context.Context, data T) error {
	d.mu.RLock()
	made := d.made
	err := d.consume(d.current, ctx, data)
	d.mu.RUnlock()

	var answer *kerr.Error
	if err == nil || !errors.As(err, &answer) {
		return err
	}
	if errors.Is(answer, kerr.UnknownTopicID) {
		return errors.Join(unanswered(err), d.renew(ctx, made))
	}
	if !answer.Retriable {
		d.telemetry.ExporterDurableKafkaRefusals.Add(ctx, 1, metric.WithAttributes(attribute.String("answer", answer.Message)))
		return unanswered(err)
	}
	return err
}

// unanswered is an error without the mark of a permanent one. What a broker does not take now it takes when the accident
// of an ACL, of a password or of a limit of the topic is over; until then the queue keeps it.
func unanswered(err error) error { return fmt.Errorf("not taken, and kept: %v", err) } //nolint:errorlint // %w keeps the mark

// renew makes the exporter anew, unless that was done since it was made for the given time. The client of Kafka takes a
// topic that was deleted and made again for one that is gone, for as long as the client lives.
func (d *durable[T, E]) renew(ctx context.Context, made int) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.made != made {
		return nil
	}
	d.set.Logger.Warn("a topic was deleted and made again: the producer is made anew", zap.String("topics", d.topics()))
	d.telemetry.ExporterDurableKafkaRenewals.Add(ctx, 1)
	old := d.current
	if err := d.make(ctx); err != nil {
		return err // the old one stays
	}
	return old.Shutdown(ctx)
}

func (d *durable[T, E]) topics() string {
	return d.config.Logs.Topic + ", " + d.config.Metrics.Topic + ", " + d.config.Traces.Topic
}
