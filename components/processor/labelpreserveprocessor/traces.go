package labelpreserveprocessor

import (
	"context"

	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor/processorhelper"
)

func (lp *labelPreserve) processTraces(ctx context.Context, traces ptrace.Traces) (ptrace.Traces, error) {
	p, err := lp.begin(ctx)
	if err != nil {
		return traces, err
	}
	defer lp.end(ctx, p)
	var refused *refusal[ptrace.Traces]
	var emptied []bool // resources all of whose records are refused
	resources := traces.ResourceSpans()
	// A split appends to resources; what it appends is finished and not visited.
	for i := range resources.Len() {
		rs := resources.At(i)
		p.openResource(rs.Resource().Attributes())
		for j := range rs.ScopeSpans().Len() {
			ss := rs.ScopeSpans().At(j)
			p.openScope(ss.Scope().Attributes())
			resolveSpans(p, ss.Spans())
		}
		p.closeResource()
		switch {
		case p.rejectedHere > 0:
			if refused == nil {
				refused = refusalOf[ptrace.Traces](ctx, ptrace.NewTraces)
			}
			refused.count(p.rejectedHere)
			splitTraces(p, rs, resources, refused.data.ResourceSpans())
			emptied = markEmptied(emptied, i, p.groups() == 0)
		case p.groups() > 1:
			splitTraces(p, rs, resources, resources)
		default:
			finishTraces(p, rs, 0)
		}
	}
	if refused == nil {
		return traces, nil
	}
	refused.label(p.counts.rejected)
	removeEmptied[ptrace.ResourceSpans](resources, emptied)
	if resources.Len() == 0 {
		return traces, processorhelper.ErrSkipProcessingData
	}
	return traces, nil
}

// resolveSpans labels each span with its events and links.
func resolveSpans(p *pass, spans ptrace.SpanSlice) {
	for i := range spans.Len() {
		span := spans.At(i)
		if !p.record(span.Attributes(), 0) {
			continue
		}
		if p.events {
			for j := range span.Events().Len() {
				p.within(span.Events().At(j).Attributes(), toEvent)
			}
		}
		if p.links {
			for j := range span.Links().Len() {
				p.within(span.Links().At(j).Attributes(), toLink)
			}
		}
	}
}

// splitTraces leaves group 0 in rs, appends a resource for each other group to resources, and one for
// the records that are rejected to refused.
func splitTraces(p *pass, rs ptrace.ResourceSpans, resources, refused ptrace.ResourceSpansSlice) {
	copyTo := func(slice ptrace.ResourceSpansSlice) ptrace.ResourceSpans {
		part := slice.AppendEmpty()
		rs.Resource().CopyTo(part.Resource())
		part.SetSchemaUrl(rs.SchemaUrl())
		return part
	}
	parts := []ptrace.ResourceSpans{rs}
	for len(parts) < p.groups() {
		parts = append(parts, copyTo(resources))
	}
	var rejects ptrace.ResourceSpans
	if p.rejectedHere > 0 {
		rejects = copyTo(refused)
	}
	s := splitter{groupOf: p.groupOf}
	rs.ScopeSpans().RemoveIf(func(ss ptrace.ScopeSpans) bool {
		return moveOut(&s, ss.Spans(), onePerGroup(func(group int) ptrace.SpanSlice {
			to := rejects
			if group != rejected {
				to = parts[group]
			}
			part := to.ScopeSpans().AppendEmpty()
			ss.Scope().CopyTo(part.Scope())
			part.SetSchemaUrl(ss.SchemaUrl())
			return part.Spans()
		}))
	})
	for group := range p.groups() {
		finishTraces(p, parts[group], group)
	}
}

// finishTraces writes the labels of the group to the resource and cleans its scopes.
func finishTraces(p *pass, rs ptrace.ResourceSpans, group int) {
	p.writeResource(rs.Resource().Attributes(), group)
	for i := range rs.ScopeSpans().Len() {
		p.cleanScope(rs.ScopeSpans().At(i).Scope().Attributes(), group)
	}
}
