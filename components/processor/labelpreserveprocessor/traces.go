package labelpreserveprocessor

import (
	"context"

	"go.opentelemetry.io/collector/pdata/ptrace"
)

func (lp *labelPreserve) processTraces(ctx context.Context, traces ptrace.Traces) (ptrace.Traces, error) {
	p, err := lp.begin(ctx)
	if err != nil {
		return traces, err
	}
	defer lp.end(ctx, p)
	resources := traces.ResourceSpans()
	// A split appends to resources; what it appends is finished and not visited.
	for i := range resources.Len() {
		rs := resources.At(i)
		p.openResource(rs.Resource().Attributes())
		for j := range rs.ScopeSpans().Len() {
			ss := rs.ScopeSpans().At(j)
			p.openScope(ss.Scope().Attributes())
			resolveRecords(p, ss.Spans())
		}
		p.closeResource()
		if p.groups() > 1 {
			splitTraces(p, rs, resources)
		} else {
			finishTraces(p, rs, 0)
		}
	}
	return traces, nil
}

// splitTraces leaves group 0 in rs and appends a resource for each other group.
func splitTraces(p *pass, rs ptrace.ResourceSpans, resources ptrace.ResourceSpansSlice) {
	resourceOf := []ptrace.ResourceSpans{rs}
	for range p.groups() - 1 {
		part := resources.AppendEmpty()
		rs.Resource().CopyTo(part.Resource())
		part.SetSchemaUrl(rs.SchemaUrl())
		resourceOf = append(resourceOf, part)
	}
	s := splitter{groupOf: p.groupOf}
	rs.ScopeSpans().RemoveIf(func(ss ptrace.ScopeSpans) bool {
		return moveOut(&s, ss.Spans(), onePerGroup(func(group int) ptrace.SpanSlice {
			part := resourceOf[group].ScopeSpans().AppendEmpty()
			ss.Scope().CopyTo(part.Scope())
			part.SetSchemaUrl(ss.SchemaUrl())
			return part.Spans()
		}))
	})
	for group, part := range resourceOf {
		finishTraces(p, part, group)
	}
}

// finishTraces writes the labels of the group to the resource and cleans its scopes.
func finishTraces(p *pass, rs ptrace.ResourceSpans, group int) {
	p.writeResource(rs.Resource().Attributes(), group)
	for i := range rs.ScopeSpans().Len() {
		p.cleanScope(rs.ScopeSpans().At(i).Scope().Attributes(), group)
	}
}
