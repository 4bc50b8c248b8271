package victorialogsexporter

import (
	"time"

	"go.opentelemetry.io/collector/config/confighttp"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/config/configretry"
	"go.opentelemetry.io/collector/exporter/exporterhelper"
)

// TimeSource names the timestamp of a record that becomes `_time`.
type TimeSource string

const (
	// TimeFromTimestamp takes the record's own timestamp, or the observed one where it has none.
	TimeFromTimestamp TimeSource = "timestamp"
	// TimeFromObservedTimestamp takes the observed timestamp, or the record's own where it has none.
	TimeFromObservedTimestamp TimeSource = "observed_timestamp"
)

// Action is what becomes of a record, or of a field of it, that the server would drop behind a 200.
type Action string

const (
	// ActionOTLP sends the record alone to the OTLP path of the same server, which has no limit of a line.
	ActionOTLP Action = "otlp"
	// ActionTruncate cuts what is too long; the field `truncated_fields` says what it was and how long.
	ActionTruncate Action = "truncate"
	// ActionSplit makes rows of parts of the message, numbered and with a common id.
	ActionSplit Action = "split"
	// ActionStringify moves fields, as JSON, into one field.
	ActionStringify Action = "stringify"
	// ActionClamp sets the time to the time of sending; the field `original_time` has the other one.
	ActionClamp Action = "clamp"
	// ActionDefault takes the configured value in place of the record's.
	ActionDefault Action = "default"
	// ActionReject returns the record to the caller with a permanent error; the others are delivered.
	ActionReject Action = "reject"
)

// Limits of VictoriaLogs, v1.25 line. Behind each of them the server answers 200 and drops the line, or
// collapses it into `_msg` without time and stream.
const (
	defaultMaxLineBytes      = 256 * 1024 // -insert.maxLineSizeBytes
	defaultMaxFields         = 1000       // -insert.maxFieldsPerLine
	defaultMaxFieldNameBytes = 128        // lib/logstorage/consts.go: maxFieldNameSize
	// The server's index keeps blocks of 64 KiB (lib/mergeset/encoding.go: maxInmemoryBlockSize). An item over that is
	// skipped, and blocks of single items of more than half of it lose items of other streams, too (measured).
	defaultMaxStreamBytes = 32000
	defaultMaxRowBytes    = 2 * 1024 * 1024    // lib/logstorage/consts.go: maxUncompressedBlockSize
	defaultMaxDepth       = 300                // github.com/valyala/fastjson: MaxDepth
	defaultMaxFuture      = 48 * time.Hour     // -futureRetention
	defaultMaxPast        = 7 * 24 * time.Hour // -retentionPeriod
)

// Config of the victorialogs exporter.
type Config struct {
	// ClientConfig holds endpoint, timeout, TLS, auth, compression and headers. `endpoint` is the base URL of
	// VictoriaLogs; the API paths are appended to it.
	confighttp.ClientConfig `mapstructure:",squash"`
	// QueueConfig is off unless `sending_queue` is in the configuration: without it the caller waits for the
	// answer of VictoriaLogs, so that nothing is acknowledged that only memory holds.
	QueueConfig configoptional.Optional[exporterhelper.QueueBatchConfig] `mapstructure:"sending_queue"`
	// RetryConfig retries without end unless `max_elapsed_time` is set.
	RetryConfig configretry.BackOffConfig `mapstructure:"retry_on_failure"`

	// StreamFields are the names of the fields that make the log stream, or globs of them. Fields that a record lacks
	// are left out.
	StreamFields []string `mapstructure:"stream_fields"`
	// MessageKeys are the keys of a body of type map that may hold the message, in order. The others become fields.
	MessageKeys []string `mapstructure:"message_keys"`
	// DefaultMessage is the message of a record that has neither a body nor an event name. Without it the server
	// would store a placeholder text of its own.
	DefaultMessage string `mapstructure:"default_message"`
	// TimeSource is the timestamp that becomes `_time`.
	TimeSource TimeSource `mapstructure:"time_source"`
	// Fields says under which names attributes become fields, and which do.
	Fields FieldsConfig `mapstructure:"fields"`
	// Tenant is sent as the AccountID and ProjectID headers.
	Tenant TenantConfig `mapstructure:"tenant"`
	// Limits are those of the server.
	Limits LimitsConfig `mapstructure:"limits"`
	// OnViolation says what becomes of a record that is over a limit.
	OnViolation ViolationConfig `mapstructure:"on_violation"`
	// Idempotency is how a record is kept from being stored twice.
	Idempotency IdempotencyConfig `mapstructure:"idempotency"`
}

