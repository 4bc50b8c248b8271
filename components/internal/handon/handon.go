// Package handon hands logs on to a pipeline without giving up: for receivers that hold the only copy of what they read,
// or that have read it from somewhere where it stays until they are done.
package handon

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v5"
	"go.opentelemetry.io/collector/config/configretry"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/receiver/receiverhelper"
	"go.uber.org/zap"
)

// DefaultBackOff is the wait between attempts: from a second to half a minute, without end.
func DefaultBackOff() configretry.BackOffConfig {
	b := configretry.NewDefaultBackOffConfig()
	b.InitialInterval = time.Second
	b.MaxInterval = 30 * time.Second
	b.MaxElapsedTime = 0
	return b
}

// Validate holds that the wait between attempts ends with success only. The errors name the setting `retry_on_failure`.
func Validate(b configretry.BackOffConfig) error {
	switch {
	case !b.Enabled:
		return errors.New("`retry_on_failure::enabled` must not be false: records that are not retried are lost")
	case b.MaxElapsedTime != 0:
		return errors.New("`retry_on_failure::max_elapsed_time` must be 0: records that are given up on are lost")
	case b.InitialInterval <= 0:
		return errors.New("`retry_on_failure::initial_interval` must be positive")
	case b.MaxInterval < b.InitialInterval:
		return errors.New("`retry_on_failure::max_interval` must not be less than `initial_interval`")
	case b.Multiplier < 1:
		return errors.New("`retry_on_failure::multiplier` must be at least 1")
	}
	return nil
}

// Logs hands logs on to the next component.
type Logs struct {
	next      consumer.Logs
	backOff   configretry.BackOffConfig
	obsreport *receiverhelper.ObsReport
	format    string
	logger    *zap.Logger
}

// NewLogs returns a Logs of a receiver. The transport and the format are for the receiver's own metrics and spans.
func NewLogs(set receiver.Settings, next consumer.Logs, backOff configretry.BackOffConfig, transport, format string) (*Logs, error) {
	obsreport, err := receiverhelper.NewObsReport(receiverhelper.ObsReportSettings{
		ReceiverID: set.ID, Transport: transport, ReceiverCreateSettings: set,
	})
	return &Logs{next: next, backOff: backOff, obsreport: obsreport, format: format, logger: set.Logger}, err
}

// Deliver returns nil when the next component has taken the logs, however long that takes, and an error when ctx has ended
// before. A permanent error is retried like any other: nothing behind a disk queue has reason to give one, and what would
// be dropped for it is nowhere else.
func (l *Logs) Deliver(ctx context.Context, logs plog.Logs) error {
	count := logs.LogRecordCount()
	if count == 0 {
		return nil
	}
	op := l.obsreport.StartLogsOp(ctx)
	wait := backoff.ExponentialBackOff{
		InitialInterval:     l.backOff.InitialInterval,
		RandomizationFactor: l.backOff.RandomizationFactor,
		Multiplier:          l.backOff.Multiplier,
		MaxInterval:         l.backOff.MaxInterval,
	}
	wait.Reset()
	for {
		err := l.next.ConsumeLogs(op, logs)
		if err == nil {
			l.obsreport.EndLogsOp(op, l.format, count, nil)
			return nil
		}
		if part, ok := errors.AsType[consumererror.Logs](err); ok {
			logs = part.Data()
		}
		interval := wait.NextBackOff()
		l.logger.Warn("records are not taken, will be retried", zap.Error(err), zap.Duration("interval", interval))
		select {
		case <-ctx.Done():
			l.obsreport.EndLogsOp(op, l.format, count, err)
			return fmt.Errorf("shutdown before records were taken: %w", err)
		case <-time.After(interval):
		}
	}
}
