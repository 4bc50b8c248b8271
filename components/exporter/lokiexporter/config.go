package lokiexporter

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

// compressionNone is the default: beside the server, compression costs more CPU than the network it saves is worth.
const compressionNone = configcompression.Type("none")

const (
	// defaultMaxRequestBytes is well below what Loki's own parts send each other by default
	// (server.grpc_server_max_recv_msg_size, 4 MiB), which a request is translated into, and below its burst
	// (limits_config.ingestion_burst_size_mb, 6 MB), over which it answers 429 for ever.
	defaultMaxRequestBytes = 2 * 1024 * 1024
	defaultConcurrency     = 4
)

// Config of the loki exporter.
type Config struct {
	// ClientConfig holds endpoint, timeout, TLS, auth, compression and headers. `endpoint` is the base URL of Loki; the
	// API path is appended to it.
	confighttp.ClientConfig `mapstructure:",squash"`
	// QueueConfig is off unless `sending_queue` is in the configuration: without it the caller waits for the answer of
	// Loki, so that nothing is acknowledged that only memory holds.
	QueueConfig configoptional.Optional[exporterhelper.QueueBatchConfig] `mapstructure:"sending_queue"`
	// RetryConfig retries without end unless `max_elapsed_time` is set.
	RetryConfig configretry.BackOffConfig `mapstructure:"retry_on_failure"`
	// MaxRequestBytes is about how many bytes Loki makes of the records of a request, attributes of their resource and
	// scope included with each. A single record may have more.
	MaxRequestBytes int `mapstructure:"max_request_bytes"`
	// Concurrency is how many requests are under way for one call.
	Concurrency int `mapstructure:"concurrency"`
	// Idempotency is how a record is kept from being stored twice.
	Idempotency IdempotencyConfig `mapstructure:"idempotency"`
}

// Validate reports every mistake, each by the name of its setting.
func (c *Config) Validate() error {
	errs := []error{validateEndpoint("endpoint", c.Endpoint), validateCompression(c.Compression), c.Idempotency.validate()}
	for name := range c.Headers.Iter {
		switch strings.ToLower(name) {
		case "content-type", "content-encoding", "transfer-encoding":
			errs = append(errs, fmt.Errorf("`headers` must not set %q, it says how the request is to be read", name))
		}
	}
	if c.Timeout <= 0 {
		errs = append(errs, errors.New("`timeout` must be positive: a server that never answers would hold its request for ever"))
	}
	if c.MaxRequestBytes <= 0 {
		errs = append(errs, errors.New("`max_request_bytes` must be positive"))
	}
	if c.Concurrency <= 0 {
		errs = append(errs, errors.New("`concurrency` must be positive"))
	}
	return errors.Join(errs...)
}

func validateEndpoint(setting, endpoint string) error {
	if endpoint == "" {
		return fmt.Errorf("`%s` must not be empty; give the base URL of Loki, such as http://127.0.0.1:3100", setting)
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
		return fmt.Errorf("`%s` must not hold a query", setting)
	case strings.HasSuffix(strings.TrimRight(u.Path, "/"), "/otlp"), strings.Contains(u.Path, "/otlp/v1"), strings.Contains(u.Path, "/loki/api"):
		return fmt.Errorf("`%s` is the base URL of Loki, without %q", setting, u.Path)
	}
	return nil
}

// validateCompression allows what Loki decodes (pkg/loghttp/push/otlp.go: extractLogs).
func validateCompression(compression configcompression.Type) error {
	switch compression {
	case "", compressionNone, configcompression.TypeGzip, configcompression.TypeZstd, configcompression.TypeLz4:
		return nil
	default:
		return fmt.Errorf("`compression` must be none, gzip, zstd or lz4, not %q", string(compression))
	}
}

// IdempotencyConfig is about asking Loki what it has of a request that may have been delivered before.
type IdempotencyConfig struct {
	// Enabled asks what Loki has before a record is sent again.
	Enabled bool `mapstructure:"enabled"`
	// Labels are the attributes of the resource that Loki has as labels of the stream (limits_config.otlp_config). Those
	// that are there name the stream to ask for.
	Labels []string `mapstructure:"labels"`
	// QueryEndpoint is the base URL that answers queries. Empty: `endpoint`.
	QueryEndpoint string `mapstructure:"query_endpoint"`
	// Timeout is that of a query.
	Timeout time.Duration `mapstructure:"timeout"`
}

func (c *IdempotencyConfig) validate() error {
	if !c.Enabled {
		return nil
	}
	var errs []error
	if len(c.Labels) == 0 {
		errs = append(errs, errors.New("`idempotency::labels` must not be empty; name the attributes that Loki has as labels, or set `idempotency::enabled` to false"))
	}
	if c.QueryEndpoint != "" {
		errs = append(errs, validateEndpoint("idempotency::query_endpoint", c.QueryEndpoint))
	}
	if c.Timeout <= 0 {
		errs = append(errs, errors.New("`idempotency::timeout` must be positive"))
	}
	return errors.Join(errs...)
}
