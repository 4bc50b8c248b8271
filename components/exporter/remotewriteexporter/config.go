package remotewriteexporter

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/prometheus/otlptranslator"
	"go.opentelemetry.io/collector/config/configcompression"
	"go.opentelemetry.io/collector/config/confighttp"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/config/configretry"
	"go.opentelemetry.io/collector/exporter/exporterhelper"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/translator/prometheus"
)

// Limits of VictoriaMetrics v1.121. It answers 204 to a request with samples over one of them, and drops these.
const (
	defaultMaxLabels          = 40                  // -maxLabelsPerTimeseries; app/vminsert/main.go
	defaultMaxLabelNameBytes  = 256                 // -maxLabelNameLen
	defaultMaxLabelValueBytes = 4 * 1024            // -maxLabelValueLen
	defaultMaxPast            = 31 * 24 * time.Hour // -retentionPeriod: 1 month, of 31 days; app/vmstorage/main.go
	defaultMaxFuture          = 2 * 24 * time.Hour  // a constant; lib/storage/table.go: getMinMaxTimestamps

	defaultMaxRequestBytes = 3_000_000
	// maxRequestBytes is the server's default of -maxInsertRequestSize, 32 MiB.
	maxRequestBytes = 32 * 1024 * 1024

	defaultConcurrency = 2
	maxConcurrency     = 64
)

// DeltaAction is what becomes of data points of delta temporality.
type DeltaAction string

const (
	// DeltaReject returns the data points to the caller with a permanent error.
	DeltaReject DeltaAction = "reject"
	// DeltaGauge sends sums as gauges, each sample the change since the one before. Histograms are rejected.
	DeltaGauge DeltaAction = "gauge"
)

// ExponentialHistogramAction is what becomes of exponential histograms.
type ExponentialHistogramAction string

const (
	// ExponentialHistogramReject returns the data points to the caller with a permanent error.
	ExponentialHistogramReject ExponentialHistogramAction = "reject"
	// ExponentialHistogramNative sends native histograms, which VictoriaMetrics v1.121 drops in silence.
	ExponentialHistogramNative ExponentialHistogramAction = "native"
)

// NaNAction is what becomes of NaN values that are no staleness markers.
type NaNAction string

const (
	// NaNReject returns gauges and sums that are NaN to the caller with a permanent error, and leaves NaN samples of
	// histograms and summaries out.
	NaNReject NaNAction = "reject"
	// NaNSend sends them as they are.
	NaNSend NaNAction = "send"
)

// Config of the remote_write exporter.
type Config struct {
	// ClientConfig holds endpoint, timeout of one attempt, TLS, auth and headers. `endpoint` is the whole URL of the
	// remote write API.
	confighttp.ClientConfig `mapstructure:",squash"`
	// QueueConfig is off unless `sending_queue` is in the configuration: what is refused behind a queue is gone, and
	// a queue in memory goes with the process.
	QueueConfig configoptional.Optional[exporterhelper.QueueBatchConfig] `mapstructure:"sending_queue"`
	// RetryConfig retries without end unless `max_elapsed_time` is set.
	RetryConfig configretry.BackOffConfig `mapstructure:"retry_on_failure"`

	// MaxRequestBytes bounds the body of a request before compression. A data point is never cut in two.
	MaxRequestBytes int `mapstructure:"max_request_bytes"`
	// Concurrency is how many requests of one batch are under way at a time.
	Concurrency int `mapstructure:"concurrency"`

	// Namespace is put before the names of all metrics.
	Namespace string `mapstructure:"namespace"`
	// ExternalLabels are added to all series that have no label of the name.
	ExternalLabels map[string]string `mapstructure:"external_labels"`
	// AddMetricSuffixes puts the unit and the type at the end of names.
	AddMetricSuffixes bool `mapstructure:"add_metric_suffixes"`
	// DisableScopeInfo leaves the labels with name, version and attributes of the scope out.
	DisableScopeInfo bool `mapstructure:"disable_scope_info"`
	// TargetInfo is about the series target_info of each resource.
	TargetInfo TargetInfoConfig `mapstructure:"target_info"`
	// ResourceToTelemetry makes attributes of the resource labels of its series.
	ResourceToTelemetry ResourceToTelemetryConfig `mapstructure:"resource_to_telemetry_conversion"`

	// Delta is what becomes of data points of delta temporality.
	Delta DeltaAction `mapstructure:"delta"`
	// ExponentialHistograms is what becomes of exponential histograms.
	ExponentialHistograms ExponentialHistogramAction `mapstructure:"exponential_histograms"`
	// NaN is what becomes of NaN values that are no staleness markers.
	NaN NaNAction `mapstructure:"nan"`
	// Limits are those of the server.
	Limits LimitsConfig `mapstructure:"limits"`
}

// TargetInfoConfig is about the series target_info.
type TargetInfoConfig struct {
	// Enabled sends the series for each resource with a service.name or service.instance.id.
	Enabled bool `mapstructure:"enabled"`
}

// ResourceToTelemetryConfig makes attributes of the resource labels of its series.
type ResourceToTelemetryConfig struct {
	// Enabled makes every attribute of the resource a label.
	Enabled bool `mapstructure:"enabled"`
	// ExcludeServiceAttributes leaves out service.name, service.namespace and service.instance.id, which are in the
	// labels job and instance.
	ExcludeServiceAttributes bool `mapstructure:"exclude_service_attributes"`
}

