package durablekafkaexporter

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/open-telemetry/opentelemetry-collector-contrib/exporter/kafkaexporter"
	"github.com/twmb/franz-go/pkg/kerr"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/config/configretry"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/exporterhelper"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"

	"github.com/breakwater-otel/breakwater/components/exporter/durablekafkaexporter/internal/metadata"
)

// durable hands T over to an exporter of upstream, E, that has no queue and tries once.
type durable[T any, E component.Component] struct {
	set       exporter.Settings
	create    func(context.Context, exporter.Settings, component.Config) (E, error)
	config    *kafkaexporter.Config
	consume   func(E, context.Context, T) error
	telemetry *metadata.TelemetryBuilder
	host      component.Host

	mu      sync.RWMutex // held for writing while the exporter is made anew
	current E
	made    int // how often it was made
}

func newDurable[T any, E component.Component](
	set exporter.Settings, cfg *kafkaexporter.Config,
	create func(context.Context, exporter.Settings, component.Config) (E, error),
	consume func(E, context.Context, T) error,
) (*durable[T, E], error) {
	telemetry, err := metadata.NewTelemetryBuilder(set.TelemetrySettings)
	if err != nil {
		return nil, err
	}
	within := *cfg
	within.QueueBatchConfig = configoptional.None[exporterhelper.QueueBatchConfig]()
	within.BackOffConfig = configretry.BackOffConfig{Enabled: false}
	return &durable[T, E]{set: withinSettings(set), create: create, config: &within, consume: consume, telemetry: telemetry}, nil
}

func (d *durable[T, E]) start(ctx context.Context, host component.Host) error {
	d.host = host
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.make(ctx)
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
	return d.current.Shutdown(ctx)
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
