package labelpreserveprocessor

import (
	"context"

	"go.opentelemetry.io/collector/pdata/plog"
)

func (lp *labelPreserve) processLogs(ctx context.Context, logs plog.Logs) (plog.Logs, error) {
	p, err := lp.begin(ctx)
	if err != nil {
		return logs, err
	}
	defer lp.end(ctx, p)
	resources := logs.ResourceLogs()
	// A split appends to resources; what it appends is finished and not visited.
	for i := range resources.Len() {
		rl := resources.At(i)
		p.openResource(rl.Resource().Attributes())
		for j := range rl.ScopeLogs().Len() {
			sl := rl.ScopeLogs().At(j)
			p.openScope(sl.Scope().Attributes())
			resolveRecords(p, sl.LogRecords())
		}
		p.closeResource()
		if p.groups() > 1 {
			splitLogs(p, rl, resources)
		} else {
			finishLogs(p, rl, 0)
		}
	}
	return logs, nil
}

// splitLogs leaves group 0 in rl and appends a resource for each other group.
func splitLogs(p *pass, rl plog.ResourceLogs, resources plog.ResourceLogsSlice) {
	resourceOf := []plog.ResourceLogs{rl}
	for range p.groups() - 1 {
		part := resources.AppendEmpty()
		rl.Resource().CopyTo(part.Resource())
		part.SetSchemaUrl(rl.SchemaUrl())
		resourceOf = append(resourceOf, part)
	}
	s := splitter{groupOf: p.groupOf}
	rl.ScopeLogs().RemoveIf(func(sl plog.ScopeLogs) bool {
		return moveOut(&s, sl.LogRecords(), onePerGroup(func(group int) plog.LogRecordSlice {
			part := resourceOf[group].ScopeLogs().AppendEmpty()
			sl.Scope().CopyTo(part.Scope())
			part.SetSchemaUrl(sl.SchemaUrl())
			return part.LogRecords()
		}))
	})
	for group, part := range resourceOf {
		finishLogs(p, part, group)
	}
}

// finishLogs writes the labels of the group to the resource and cleans its scopes.
func finishLogs(p *pass, rl plog.ResourceLogs, group int) {
	p.writeResource(rl.Resource().Attributes(), group)
	for i := range rl.ScopeLogs().Len() {
		p.cleanScope(rl.ScopeLogs().At(i).Scope().Attributes(), group)
	}
}
