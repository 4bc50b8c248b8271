package victorialogsexporter

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/collector/config/configcompression"
)

// Validate reports every mistake, each by the name of its setting.
func (c *Config) Validate() error {
	return errors.Join(
		validateEndpoint("endpoint", c.Endpoint),
		validateCompression(c.Compression),
		c.validateHeaders(),
		c.validateTimeout(),
		c.validateStreamFields(),
		c.validateMapping(),
		c.Limits.validate(len(c.StreamFields)),
		c.OnViolation.validate(),
		c.validateIdempotency(),
	)
}

func validateEndpoint(setting, endpoint string) error {
	if endpoint == "" {
		return fmt.Errorf("`%s` must not be empty; give the base URL of VictoriaLogs, such as http://127.0.0.1:9428", setting)
	}
	u, err := url.Parse(endpoint)
	if err != nil {
		// The parser's message repeats the URL, which may hold a password.
		return fmt.Errorf("`%s` is not a valid URL", setting)
	}
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return fmt.Errorf("`%s` must begin with http:// or https://", setting)
	case u.Host == "":
		return fmt.Errorf("`%s` has no host", setting)
	case u.User != nil:
		return fmt.Errorf("`%s` must not hold a user name or password; use `auth` with the basicauth extension", setting)
	case u.RawQuery != "" || u.Fragment != "":
		return fmt.Errorf("`%s` must not hold a query; use `stream_fields` and the other settings", setting)
	case strings.Contains(u.Path, "/insert"), strings.Contains(u.Path, "/select/logsql"):
		return fmt.Errorf("`%s` is the base URL of VictoriaLogs, without %q", setting, u.Path)
	}
	return nil
}

