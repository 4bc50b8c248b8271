package remotewriteexporter

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/config/configopaque"
	"go.opentelemetry.io/collector/confmap/confmaptest"
	"go.opentelemetry.io/collector/confmap/xconfmap"
)

func loadConfig(t *testing.T, id string) *Config {
	t.Helper()
	all, err := confmaptest.LoadConf("testdata/config.yaml")
	require.NoError(t, err)
	sub, err := all.Sub(id)
	require.NoError(t, err)
	config := createDefaultConfig().(*Config)
	require.NoError(t, sub.Unmarshal(config))
	require.NoError(t, xconfmap.Validate(config))
	return config
}

func TestConfigDefaults(t *testing.T) {
	config := loadConfig(t, "remote_write")
	assert.Equal(t, 30*time.Second, config.Timeout)
	assert.False(t, config.QueueConfig.HasValue(), "a queue acknowledges what only memory holds")
	assert.True(t, config.RetryConfig.Enabled)
	assert.Zero(t, config.RetryConfig.MaxElapsedTime, "retries end")
	assert.Equal(t, time.Second, config.RetryConfig.InitialInterval)
	assert.Equal(t, 30*time.Second, config.RetryConfig.MaxInterval)
	assert.Equal(t, LimitsConfig{
		MaxLabels: 40, MaxLabelNameBytes: 256, MaxLabelValueBytes: 4096, MaxPast: 744 * time.Hour, MaxFuture: 48 * time.Hour,
	}, config.Limits)
	assert.Equal(t, 3_000_000, config.MaxRequestBytes)
	assert.Equal(t, 2, config.Concurrency)
	assert.True(t, config.ResourceToTelemetry.Enabled)
	assert.True(t, config.AddMetricSuffixes)
	assert.True(t, config.DisableScopeInfo)
	assert.False(t, config.TargetInfo.Enabled)
}

func TestConfigAll(t *testing.T) {
	config := loadConfig(t, "remote_write/all")
	assert.True(t, config.QueueConfig.HasValue())
	assert.Equal(t, 10*time.Second, config.Timeout)
	assert.Equal(t, 1_000_000, config.MaxRequestBytes)
	assert.Equal(t, 5, config.Concurrency)
	assert.Equal(t, "edge", config.Namespace)
	assert.Equal(t, map[string]string{"region": "eu"}, config.ExternalLabels)
	assert.False(t, config.AddMetricSuffixes)
	assert.False(t, config.DisableScopeInfo)
	assert.True(t, config.TargetInfo.Enabled)
	assert.Equal(t, ResourceToTelemetryConfig{Enabled: true, ExcludeServiceAttributes: true}, config.ResourceToTelemetry)
	assert.Equal(t, DeltaGauge, config.Delta)
	assert.Equal(t, ExponentialHistogramNative, config.ExponentialHistograms)
	assert.Equal(t, NaNSend, config.NaN)
	assert.Equal(t, LimitsConfig{
		MaxLabels: 60, MaxLabelNameBytes: 512, MaxLabelValueBytes: 8192, MaxPast: 8760 * time.Hour, MaxFuture: time.Hour,
	}, config.Limits)
}

func TestConfigErrorsNameTheSetting(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"no endpoint":           {func(c *Config) { c.Endpoint = "" }, "`endpoint` must not be empty"},
		"endpoint is no URL":    {func(c *Config) { c.Endpoint = "http://[" }, "`endpoint` is not a valid URL"},
		"scheme":                {func(c *Config) { c.Endpoint = "ftp://a/b" }, "`endpoint` must begin with http"},
		"host":                  {func(c *Config) { c.Endpoint = "http:///api/v1/write" }, "`endpoint` has no host"},
		"password":              {func(c *Config) { c.Endpoint = "http://u:secret@a/b" }, "`endpoint` must not hold a user name"},
		"base URL":              {func(c *Config) { c.Endpoint = "http://127.0.0.1:8428/" }, "`endpoint` has no path"},
		"compression":           {func(c *Config) { c.Compression = "zstd" }, "`compression` must be snappy"},
		"timeout":               {func(c *Config) { c.Timeout = 0 }, "`timeout` must be over 0s"},
		"request size":          {func(c *Config) { c.MaxRequestBytes = 0 }, "`max_request_bytes` must be between"},
		"request size over":     {func(c *Config) { c.MaxRequestBytes = 1 << 30 }, "`max_request_bytes` must be between"},
		"concurrency":           {func(c *Config) { c.Concurrency = 0 }, "`concurrency` must be between"},
		"concurrency over":      {func(c *Config) { c.Concurrency = 65 }, "`concurrency` must be between"},
		"headers":               {func(c *Config) { c.Headers.Set("Content-Encoding", configopaque.String("gzip")) }, "`headers` must not set \"Content-Encoding\""},
		"external label name":   {func(c *Config) { c.ExternalLabels = map[string]string{"": "x"} }, "`external_labels`"},
		"external label value":  {func(c *Config) { c.ExternalLabels = map[string]string{"a": ""} }, "`external_labels::a` must not be empty"},
		"external labels clash": {func(c *Config) { c.ExternalLabels = map[string]string{"a.b": "x", "a_b": "y"} }, "`external_labels` has two"},
		"delta":                 {func(c *Config) { c.Delta = "drop" }, "`delta` must be one of"},
		"exponential":           {func(c *Config) { c.ExponentialHistograms = "" }, "`exponential_histograms` must be one of"},
		"nan":                   {func(c *Config) { c.NaN = "drop" }, "`nan` must be one of"},
		"labels":                {func(c *Config) { c.Limits.MaxLabels = -1 }, "`limits::max_labels` must not be negative"},
		"label name":            {func(c *Config) { c.Limits.MaxLabelNameBytes = -1 }, "`limits::max_label_name_bytes` must not be negative"},
		"label value":           {func(c *Config) { c.Limits.MaxLabelValueBytes = -1 }, "`limits::max_label_value_bytes` must not be negative"},
		"past":                  {func(c *Config) { c.Limits.MaxPast = -1 }, "`limits::max_past` must not be negative"},
		"past too short":        {func(c *Config) { c.Limits.MaxPast = time.Minute }, "`limits::max_past` must be 0s or over"},
		"future too short":      {func(c *Config) { c.Limits.MaxFuture = time.Second }, "`limits::max_future` must be 0s or over"},
	} {
		t.Run(name, func(t *testing.T) {
			config := createDefaultConfig().(*Config)
			config.Endpoint = "http://127.0.0.1:8428/api/v1/write"
			require.NoError(t, config.Validate())
			test.change(config)
			err := config.Validate()
			require.ErrorContains(t, err, test.want)
			assert.NotContains(t, err.Error(), "secret")
		})
	}
}
