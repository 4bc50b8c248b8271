package deadletterconnector

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/cenkalti/backoff/v5"
	"go.opentelemetry.io/collector/client"
	"go.opentelemetry.io/collector/config/configretry"
	"go.opentelemetry.io/collector/connector"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pipeline"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/zap"

	"github.com/breakwater-otel/breakwater/components/connector/deadletterconnector/internal/metadata"
	"github.com/breakwater-otel/breakwater/components/internal/deadletter"
	"github.com/breakwater-otel/breakwater/components/internal/ledger"
)

// signalOf is what is different between logs, metrics and traces.
type signalOf[T any] struct {
	name  string
	copy  func(T) T
	count func(T) int
	empty func(T) bool
	// data returns the records that a node of an error tree has.
	data func(node any) (T, bool)
}

// target is a set of pipelines.
type target[T any] struct {
	consume func(context.Context, T) error
	mutates bool
}

type router[T any] struct {
	signalOf[T]
	primary, deadLetter target[T]
	retry               configretry.BackOffConfig
	timeout             time.Duration
	telemetry           *metadata.TelemetryBuilder
	logger              *zap.Logger
	attributes          metric.MeasurementOption
	refusedAttributes   metric.MeasurementOption
}

// pipelines is what the collector gives a connector as its next consumer.
type pipelines[C any] interface {
	Consumer(...pipeline.ID) (C, error)
	PipelineIDs() []pipeline.ID
}

type baseConsumer interface{ Capabilities() consumer.Capabilities }

func newRouter[T any, C baseConsumer](
	cfg *Config, set connector.Settings, next C, consume func(C, context.Context, T) error, signal signalOf[T],
) (*router[T], error) {
	all, ok := any(next).(pipelines[C])
	if !ok {
		return nil, errors.New("the connector must be the receiver of pipelines")
	}
	for _, id := range all.PipelineIDs() {
		if !slices.Contains(cfg.Primary, id) && !slices.Contains(cfg.DeadLetter, id) {
			return nil, fmt.Errorf("pipeline %s receives from %s, but is neither in `primary` nor in `dead_letter`", id, set.ID)
		}
	}
	targetOf := func(setting string, ids []pipeline.ID) (target[T], error) {
		to, err := all.Consumer(ids...)
		if err != nil {
			return target[T]{}, fmt.Errorf("`%s` must name %s pipelines that receive from %s: %w", setting, signal.name, set.ID, err)
		}
		return target[T]{
			consume: func(ctx context.Context, data T) error { return consume(to, ctx, data) },
			mutates: to.Capabilities().MutatesData,
		}, nil
	}
	primary, err := targetOf("primary", cfg.Primary)
	if err != nil {
		return nil, err
	}
	dead, err := targetOf("dead_letter", cfg.DeadLetter)
	if err != nil {
		return nil, err
	}
	telemetry, err := metadata.NewTelemetryBuilder(set.TelemetrySettings)
	if err != nil {
		return nil, err
	}
	name := attribute.String("signal", signal.name)
	return &router[T]{
		signalOf: signal, primary: primary, deadLetter: dead, retry: cfg.RetryConfig, timeout: cfg.Timeout,
		telemetry: telemetry, logger: set.Logger,
		attributes:        metric.WithAttributeSet(attribute.NewSet(name)),
		refusedAttributes: metric.WithAttributeSet(attribute.NewSet(name, attribute.String("reason", deadletter.ReasonRefused))),
	}, nil
}

// consume returns nil once every record is either with the primary pipeline or with the
// dead-letter pipeline.
func (r *router[T]) consume(ctx context.Context, data T) error {
	if r.timeout > 0 {
		limited, cancel := context.WithTimeout(ctx, r.timeout)
		defer cancel()
		ctx = limited
	}
	sent := data
	if r.primary.mutates {
		sent = r.copy(data) // a refusal that names no records is about what came in
	}
	err := r.primary.consume(ctx, sent)
	if err == nil {
		return nil
	}
	if !isRefusal(err) {
		r.telemetry.ConnectorDeadLetterReturnedRequests.Add(ctx, 1, r.attributes)
		return mayPass(err)
	}
	refused, ok := r.refusals(err)
	if !ok {
		refused = []refusal[T]{{data, err}}
	}
	for _, part := range refused {
		if err := r.bury(ctx, part); err != nil {
			return err
		}
	}
	return nil
}

// bury passes records on to the dead-letter pipeline until it has them. To give up
// early and let the caller try again would be wrong: the primary pipeline has the other
// records of the request already.
func (r *router[T]) bury(ctx context.Context, part refusal[T]) error {
	info := client.FromContext(ctx)
	metadata := make(map[string][]string)
	for key := range info.Metadata.Keys() {
		metadata[key] = info.Metadata.Get(key)
	}
	metadata[deadletter.MetadataReason] = []string{deadletter.ReasonRefused}
	metadata[deadletter.MetadataError] = []string{deadletter.ErrorText(part.err)}
	info.Metadata = client.NewMetadata(metadata)
	withReason := client.NewContext(ctx, info)

	intervals := backoff.ExponentialBackOff{
		InitialInterval:     r.retry.InitialInterval,
		RandomizationFactor: r.retry.RandomizationFactor,
		Multiplier:          r.retry.Multiplier,
		MaxInterval:         r.retry.MaxInterval,
	}
	intervals.Reset()
	for {
		if ctx.Err() != nil {
			return fmt.Errorf("%d refused records are not in the dead-letter pipeline: %w", r.count(part.data), ctx.Err())
		}
		data := part.data
		if r.deadLetter.mutates {
			data = r.copy(data) // the next attempt needs it as it is
		}
		records := r.count(data)
		err := r.deadLetter.consume(withReason, data)
		if err == nil {
			if err = ctx.Err(); err == nil {
				r.telemetry.ConnectorDeadLetterRecords.Add(ctx, int64(records), r.refusedAttributes)
				ledger.DeadLettered(ctx, records)
				return nil
			}
			// Exporters may answer nil when the context has ended before they were done.
		}
		r.telemetry.ConnectorDeadLetterFailedAttempts.Add(ctx, 1, r.attributes)
		wait := intervals.NextBackOff()
		if ctx.Err() != nil {
			// Without %w: a permanent error in the tree would be taken for a refusal.
			return fmt.Errorf("%d refused records are not in the dead-letter pipeline (%s): %w", records, err.Error(), ctx.Err())
		}
		r.logger.Error("The dead-letter pipeline does not take refused records. Will retry.",
			zap.Error(err), zap.Int("records", records), zap.Duration("interval", wait))
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
		case <-timer.C:
		}
	}
}
