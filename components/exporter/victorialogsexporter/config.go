package victorialogsexporter

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"go.opentelemetry.io/collector/config/configcompression"
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

// Limits of VictoriaLogs, v1.25 line. Behind each of them the server answers 200 and drops the line, or
// collapses it into `_msg` without time and stream.
const (
	defaultMaxLineBytes      = 256 * 1024      // -insert.maxLineSizeBytes
	defaultMaxFields         = 1000            // -insert.maxFieldsPerLine
	defaultMaxFieldNameBytes = 128             // lib/logstorage/consts.go: maxFieldNameSize
	defaultMaxRowBytes       = 2 * 1024 * 1024 // lib/logstorage/consts.go: maxUncompressedBlockSize
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

	// StreamFields are the names of the fields that make the log stream. Fields that a record lacks are left out.
	StreamFields []string `mapstructure:"stream_fields"`
	// MessageKeys are the keys of a body of type map that may hold the message, in order. The others become fields.
	MessageKeys []string `mapstructure:"message_keys"`
	// DefaultMessage is the message of a record that has neither a body nor an event name. Without it the server
	// would store a placeholder text of its own.
	DefaultMessage string `mapstructure:"default_message"`
	// TimeSource is the timestamp that becomes `_time`.
	TimeSource TimeSource `mapstructure:"time_source"`
	// Tenant is sent as the AccountID and ProjectID headers.
	Tenant TenantConfig `mapstructure:"tenant"`
	// Limits are those of the server.
	Limits LimitsConfig `mapstructure:"limits"`
}

// TenantConfig names a tenant of VictoriaLogs. The zero value is the default tenant.
type TenantConfig struct {
	AccountID uint32 `mapstructure:"account_id"`
	ProjectID uint32 `mapstructure:"project_id"`
}

// LimitsConfig repeats the limits that the server has, so that no record meets them unnoticed.
type LimitsConfig struct {
	// MaxLineBytes is the server's -insert.maxLineSizeBytes. A longer line goes to the OTLP path of the server.
	MaxLineBytes int `mapstructure:"max_line_bytes"`
	// MaxFields is the server's -insert.maxFieldsPerLine. The fields over it go into one field as JSON.
	MaxFields int `mapstructure:"max_fields"`
	// MaxFieldNameBytes is the server's limit of a field name. A field with a longer one goes into one field as JSON.
	MaxFieldNameBytes int `mapstructure:"max_field_name_bytes"`
	// MaxRowBytes is the server's limit of a row. A larger record is refused with a permanent error.
	MaxRowBytes int `mapstructure:"max_row_bytes"`
}

// Validate reports every mistake, each by the name of its setting.
func (c *Config) Validate() error {
	return errors.Join(
		validateEndpoint(c.Endpoint),
		validateCompression(c.Compression),
		c.validateHeaders(),
		c.validateTimeout(),
		c.validateStreamFields(),
		c.validateMapping(),
		c.Limits.validate(len(c.StreamFields)),
	)
}

func validateEndpoint(endpoint string) error {
	if endpoint == "" {
		return errors.New("`endpoint` must not be empty; give the base URL of VictoriaLogs, such as http://127.0.0.1:9428")
	}
	u, err := url.Parse(endpoint)
	if err != nil {
		// The parser's message repeats the URL, which may hold a password.
		return errors.New("`endpoint` is not a valid URL")
	}
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return errors.New("`endpoint` must begin with http:// or https://")
	case u.Host == "":
		return errors.New("`endpoint` has no host")
	case u.User != nil:
		return errors.New("`endpoint` must not hold a user name or password; use `auth` with the basicauth extension")
	case u.RawQuery != "" || u.Fragment != "":
		return errors.New("`endpoint` must not hold a query; use `stream_fields` and the other settings")
	case strings.Contains(u.Path, "/insert"):
		return fmt.Errorf("`endpoint` is the base URL of VictoriaLogs, without %q", u.Path)
	}
	return nil
}

// validateCompression allows only what VictoriaLogs decodes: it answers 200 to any other encoding and stores nothing.
func validateCompression(compression configcompression.Type) error {
	switch compression {
	case "", "none", configcompression.TypeGzip, configcompression.TypeZstd:
		return nil
	default:
		return fmt.Errorf("`compression` must be none, gzip or zstd, not %q", string(compression))
	}
}

