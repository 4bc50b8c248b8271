package labelpreserveprocessor

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor"
)

// refusal is what a batch has of records that lack a label they must have, on the way from
// the processing function, which takes them out, to the consumer around it, which reports
// them when the others have been delivered.
type refusal[D any] struct {
	data    D // as it came
	records int
	byLabel []int64 // records, by the first label they lack
}

// refusalKey is the context key of *refusal[D].
type refusalKey[D any] struct{}

// refusalOf returns the refusal that the context carries, with data to put records into.
func refusalOf[D any](ctx context.Context, newData func() D) *refusal[D] {
	r, ok := ctx.Value(refusalKey[D]{}).(*refusal[D])
	if !ok {
		// Whoever calls the processing function without the consumer around it gets no report.
		r = new(refusal[D])
	}
	r.data = newData()
	return r
}

func (r *refusal[D]) count(records int) { r.records += records }

func (r *refusal[D]) label(byLabel []int64) { r.byLabel = append(r.byLabel[:0], byLabel...) }

// err says how many records lack which label. It will be the same for the same records.
func (r *refusal[D]) err(lp *labelPreserve) error {
	var lacks []string
	for i, n := range r.byLabel {
		if n > 0 {
			lacks = append(lacks, fmt.Sprintf("%d without `%s`", n, lp.labels.labels[i].name))
		}
	}
	return consumererror.NewPermanent(fmt.Errorf("label_preserve: records rejected for a missing label: %s", strings.Join(lacks, ", ")))
}

// report adds the records to the counter.
func (r *refusal[D]) report(ctx context.Context, lp *labelPreserve) {
	for i, n := range r.byLabel {
		if n > 0 {
			lp.telemetry.ProcessorLabelPreserveRejected.Add(ctx, n, lp.countAttrs[i])
		}
	}
}

// after returns what the caller is told when the other records have been handed on with the
// result err. failed adds to the rejected records those that err speaks of, wrap makes an error
// that carries records.
//
//   - Delivered: a permanent error that carries the rejected records.
//   - Failed for good: one that carries the others, too.
//   - Failed for now: that error, with the rejected records among those to be tried again,
//     or else they would be lost with the first attempt.
func (r *refusal[D]) after(ctx context.Context, lp *labelPreserve, err error, failed func(to D), wrap func(error, D) error) error {
	if err == nil {
		r.report(ctx, lp)
		return wrap(r.err(lp), r.data)
	}
	failed(r.data)
	if consumererror.IsPermanent(err) {
		r.report(ctx, lp)
		return wrap(errors.Join(r.err(lp), err), r.data)
	}
	return wrap(err, r.data)
}

// markEmptied notes that a resource has lost all its records.
func markEmptied(emptied []bool, resource int, empty bool) []bool {
	for len(emptied) <= resource {
		emptied = append(emptied, false)
	}
	emptied[resource] = empty
	return emptied
}

// removeEmptied removes the resources that are marked.
func removeEmptied[R any, S interface{ RemoveIf(func(R) bool) }](resources S, emptied []bool) {
	i := -1
	resources.RemoveIf(func(R) bool {
		i++
		return i < len(emptied) && emptied[i]
	})
}

// rejectingLogs reports rejected log records when the others have been delivered.
type rejectingLogs struct {
	processor.Logs
	lp *labelPreserve
}

func (c *rejectingLogs) ConsumeLogs(ctx context.Context, logs plog.Logs) error {
	refused := new(refusal[plog.Logs])
	err := c.Logs.ConsumeLogs(context.WithValue(ctx, refusalKey[plog.Logs]{}, refused), logs)
	if refused.records == 0 {
		return err
	}
	return refused.after(ctx, c.lp, err, func(to plog.Logs) {
		restored := plog.NewLogs()
		to.CopyTo(restored)
		partial, failed := errors.AsType[consumererror.Logs](err)
		rest := logs
		if failed {
			rest = partial.Data()
		}
		all := plog.NewLogs()
		rest.CopyTo(all)
		all.ResourceLogs().MoveAndAppendTo(to.ResourceLogs())
		if !logs.IsReadOnly() {
			// For a caller that tries its own data again, whatever the error carries.
			restored.ResourceLogs().MoveAndAppendTo(logs.ResourceLogs())
		}
	}, consumererror.NewLogs)
}

// rejectingMetrics reports rejected data points when the others have been delivered.
type rejectingMetrics struct {
	processor.Metrics
	lp *labelPreserve
}

func (c *rejectingMetrics) ConsumeMetrics(ctx context.Context, metrics pmetric.Metrics) error {
	refused := new(refusal[pmetric.Metrics])
	err := c.Metrics.ConsumeMetrics(context.WithValue(ctx, refusalKey[pmetric.Metrics]{}, refused), metrics)
	if refused.records == 0 {
		return err
	}
	return refused.after(ctx, c.lp, err, func(to pmetric.Metrics) {
		restored := pmetric.NewMetrics()
		to.CopyTo(restored)
		partial, failed := errors.AsType[consumererror.Metrics](err)
		rest := metrics
		if failed {
			rest = partial.Data()
		}
		all := pmetric.NewMetrics()
		rest.CopyTo(all)
		all.ResourceMetrics().MoveAndAppendTo(to.ResourceMetrics())
		if !metrics.IsReadOnly() {
			restored.ResourceMetrics().MoveAndAppendTo(metrics.ResourceMetrics())
		}
	}, consumererror.NewMetrics)
}

// rejectingTraces reports rejected spans when the others have been delivered.
type rejectingTraces struct {
	processor.Traces
	lp *labelPreserve
}

func (c *rejectingTraces) ConsumeTraces(ctx context.Context, traces ptrace.Traces) error {
	refused := new(refusal[ptrace.Traces])
	err := c.Traces.ConsumeTraces(context.WithValue(ctx, refusalKey[ptrace.Traces]{}, refused), traces)
	if refused.records == 0 {
		return err
	}
	return refused.after(ctx, c.lp, err, func(to ptrace.Traces) {
		restored := ptrace.NewTraces()
		to.CopyTo(restored)
		partial, failed := errors.AsType[consumererror.Traces](err)
		rest := traces
		if failed {
			rest = partial.Data()
		}
		all := ptrace.NewTraces()
		rest.CopyTo(all)
		all.ResourceSpans().MoveAndAppendTo(to.ResourceSpans())
		if !traces.IsReadOnly() {
			restored.ResourceSpans().MoveAndAppendTo(traces.ResourceSpans())
		}
	}, consumererror.NewTraces)
}
