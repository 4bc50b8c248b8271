package lokiexporter

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/config/configopaque"
)

func TestConfig(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Config)
		want   string // "": valid
	}{
		"valid":                {change: func(*Config) {}},
		"path":                 {change: func(c *Config) { c.Endpoint = "https://gateway/loki" }},
		"zstd":                 {change: func(c *Config) { c.Compression = "zstd" }},
		"no endpoint":          {change: func(c *Config) { c.Endpoint = "" }, want: "`endpoint` must not be empty"},
		"no scheme":            {change: func(c *Config) { c.Endpoint = "loki:3100" }, want: "`endpoint` must begin with http:// or https://"},
		"no host":              {change: func(c *Config) { c.Endpoint = "http://" }, want: "`endpoint` has no host"},
		"password":             {change: func(c *Config) { c.Endpoint = "http://u:hunter2@loki" }, want: "use `auth`"},
		"malformed":            {change: func(c *Config) { c.Endpoint = "http://u:hunter2@lo ki" }, want: "`endpoint` is not a valid URL"},
		"query":                {change: func(c *Config) { c.Endpoint = "http://loki?x=y" }, want: "must not hold a query"},
		"API path":             {change: func(c *Config) { c.Endpoint = "http://loki/otlp" }, want: "without \"/otlp\""},
		"push path":            {change: func(c *Config) { c.Endpoint = "http://loki/loki/api/v1/push" }, want: "base URL of Loki"},
		"snappy":               {change: func(c *Config) { c.Compression = "snappy" }, want: "`compression` must be none, gzip, zstd or lz4"},
		"content type":         {change: func(c *Config) { c.Headers.Set("content-type", configopaque.String("text/plain")) }, want: "`headers` must not set"},
		"no timeout":           {change: func(c *Config) { c.Timeout = 0 }, want: "`timeout` must be positive"},
		"no max_request_bytes": {change: func(c *Config) { c.MaxRequestBytes = 0 }, want: "`max_request_bytes` must be positive"},
		"no concurrency":       {change: func(c *Config) { c.Concurrency = -1 }, want: "`concurrency` must be positive"},
	} {
		t.Run(name, func(t *testing.T) {
			config := testConfig("http://127.0.0.1:3100")
			c.change(config)
			err := config.Validate()
			if c.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, c.want)
			assert.NotContains(t, err.Error(), "hunter2")
		})
	}
}

func TestDefaultsLoseNothing(t *testing.T) {
	config := createDefaultConfig().(*Config)
	assert.True(t, config.RetryConfig.Enabled)
	assert.Zero(t, config.RetryConfig.MaxElapsedTime)
	assert.Nil(t, config.QueueConfig.Get())
	assert.Equal(t, 30*time.Second, config.Timeout)
}
