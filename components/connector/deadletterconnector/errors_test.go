package deadletterconnector

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/plog"
)

func logsOf(bodies ...string) plog.Logs {
	logs := plog.NewLogs()
	records := logs.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords()
	for _, body := range bodies {
		records.AppendEmpty().Body().SetStr(body)
	}
	return logs
}

func bodies(logs plog.Logs) []string {
	var list []string
	for _, resource := range logs.ResourceLogs().All() {
		for _, scope := range resource.ScopeLogs().All() {
			for _, record := range scope.LogRecords().All() {
				list = append(list, record.Body().Str())
			}
		}
	}
	return list
}

var (
	errPlain     = errors.New("plain")
	errPermanent = consumererror.NewPermanent(errors.New("refused"))
)

func refusedLogs(names ...string) error {
	return consumererror.NewLogs(consumererror.NewPermanent(errors.New("refused")), logsOf(names...))
}

func TestErrorTree(t *testing.T) {
	for name, c := range map[string]struct {
		err     error
		refusal bool
		// What goes to the dead letter of a request with the records a, b, c.
		dead [][]string
	}{
		"plain":                      {err: errPlain},
		"retryable":                  {err: consumererror.NewRetryableError(errPlain)},
		"not retryable":              {err: consumererror.NewOTLPHTTPError(errPlain, 400)},
		"transient with records":     {err: consumererror.NewLogs(errPlain, logsOf("a"))},
		"permanent and transient":    {err: errors.Join(errPermanent, errPlain)},
		"transient and permanent":    {err: errors.Join(errPlain, errPermanent)},
		"two %w, one transient":      {err: fmt.Errorf("%w, %w", errPermanent, errPlain)},
		"deep":                       {err: errors.Join(errPermanent, fmt.Errorf("x: %w", errors.Join(errPermanent, errPlain)))},
		"records and transient":      {err: errors.Join(refusedLogs("a"), errPlain)},
		"records of both kinds":      {err: errors.Join(refusedLogs("a"), consumererror.NewLogs(errPlain, logsOf("b")))},
		"records of a mixed error":   {err: consumererror.NewLogs(errors.Join(errPermanent, errPlain), logsOf("a"))},
		"time was up":                {err: consumererror.NewPermanent(fmt.Errorf("send: %w", context.DeadlineExceeded))},
		"cancelled":                  {err: errors.Join(errPermanent, consumererror.NewPermanent(context.Canceled))},
		"permanent":                  {err: errPermanent, refusal: true, dead: [][]string{{"a", "b", "c"}}},
		"wrapped":                    {err: fmt.Errorf("not retryable error: %w", errPermanent), refusal: true, dead: [][]string{{"a", "b", "c"}}},
		"permanent over all":         {err: consumererror.NewPermanent(errors.Join(errPlain, errPlain)), refusal: true, dead: [][]string{{"a", "b", "c"}}},
		"permanent twice":            {err: errors.Join(errPermanent, errPermanent), refusal: true, dead: [][]string{{"a", "b", "c"}}},
		"records":                    {err: refusedLogs("a"), refusal: true, dead: [][]string{{"a"}}},
		"records, wrapped":           {err: fmt.Errorf("x: %w", errors.Join(refusedLogs("a", "b"))), refusal: true, dead: [][]string{{"a", "b"}}},
		"records in permanent":       {err: consumererror.NewPermanent(consumererror.NewLogs(errPlain, logsOf("c"))), refusal: true, dead: [][]string{{"c"}}},
		"records of several reasons": {err: consumererror.NewLogs(errors.Join(errPermanent, errPermanent), logsOf("a")), refusal: true, dead: [][]string{{"a"}}},
		"records of two exporters":   {err: errors.Join(refusedLogs("a"), refusedLogs("a", "b")), refusal: true, dead: [][]string{{"a"}, {"a", "b"}}},
		"records and some unknown":   {err: errors.Join(refusedLogs("a"), errPermanent), refusal: true, dead: [][]string{{"a", "b", "c"}}},
		"no records are all":         {err: consumererror.NewLogs(errPermanent, plog.NewLogs()), refusal: true, dead: [][]string{{"a", "b", "c"}}},
		"records of another signal":  {err: consumererror.NewTraces(errPermanent, tracesOf("a")), refusal: true, dead: [][]string{{"a", "b", "c"}}},
		"as the victorialogs exporter": {
			err: fmt.Errorf("not retryable error: %w", consumererror.NewLogs(consumererror.NewPermanent(errors.Join(errPlain, errPlain)), logsOf("b"))), refusal: true, dead: [][]string{{"b"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, c.refusal, isRefusal(c.err))

			r := newLogsTest(t, false)
			r.primary.err = func(int) error { return c.err }
			err := r.connector.ConsumeLogs(t.Context(), logsOf("a", "b", "c"))
			if !c.refusal {
				require.Error(t, err)
				assert.False(t, consumererror.IsPermanent(err), "the caller would take it for a refusal")
				assert.Equal(t, c.err.Error(), err.Error())
				if !consumererror.IsPermanent(c.err) {
					assert.Equal(t, c.err, err, "as it is")
				}
				assert.Empty(t, r.dead.received())
				return
			}
			require.NoError(t, err)
			assert.Equal(t, c.dead, r.dead.received())
		})
	}
}