// LimitsConfig repeats the limits that the server has, so that no sample meets them unnoticed. 0: not looked at.
type LimitsConfig struct {
	// MaxLabels is the server's -maxLabelsPerTimeseries, the name of the metric included.
	MaxLabels int `mapstructure:"max_labels"`
	// MaxLabelNameBytes is the server's -maxLabelNameLen.
	MaxLabelNameBytes int `mapstructure:"max_label_name_bytes"`
	// MaxLabelValueBytes is the server's -maxLabelValueLen; the name of the metric is such a value, too.
	MaxLabelValueBytes int `mapstructure:"max_label_value_bytes"`
	// MaxPast is the server's -retentionPeriod.
	MaxPast time.Duration `mapstructure:"max_past"`
	// MaxFuture is how far ahead of its clock the server takes samples.
	MaxFuture time.Duration `mapstructure:"max_future"`
}

const compressionSnappy configcompression.Type = configcompression.TypeSnappy

// Validate reports every mistake, each by the name of its setting.
func (c *Config) Validate() error {
	_, err := c.externalLabels()
	return errors.Join(
		validateEndpoint(c.Endpoint),
		c.validateRequests(),
		c.validateHeaders(),
		err,
		oneOf("delta", c.Delta, DeltaReject, DeltaGauge),
		oneOf("exponential_histograms", c.ExponentialHistograms, ExponentialHistogramReject, ExponentialHistogramNative),
		oneOf("nan", c.NaN, NaNReject, NaNSend),
		c.Limits.validate(),
	)
}

func validateEndpoint(endpoint string) error {
	if endpoint == "" {
		return errors.New("`endpoint` must not be empty; give the URL of the remote write API, such as http://127.0.0.1:8428/api/v1/write")
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
	case strings.Trim(u.Path, "/") == "":
		return errors.New("`endpoint` has no path; it is the whole URL, which ends with /api/v1/write on VictoriaMetrics")
	}
	return nil
}

func (c *Config) validateRequests() error {
	var errs []error
	if c.Compression != compressionSnappy {
		errs = append(errs, fmt.Errorf("`compression` must be snappy, not %q: remote write has no other", string(c.Compression)))
	}
	if c.Timeout <= 0 {
		errs = append(errs, fmt.Errorf("`timeout` must be over 0s, not %s", c.Timeout))
	}
	if c.MaxRequestBytes <= 0 || c.MaxRequestBytes > maxRequestBytes {
		errs = append(errs, fmt.Errorf("`max_request_bytes` must be between 1 and %d (-maxInsertRequestSize of the server), not %d",
			maxRequestBytes, c.MaxRequestBytes))
	}
	if c.Concurrency <= 0 || c.Concurrency > maxConcurrency {
		errs = append(errs, fmt.Errorf("`concurrency` must be between 1 and %d, not %d", maxConcurrency, c.Concurrency))
	}
	return errors.Join(errs...)
}

// validateHeaders refuses the headers that say how to read the body.
func (c *Config) validateHeaders() error {
	var errs []error
	for name := range c.Headers.Iter {
		switch strings.ToLower(name) {
		case "content-encoding", "content-type", "transfer-encoding", "x-prometheus-remote-write-version":
			errs = append(errs, fmt.Errorf("`headers` must not set %q, it says how the server reads the body", name))
		}
	}
	return errors.Join(errs...)
}

func oneOf[T ~string](setting string, value T, allowed ...T) error {
	for _, a := range allowed {
		if value == a {
			return nil
		}
	}
	return fmt.Errorf("`%s` must be one of %q, not %q", setting, allowed, value)
}

func (l *LimitsConfig) validate() error {
	var errs []error
	for _, limit := range []struct {
		setting string
		value   int64
	}{
		{"max_labels", int64(l.MaxLabels)},
		{"max_label_name_bytes", int64(l.MaxLabelNameBytes)},
		{"max_label_value_bytes", int64(l.MaxLabelValueBytes)},
		{"max_past", int64(l.MaxPast)},
		{"max_future", int64(l.MaxFuture)},
	} {
		if limit.value < 0 {
			errs = append(errs, fmt.Errorf("`limits::%s` must not be negative", limit.setting))
		}
	}
	if l.MaxPast > 0 && l.MaxPast <= clockMargin {
		errs = append(errs, fmt.Errorf("`limits::max_past` must be 0s or over %s, the margin for clocks that differ", clockMargin))
	}
	if l.MaxFuture > 0 && l.MaxFuture <= clockMargin {
		errs = append(errs, fmt.Errorf("`limits::max_future` must be 0s or over %s, the margin for clocks that differ", clockMargin))
	}
	return errors.Join(errs...)
}

// labelNamer is the one that the translator makes names of labels with.
func (*Config) labelNamer() otlptranslator.LabelNamer {
	return otlptranslator.LabelNamer{UnderscoreLabelSanitization: !prometheus.DropSanitizationGate.IsEnabled()}
}

// externalLabels returns the external labels under the names that they get, as the translator expects them.
func (c *Config) externalLabels() (map[string]string, error) {
	namer := c.labelNamer()
	labels := make(map[string]string, len(c.ExternalLabels))
	for key, value := range c.ExternalLabels {
		name, err := namer.Build(key)
		switch {
		case err != nil:
			return nil, fmt.Errorf("`external_labels`: %w", err)
		case value == "":
			return nil, fmt.Errorf("`external_labels::%s` must not be empty", key)
		}
		if _, taken := labels[name]; taken {
			return nil, fmt.Errorf("`external_labels` has two labels that become %q", name)
		}
		labels[name] = value
	}
	return labels, nil
}