// FieldsConfig is the mapping of each source of attributes.
type FieldsConfig struct {
	// Record is about the attributes of the record.
	Record MappingConfig `mapstructure:"record"`
	Body   MappingConfig `mapstructure:"body"` // a body of type map
	// Scope is about name, version and attributes of the scope.
	Scope MappingConfig `mapstructure:"scope"`
	// Resource is about the attributes of the resource.
	Resource MappingConfig `mapstructure:"resource"`
	// ObservedTimestamp is the name of a field for the observed timestamp, RFC 3339. Empty: it is not stored.
	ObservedTimestamp string `mapstructure:"observed_timestamp"`
}

// MappingConfig names the fields of one source. Keys of nested maps are joined with `.` before they are looked at.
type MappingConfig struct {
	// Prefix is put before the keys that are not renamed.
	Prefix string `mapstructure:"prefix"`
	// Include are globs of the keys that become fields. Empty: all.
	Include []string `mapstructure:"include"`
	// Exclude are globs of the keys that do not.
	Exclude []string `mapstructure:"exclude"`
	// Rename gives the names of fields by their keys.
	Rename map[string]string `mapstructure:"rename"`
}

// TenantConfig names a tenant of VictoriaLogs. The zero value is the default tenant.
type TenantConfig struct {
	// AccountID is that of records without a tenant of their own.
	AccountID uint32 `mapstructure:"account_id"`
	// ProjectID is that of the same records.
	ProjectID uint32 `mapstructure:"project_id"`
	// FromAttribute is an attribute, of the record or else of the resource, with the tenant as `account` or
	// `account:project`. Records that lack it belong to the tenant above. Each tenant has requests of its own.
	FromAttribute string `mapstructure:"from_attribute"`
}

// LimitsConfig repeats the limits that the server has, so that no record meets them unnoticed.
type LimitsConfig struct {
	// MaxLineBytes is the server's -insert.maxLineSizeBytes, the newline included.
	MaxLineBytes int `mapstructure:"max_line_bytes"`
	// MaxFields is the server's -insert.maxFieldsPerLine, `_time`, `_msg` and the delivery id included.
	MaxFields int `mapstructure:"max_fields"`
	// MaxFieldNameBytes is the server's limit of a field name.
	MaxFieldNameBytes int `mapstructure:"max_field_name_bytes"`
	// MaxStreamBytes is what the server's index can hold of the names and values of the stream fields of a row.
	MaxStreamBytes int `mapstructure:"max_stream_bytes"`
	// MaxRowBytes is the server's limit of a row: names and values.
	MaxRowBytes int `mapstructure:"max_row_bytes"`
	// MaxDepth is how deep maps are flattened.
	MaxDepth int `mapstructure:"max_depth"`
	// MaxFuture is the server's -futureRetention. 0: not looked at.
	MaxFuture time.Duration `mapstructure:"max_future"`
	// MaxPast is the server's -retentionPeriod. 0: not looked at.
	MaxPast time.Duration `mapstructure:"max_past"`
}

// ViolationConfig has an action for each limit.
type ViolationConfig struct {
	// LineBytes is for a row that is longer than a line may be: otlp, truncate, split or reject.
	LineBytes Action `mapstructure:"line_bytes"`
	// RowBytes is for a row over `max_row_bytes`: truncate, split or reject.
	RowBytes Action `mapstructure:"row_bytes"`
	// FieldCount is for a row with too many fields: stringify or reject.
	FieldCount Action `mapstructure:"field_count"`
	// FieldNameBytes is for a field with a name that is too long: stringify, truncate or reject.
	FieldNameBytes Action `mapstructure:"field_name_bytes"`
	// StreamBytes is for stream fields that are too long together: stringify, truncate or reject.
	StreamBytes Action `mapstructure:"stream_bytes"`
	// Depth is for maps that are nested deeper than `max_depth`: stringify or reject.
	Depth Action `mapstructure:"depth"`
	// Future is for a time that is too far ahead: clamp or reject.
	Future Action `mapstructure:"future"`
	// Past is for a time before the retention of the server: clamp or reject.
	Past Action `mapstructure:"past"`
	// Tenant is for a record whose tenant cannot be read: reject or default.
	Tenant Action `mapstructure:"tenant"`
}

// IdempotencyConfig is about the content address that the rows of a request carry, and about asking for it.
type IdempotencyConfig struct {
	// Enabled sends the content address, and asks for it before a request that may have been stored is sent again.
	Enabled bool `mapstructure:"enabled"`
	// Field is the field that holds the content address.
	Field string `mapstructure:"field"`
	// QueryEndpoint is the base URL that answers queries. Empty: `endpoint`.
	QueryEndpoint string `mapstructure:"query_endpoint"`
	// Timeout is that of a query.
	Timeout time.Duration `mapstructure:"timeout"`
	// VisibilityDelay is how long rows that the server has taken may stay invisible to queries.
	VisibilityDelay time.Duration `mapstructure:"visibility_delay"`
}
