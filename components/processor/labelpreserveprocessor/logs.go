package labelpreserveprocessor

import (
	"context"

	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/processor/processorhelper"
)

func (lp *labelPreserve) processLogs(ctx context.Context, logs plog.Logs) (plog.Logs, error) {
	p, err := lp.begin(ctx)
	if err != nil {
		return logs, err
	}
	defer lp.end(ctx, p)
	var refused *refusal[plog.Logs]
	var emptied []bool // resources all of whose records are refused
	resources := logs.ResourceLogs()
	// A split appends to resources; what it appends is finished and not visited.
	for i := range resources.Len() {
		rl := resources.At(i)
		p.openResource(rl.Resource().Attributes())
		for j := range rl.ScopeLogs().Len() {
			sl := rl.ScopeLogs().At(j)
			p.openScope(sl.Scope().Attributes())
			resolveRecords(p, sl.LogRecords(), 0)
		}
		p.closeResource()
		switch {
		case p.rejectedHere > 0:
			if refused == nil {
				refused = refusalOf[plog.Logs](ctx, plog.NewLogs)
			}
			refused.count(p.rejectedHere)
			splitLogs(p, rl, resources, refused.data.ResourceLogs())
			emptied = markEmptied(emptied, i, p.groups() == 0)
		case p.groups() > 1:
			splitLogs(p, rl, resources, resources)
		default:
			finishLogs(p, rl, 0)
		}
	}
	if refused == nil {
		return logs, nil
	}
	refused.label(p.counts.rejected)
	removeEmptied[plog.ResourceLogs](resources, emptied)
	if resources.Len() == 0 {
		return logs, processorhelper.ErrSkipProcessingData
	}
	return logs, nil
}

// splitLogs leaves group 0 in rl, appends a resource for each other group to resources, and one for
// the records that are rejected to refused.
func splitLogs(p *pass, rl plog.ResourceLogs, resources, refused plog.ResourceLogsSlice) {
	copyTo := func(slice plog.ResourceLogsSlice) plog.ResourceLogs {
		part := slice.AppendEmpty()
		rl.Resource().CopyTo(part.Resource())
		part.SetSchemaUrl(rl.SchemaUrl())
		return part
	}
	parts := []plog.ResourceLogs{rl}
	for len(parts) < p.groups() {
		parts = append(parts, copyTo(resources))
	}
	var rejects plog.ResourceLogs
	if p.rejectedHere > 0 {
		rejects = copyTo(refused)
	}
	s := splitter{groupOf: p.groupOf}
	rl.ScopeLogs().RemoveIf(func(sl plog.ScopeLogs) bool {
		return moveOut(&s, sl.LogRecords(), onePerGroup(func(group int) plog.LogRecordSlice {
			to := rejects
			if group != rejected {
				to = parts[group]
			}
			part := to.ScopeLogs().AppendEmpty()
			sl.Scope().CopyTo(part.Scope())
			part.SetSchemaUrl(sl.SchemaUrl())
			return part.LogRecords()
		}))
	})
	for group := range p.groups() {
		finishLogs(p, parts[group], group)
	}
}

// finishLogs writes the labels of the group to the resource and cleans its scopes.
func finishLogs(p *pass, rl plog.ResourceLogs, group int) {
	p.writeResource(rl.Resource().Attributes(), group)
	for i := range rl.ScopeLogs().Len() {
		p.cleanScope(rl.ScopeLogs().At(i).Scope().Attributes(), group)
	}
}
