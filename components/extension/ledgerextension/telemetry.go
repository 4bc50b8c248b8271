package ledgerextension

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/breakwater-otel/breakwater/components/internal/ledger"
)

// observe registers what is computed when it is collected.
func (e *ledgerExtension) observe() error {
	t := e.telemetry
	integer := func(register func(metric.Int64Callback) error, value func(*ledger.Account) uint64) error {
		return register(func(_ context.Context, o metric.Int64Observer) error {
			e.each(func(a *ledger.Account, with metric.MeasurementOption) { o.Observe(int64(value(a)), with) })
			return nil
		})
	}
	seconds := func(register func(metric.Float64Callback) error, value func(*ledger.Account) float64) error {
		return register(func(_ context.Context, o metric.Float64Observer) error {
			e.each(func(a *ledger.Account, with metric.MeasurementOption) { o.Observe(value(a), with) })
			return nil
		})
	}
	return errors.Join(
		integer(t.RegisterLedgerStampedRecordsCallback, func(a *ledger.Account) uint64 { return a.Stamped }),
		integer(t.RegisterLedgerStoredRecordsCallback, func(a *ledger.Account) uint64 { return a.Stored }),
		integer(t.RegisterLedgerDeadLetteredRecordsCallback, func(a *ledger.Account) uint64 { return a.DeadLettered }),
		integer(t.RegisterLedgerMissingRecordsCallback, func(a *ledger.Account) uint64 { return a.Missing }),
		integer(t.RegisterLedgerGapRecordsCallback, func(a *ledger.Account) uint64 { return a.Gap }),
		integer(t.RegisterLedgerDuplicatedRecordsCallback, func(a *ledger.Account) uint64 { return a.Duplicated }),
		seconds(t.RegisterLedgerDelayCallback, func(a *ledger.Account) float64 { return a.Delay.Seconds() }),
		seconds(t.RegisterLedgerOldestMissingAgeCallback, func(a *ledger.Account) float64 {
			if a.OldestMissing.IsZero() {
				return 0
			}
			return max(0, time.Since(a.OldestMissing).Seconds())
		}),
		seconds(t.RegisterLedgerLastStampTimestampCallback, func(a *ledger.Account) float64 {
			if a.LastStamp.IsZero() {
				return 0
			}
			return float64(a.LastStamp.UnixMilli()) / 1000
		}),
	)
}

func (e *ledgerExtension) each(do func(*ledger.Account, metric.MeasurementOption)) {
	for _, a := range e.book.Accounts() {
		do(&a, metric.WithAttributeSet(attribute.NewSet(
			attribute.String("agent", a.Agent), attribute.String("group", a.Group), attribute.String("signal", a.Signal))))
	}
}
