package durablejournalreceiver

import (
	"strconv"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
)

// Fields of systemd.journal-fields(7).
const (
	fieldMessage    = "MESSAGE"
	fieldPriority   = "PRIORITY"
	fieldUnit       = "_SYSTEMD_UNIT"
	fieldIdentifier = "SYSLOG_IDENTIFIER"
	fieldHostname   = "_HOSTNAME"
	fieldCursor     = "__CURSOR"
	fieldRealtime   = "__REALTIME_TIMESTAMP" // microseconds
	addressPrefix   = "__"                   // of fields that say where an entry is, not what
)

// severities are those of syslog, PRIORITY 0 to 7, as the OpenTelemetry log data model maps them.
var severities = [...]struct {
	number plog.SeverityNumber
	text   string
}{
	{plog.SeverityNumberFatal, "emerg"},
	{plog.SeverityNumberError3, "alert"},
	{plog.SeverityNumberError2, "crit"},
	{plog.SeverityNumberError, "err"},
	{plog.SeverityNumberWarn, "warning"},
	{plog.SeverityNumberInfo2, "notice"},
	{plog.SeverityNumberInfo, "info"},
	{plog.SeverityNumberDebug, "debug"},
}

// origin is who has written an entry.
type origin struct {
	host, service string
}

func originOf(e entry) origin {
	service, isService := strings.CutSuffix(e.get(fieldUnit), ".service")
	// Programs of a session are in units that are named after the session.
	if !isService || strings.HasPrefix(service, "user@") {
		service = e.get(fieldIdentifier)
	}
	return origin{host: e.get(fieldHostname), service: service}
}

// batch is entries that are handed on together.
type batch struct {
	logs    plog.Logs
	of      map[origin]plog.LogRecordSlice
	records int
	bytes   int
	cursor  string // of the last entry
}

func newBatch() *batch {
	return &batch{logs: plog.NewLogs(), of: make(map[origin]plog.LogRecordSlice)}
}

func (b *batch) add(e entry, now pcommon.Timestamp) {
	b.cursor = e.get(fieldCursor)
	b.records++
	by := originOf(e)
	records, ok := b.of[by]
	if !ok {
		resource := b.logs.ResourceLogs().AppendEmpty()
		if by.host != "" {
			resource.Resource().Attributes().PutStr("host.name", by.host)
		}
		if by.service != "" {
			resource.Resource().Attributes().PutStr("service.name", by.service)
		}
		records = resource.ScopeLogs().AppendEmpty().LogRecords()
		b.of[by] = records
	}
	record := records.AppendEmpty()
	record.SetObservedTimestamp(now)
	attributes := record.Attributes()
	attributes.EnsureCapacity(len(e))
	for _, f := range e {
		b.bytes += len(f.value)
		switch {
		case f.name == fieldMessage:
			record.Body().SetStr(string(f.value))
		case f.name == fieldRealtime:
			if micros, err := strconv.ParseInt(string(f.value), 10, 64); err == nil {
				record.SetTimestamp(pcommon.Timestamp(micros * 1000))
			}
		case strings.HasPrefix(f.name, addressPrefix), f.name == fieldHostname:
		default:
			putField(attributes, f)
			if f.name == fieldPriority {
				setSeverity(record, f.value)
			}
		}
	}
}

// putField keeps all values of a field that is there more than once.
func putField(attributes pcommon.Map, f field) {
	value, there := attributes.GetOrPutEmpty(f.name)
	switch {
	case !there:
		value.SetStr(string(f.value))
	case value.Type() == pcommon.ValueTypeSlice:
		value.Slice().AppendEmpty().SetStr(string(f.value))
	default:
		first := value.Str()
		values := value.SetEmptySlice()
		values.AppendEmpty().SetStr(first)
		values.AppendEmpty().SetStr(string(f.value))
	}
}

func setSeverity(record plog.LogRecord, priority []byte) {
	if len(priority) != 1 || priority[0] < '0' || int(priority[0]-'0') >= len(severities) {
		return
	}
	severity := severities[priority[0]-'0']
	record.SetSeverityNumber(severity.number)
	record.SetSeverityText(severity.text)
}