// validateCompression allows only what VictoriaLogs decodes: it answers 200 to any other encoding and stores nothing.
func validateCompression(compression configcompression.Type) error {
	switch compression {
	case "", compressionNone, configcompression.TypeGzip, configcompression.TypeZstd:
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
	"vl-extra-fields":   "idempotency::field",
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
	if len(c.StreamFields) == 0 {
		return errors.New("`stream_fields` must not be empty; name the fields that tell one log stream from another")
	}
	reserved := reservedNames(c)
	seen := make(map[string]struct{}, len(c.StreamFields))
	headerBytes := 0
	var errs []error
	for i, name := range c.StreamFields {
		switch {
		case name == "":
			errs = append(errs, fmt.Errorf("`stream_fields[%d]` must not be empty", i))
		case isGlob(name):
		case len(name) > c.Limits.MaxFieldNameBytes:
			errs = append(errs, fmt.Errorf("`stream_fields[%d]` is over `limits::max_field_name_bytes` (%d)", i, c.Limits.MaxFieldNameBytes))
		case reserved[name]:
			errs = append(errs, fmt.Errorf("`stream_fields[%d]`: %q is reserved", i, name))
		case !fitsHeaderList(name):
			errs = append(errs, fmt.Errorf("`stream_fields[%d]`: %q must not hold a comma or a control character", i, name))
		}
		if _, dup := seen[name]; dup {
			errs = append(errs, fmt.Errorf("`stream_fields[%d]`: %q is there twice", i, name))
		}
		seen[name] = struct{}{}
		if !isGlob(name) {
			headerBytes += len(name) + 1
		}
	}
	if headerBytes > maxStreamHeaderBytes {
		errs = append(errs, fmt.Errorf("`stream_fields` must not have names of more than %d bytes together, not %d", maxStreamHeaderBytes, headerBytes))
	}
	return errors.Join(errs...)
}

// fitsHeaderList reports whether the name can be an element of a list in a header.
func fitsHeaderList(name string) bool {
	return !strings.ContainsFunc(name, func(r rune) bool { return r == ',' || r < ' ' || r == 0x7f }) &&
		strings.TrimSpace(name) == name
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
	reserved := reservedNames(c)
	if name := c.Fields.ObservedTimestamp; reserved[name] && name != "" {
		errs = append(errs, fmt.Errorf("`fields::observed_timestamp`: %q is reserved", name))
	} else if len(name) > c.Limits.MaxFieldNameBytes {
		errs = append(errs, fmt.Errorf("`fields::observed_timestamp` is over `limits::max_field_name_bytes` (%d)", c.Limits.MaxFieldNameBytes))
	}
	for name, m := range map[string]MappingConfig{
		"record": c.Fields.Record, "body": c.Fields.Body, "scope": c.Fields.Scope, "resource": c.Fields.Resource,
	} {
		errs = append(errs, m.validate("fields::"+name, c.Limits.MaxFieldNameBytes, reserved))
	}
	return errors.Join(errs...)
}

func (m *MappingConfig) validate(setting string, maxNameBytes int, reserved map[string]bool) error {
	var errs []error
	for list, patterns := range map[string][]string{"include": m.Include, "exclude": m.Exclude} {
		for i, pattern := range patterns {
			if pattern == "" {
				errs = append(errs, fmt.Errorf("`%s::%s[%d]` must not be empty", setting, list, i))
			}
		}
	}
	for from, to := range m.Rename {
		switch {
		case to == "":
			errs = append(errs, fmt.Errorf("`%s::rename::%s` must not be empty; use `exclude` to leave the key out", setting, from))
		case reserved[to]:
			errs = append(errs, fmt.Errorf("`%s::rename::%s`: %q is reserved", setting, from, to))
		case len(to) > maxNameBytes:
			errs = append(errs, fmt.Errorf("`%s::rename::%s` is over `limits::max_field_name_bytes` (%d)", setting, from, maxNameBytes))
		}
	}
	if len(m.Prefix) > maxNameBytes/2 {
		errs = append(errs, fmt.Errorf("`%s::prefix` must be at most half of `limits::max_field_name_bytes` (%d)", setting, maxNameBytes))
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
	atLeast("max_line_bytes", l.MaxLineBytes, 2048)
	atLeast("max_fields", l.MaxFields, 16+streamFields)
	atLeast("max_field_name_bytes", l.MaxFieldNameBytes, 32)
	atLeast("max_stream_bytes", l.MaxStreamBytes, 1024)
	atLeast("max_row_bytes", l.MaxRowBytes, l.MaxLineBytes)
	atLeast("max_depth", l.MaxDepth, 1)
	for setting, value := range map[string]time.Duration{"max_future": l.MaxFuture, "max_past": l.MaxPast} {
		if value != 0 && value < time.Hour {
			errs = append(errs, fmt.Errorf("`limits::%s` must be at least 1h, or 0s for no limit, not %s", setting, value))
		}
	}
	return errors.Join(errs...)
}

func (v *ViolationConfig) validate() error {
	var errs []error
	oneOf := func(setting string, value Action, actions ...Action) {
		if !slices.Contains(actions, value) {
			errs = append(errs, fmt.Errorf("`on_violation::%s` must be one of %v, not %q", setting, actions, string(value)))
		}
	}
	oneOf("line_bytes", v.LineBytes, ActionOTLP, ActionTruncate, ActionSplit, ActionReject)
	oneOf("row_bytes", v.RowBytes, ActionTruncate, ActionSplit, ActionReject)
	oneOf("field_count", v.FieldCount, ActionStringify, ActionReject)
	oneOf("field_name_bytes", v.FieldNameBytes, ActionStringify, ActionTruncate, ActionReject)
	oneOf("stream_bytes", v.StreamBytes, ActionStringify, ActionTruncate, ActionReject)
	oneOf("depth", v.Depth, ActionStringify, ActionReject)
	oneOf("future", v.Future, ActionClamp, ActionReject)
	oneOf("past", v.Past, ActionClamp, ActionReject)
	oneOf("tenant", v.Tenant, ActionDefault, ActionReject)
	return errors.Join(errs...)
}

func (c *Config) validateIdempotency() error {
	i := &c.Idempotency
	if !i.Enabled {
		return nil
	}
	var errs []error
	switch {
	case i.Field == "":
		errs = append(errs, errors.New("`idempotency::field` must not be empty; turn it off with `idempotency::enabled: false`"))
	case fixedReservedNames[i.Field], !fitsHeaderList(i.Field), strings.ContainsAny(i.Field, `="`), isGlob(i.Field):
		errs = append(errs, fmt.Errorf("`idempotency::field`: %q cannot be a field that is sent in a header", i.Field))
	case isModelName(i.Field), i.Field == c.Fields.ObservedTimestamp:
		errs = append(errs, fmt.Errorf("`idempotency::field`: %q is a field of records", i.Field))
	case len(i.Field) > c.Limits.MaxFieldNameBytes:
		errs = append(errs, fmt.Errorf("`idempotency::field` is over `limits::max_field_name_bytes` (%d)", c.Limits.MaxFieldNameBytes))
	}
	if i.QueryEndpoint != "" {
		errs = append(errs, validateEndpoint("idempotency::query_endpoint", i.QueryEndpoint))
	}
	if i.Timeout <= 0 {
		errs = append(errs, fmt.Errorf("`idempotency::timeout` must be over 0s, not %s", i.Timeout))
	}
	if i.VisibilityDelay < time.Second {
		errs = append(errs, fmt.Errorf("`idempotency::visibility_delay` must be at least 1s, not %s: VictoriaLogs makes rows visible once a second", i.VisibilityDelay))
	}
	return errors.Join(errs...)
}
