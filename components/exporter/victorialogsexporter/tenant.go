package victorialogsexporter

import (
	"strconv"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
)

// static returns the tenant of records that name none.
func (c *TenantConfig) static() tenant { return tenant{account: c.AccountID, project: c.ProjectID} }

// of returns the tenant of a record, and whether the attribute, if it is there, names one.
func (c *TenantConfig) of(resource pcommon.Resource, record plog.LogRecord) (tenant, bool) {
	if c.FromAttribute == "" {
		return c.static(), true
	}
	value, ok := record.Attributes().Get(c.FromAttribute)
	if !ok || !hasText(value) {
		value, ok = resource.Attributes().Get(c.FromAttribute)
	}
	if !ok || !hasText(value) {
		return c.static(), true
	}
	if value.Type() == pcommon.ValueTypeStr {
		return parseTenant(value.Str())
	}
	return parseTenant(value.AsString())
}

// parseTenant reads `account` or `account:project`, as VictoriaLogs writes them.
func parseTenant(s string) (tenant, bool) {
	account, project, both := strings.Cut(s, ":")
	a, err := strconv.ParseUint(account, 10, 32)
	if err != nil {
		return tenant{}, false
	}
	if !both {
		return tenant{account: uint32(a)}, true
	}
	p, err := strconv.ParseUint(project, 10, 32)
	if err != nil {
		return tenant{}, false
	}
	return tenant{account: uint32(a), project: uint32(p)}, true
}

// selectTenant makes the batch of the record's tenant the one at hand. It returns false for a record that is rejected.
func (e *encoder) selectTenant(resource pcommon.Resource, record plog.LogRecord, index int, emit func(*batch)) bool {
	t, ok := e.config.Tenant.of(resource, record)
	if !ok {
		action := e.config.OnViolation.Tenant
		e.stats.violate(kindTenant, action, 1)
		if action == ActionReject {
			e.rejected = append(e.rejected, rejection{index: index, kind: kindTenant})
			return false
		}
		t = e.config.Tenant.static()
	}
	if t == e.batch.tenant {
		return true
	}
	if len(e.batches) >= maxBatchTenants {
		for _, b := range e.batches {
			e.emit(b, emit)
		}
		clear(e.batches)
	}
	e.batches[e.batch.tenant] = e.batch
	if b, ok := e.batches[t]; ok {
		delete(e.batches, t)
		e.batch = b
		return true
	}
	e.batch = &batch{}
	e.startBatch(e.batch, t, index)
	return true
}
