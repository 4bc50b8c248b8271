package handon

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configretry"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/receiver/receivertest"
)

func backOff() configretry.BackOffConfig {
	b := DefaultBackOff()
	b.InitialInterval, b.MaxInterval = time.Millisecond, 2*time.Millisecond
	return b
}

func logsOf(texts ...string) plog.Logs {
	logs := plog.NewLogs()
	records := logs.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords()
	for _, text := range texts {
		records.AppendEmpty().Body().SetStr(text)
	}
	return logs
}

func newLogs(t *testing.T, consume consumer.ConsumeLogsFunc) *Logs {
	next, err := consumer.NewLogs(consume)
	require.NoError(t, err)
	l, err := NewLogs(receivertest.NewNopSettings(component.MustNewType("test")), next, backOff(), "", "test")
	require.NoError(t, err)
	return l
}

// TestDeliver holds that permanent and partial errors are retried, with what is left.
func TestDeliver(t *testing.T) {
	answers := []error{
		errors.New("busy"),
		consumererror.NewPermanent(errors.New("never")),
		consumererror.NewLogs(errors.New("in part"), logsOf("b")),
	}
	var got [][]string
	l := newLogs(t, func(_ context.Context, logs plog.Logs) error {
		var texts []string
		for _, record := range logs.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().All() {
			texts = append(texts, record.Body().Str())
		}
		got = append(got, texts)
		if len(got) <= len(answers) {
			return answers[len(got)-1]
		}
		return nil
	})
	require.NoError(t, l.Deliver(t.Context(), logsOf("a", "b")))
	assert.Equal(t, [][]string{{"a", "b"}, {"a", "b"}, {"a", "b"}, {"b"}}, got)
	require.NoError(t, l.Deliver(t.Context(), plog.NewLogs()), "nothing to hand on")
	assert.Len(t, got, 4)
}

// TestDeliverEnds holds that the end of the context ends the attempts, with an error.
func TestDeliverEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	busy := errors.New("busy")
	attempts := 0
	l := newLogs(t, func(context.Context, plog.Logs) error {
		if attempts++; attempts == 3 {
			cancel()
		}
		return busy
	})
	require.ErrorIs(t, l.Deliver(ctx, logsOf("a")), busy)
}

func TestValidate(t *testing.T) {
	require.NoError(t, Validate(DefaultBackOff()))
	for want, change := range map[string]func(*configretry.BackOffConfig){
		"`retry_on_failure::enabled`":          func(b *configretry.BackOffConfig) { b.Enabled = false },
		"`retry_on_failure::max_elapsed_time`": func(b *configretry.BackOffConfig) { b.MaxElapsedTime = time.Minute },
		"`retry_on_failure::initial_interval`": func(b *configretry.BackOffConfig) { b.InitialInterval = 0 },
		"`retry_on_failure::max_interval`":     func(b *configretry.BackOffConfig) { b.MaxInterval = time.Millisecond },
		"`retry_on_failure::multiplier`":       func(b *configretry.BackOffConfig) { b.Multiplier = 0.5 },
	} {
		b := DefaultBackOff()
		change(&b)
		assert.ErrorContains(t, Validate(b), want)
	}
}