// Headers that the exporter sets itself. Another Content-Type makes VictoriaLogs parse the body away as a form,
// and another stream or message field changes the rows behind the back of this configuration.
var reservedHeaders = map[string]string{
	"accountid":         "tenant",
	"content-encoding":  "compression",
	"content-type":      "",
	"projectid":         "tenant",
	"transfer-encoding": "",
	"vl-msg-field":      "message_keys",
	"vl-stream-fields":  "stream_fields",
	"vl-time-field":     "time_source",
}

// The other parameters of VictoriaLogs that travel in headers change or drop rows: VL-Debug drops them all.
const reservedHeaderPrefix = "vl-"

func (c *Config) validateHeaders() error {
	var errs []error
	for name := range c.Headers.Iter {
		setting, reserved := reservedHeaders[strings.ToLower(name)]
		reserved = reserved || strings.HasPrefix(strings.ToLower(name), reservedHeaderPrefix)
		switch {
		case !reserved:
		case setting == "":
			errs = append(errs, fmt.Errorf("`headers` must not set %q, it decides about what is stored", name))
		default:
			errs = append(errs, fmt.Errorf("`headers` must not set %q, use `%s`", name, setting))
		}
	}
	return errors.Join(errs...)
}

// maxQueueDuration is the server's default of -insert.maxQueueDuration.
const maxQueueDuration = time.Minute

func (c *Config) validateTimeout() error {
	if c.Timeout > 0 && c.Timeout < maxQueueDuration {
		return nil
	}
	return fmt.Errorf("`timeout` must be over 0s and below %s, not %s: VictoriaLogs answers 200 to a request that has waited "+
		"for -insert.maxQueueDuration, and drops it", maxQueueDuration, c.Timeout)
}

// validateStreamFields refuses what cannot travel in a header, separated by commas.
func (c *Config) validateStreamFields() error {
	switch n := len(c.StreamFields); {
	case n == 0:
		return errors.New("`stream_fields` must not be empty; name the fields that tell one log stream from another")
	case n > maxStreamFields:
		return fmt.Errorf("`stream_fields` must not be more than %d, not %d", maxStreamFields, n)
	}
	seen := make(map[string]struct{}, len(c.StreamFields))
	var errs []error
	for i, name := range c.StreamFields {
		switch {
		case name == "":
			errs = append(errs, fmt.Errorf("`stream_fields[%d]` must not be empty", i))
		case len(name) > c.Limits.MaxFieldNameBytes:
			errs = append(errs, fmt.Errorf("`stream_fields[%d]` is over `limits::max_field_name_bytes` (%d)", i, c.Limits.MaxFieldNameBytes))
		case isReservedName(name):
			errs = append(errs, fmt.Errorf("`stream_fields[%d]`: %q is reserved", i, name))
		case strings.ContainsFunc(name, func(r rune) bool { return r == ',' || r < ' ' || r == 0x7f }):
			errs = append(errs, fmt.Errorf("`stream_fields[%d]`: %q must not hold a comma or a control character", i, name))
		}
		if _, dup := seen[name]; dup {
			errs = append(errs, fmt.Errorf("`stream_fields[%d]`: %q is there twice", i, name))
		}
		seen[name] = struct{}{}
	}
	return errors.Join(errs...)
}

func (c *Config) validateMapping() error {
	var errs []error
	for i, key := range c.MessageKeys {
		if key == "" {
			errs = append(errs, fmt.Errorf("`message_keys[%d]` must not be empty", i))
		}
	}
	if c.DefaultMessage == "" {
		errs = append(errs, errors.New("`default_message` must not be empty, VictoriaLogs would store a text of its own"))
	}
	if c.TimeSource != TimeFromTimestamp && c.TimeSource != TimeFromObservedTimestamp {
		errs = append(errs, fmt.Errorf("`time_source` must be %s or %s, not %q", TimeFromTimestamp, TimeFromObservedTimestamp, string(c.TimeSource)))
	}
	return errors.Join(errs...)
}

func (l LimitsConfig) validate(streamFields int) error {
	var errs []error
	atLeast := func(setting string, value, least int) {
		if value < least {
			errs = append(errs, fmt.Errorf("`limits::%s` must be at least %d, not %d", setting, least, value))
		}
	}
	// The least values leave room for the fields that every row has.
	atLeast("max_line_bytes", l.MaxLineBytes, 1024)
	atLeast("max_fields", l.MaxFields, 16+streamFields)
	atLeast("max_field_name_bytes", l.MaxFieldNameBytes, 32)
	atLeast("max_row_bytes", l.MaxRowBytes, l.MaxLineBytes)
	return errors.Join(errs...)
}
