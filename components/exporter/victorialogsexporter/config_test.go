package victorialogsexporter

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/config/configopaque"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/confmaptest"
	"go.opentelemetry.io/collector/confmap/xconfmap"
	"go.opentelemetry.io/collector/exporter/exporterhelper"
)

func loadConfig(t *testing.T, name string) *Config {
	conf, err := confmaptest.LoadConf(filepath.Join("testdata", "config.yaml"))
	require.NoError(t, err)
	sub, err := conf.Sub(name)
	require.NoError(t, err)
	config := createDefaultConfig().(*Config)
	require.NoError(t, sub.Unmarshal(config))
	require.NoError(t, xconfmap.Validate(config))
	return config
}

func TestDefaults(t *testing.T) {
	config := loadConfig(t, "victorialogs")
	assert.False(t, config.QueueConfig.HasValue(), "no queue: nothing is acknowledged that only memory holds")
	assert.True(t, config.RetryConfig.Enabled)
	assert.Zero(t, config.RetryConfig.MaxElapsedTime, "retried without end")
	assert.False(t, config.Compression.IsCompressed())
	assert.Less(t, config.Timeout, time.Minute, "below the server's -insert.maxQueueDuration")
	assert.Equal(t, TimeFromTimestamp, config.TimeSource)
	assert.Equal(t, LimitsConfig{MaxLineBytes: 262144, MaxFields: 1000, MaxFieldNameBytes: 128, MaxRowBytes: 2097152}, config.Limits)
}

func TestFullConfig(t *testing.T) {
	config := loadConfig(t, "victorialogs/full")
	assert.Equal(t, "https://logs.example.com/victoria", config.Endpoint)
	assert.Equal(t, []string{"site_name", "env", "host_name"}, config.StreamFields)
	assert.Equal(t, []string{"log"}, config.MessageKeys)
	assert.Equal(t, TimeFromObservedTimestamp, config.TimeSource)
	assert.Equal(t, TenantConfig{AccountID: 12, ProjectID: 34}, config.Tenant)
	assert.Equal(t, LimitsConfig{MaxLineBytes: 1 << 20, MaxFields: 2000, MaxFieldNameBytes: 64, MaxRowBytes: 2000000}, config.Limits)
	require.True(t, config.QueueConfig.HasValue())
	assert.Equal(t, exporterhelper.RequestSizerTypeBytes, config.QueueConfig.Get().Sizer)
}

func TestValidate(t *testing.T) {
	tests := map[string]struct {
		change func(*Config)
		want   string
	}{
		"no endpoint":        {func(c *Config) { c.Endpoint = "" }, "`endpoint` must not be empty"},
		"no scheme":          {func(c *Config) { c.Endpoint = "127.0.0.1:9428" }, "`endpoint`"},
		"other scheme":       {func(c *Config) { c.Endpoint = "ftp://host" }, "`endpoint` must begin with http:// or https://"},
		"no host":            {func(c *Config) { c.Endpoint = "http://" }, "`endpoint` has no host"},
		"credentials":        {func(c *Config) { c.Endpoint = "http://u:secret@host" }, "`endpoint` must not hold a user name"},
		"query":              {func(c *Config) { c.Endpoint = "http://host?_stream_fields=a" }, "`endpoint` must not hold a query"},
		"api path":           {func(c *Config) { c.Endpoint = "http://host/insert/jsonline" }, "`endpoint` is the base URL"},
		"unreadable":         {func(c *Config) { c.Endpoint = "http://u:secret@[" }, "`endpoint` is not a valid URL"},
		"no stream fields":   {func(c *Config) { c.StreamFields = nil }, "`stream_fields` must not be empty"},
		"empty stream field": {func(c *Config) { c.StreamFields = []string{"a", ""} }, "`stream_fields[1]` must not be empty"},
		"comma":              {func(c *Config) { c.StreamFields = []string{"a,b"} }, "`stream_fields[0]`: \"a,b\" must not hold a comma"},
		"line break":         {func(c *Config) { c.StreamFields = []string{"a\nb"} }, "`stream_fields[0]`"},
		"twice":              {func(c *Config) { c.StreamFields = []string{"a", "a"} }, "`stream_fields[1]`: \"a\" is there twice"},
		"reserved":           {func(c *Config) { c.StreamFields = []string{"_time"} }, "`stream_fields[0]`: \"_time\" is reserved"},
		"compression":        {func(c *Config) { c.Compression = "snappy" }, "`compression` must be none, gzip or zstd"},
		"content type": {func(c *Config) {
			c.Headers = configopaque.MapList{{Name: "content-Type", Value: "secret"}}
		}, "`headers` must not set \"content-Type\""},
		"another VictoriaLogs header": {func(c *Config) {
			c.Headers = configopaque.MapList{{Name: "VL-Debug", Value: "1"}}
		}, "`headers` must not set \"VL-Debug\""},
		"no timeout":             {func(c *Config) { c.Timeout = 0 }, "`timeout` must be over 0s and below 1m0s, not 0s"},
		"timeout too long":       {func(c *Config) { c.Timeout = time.Minute }, "`timeout` must be over 0s and below 1m0s, not 1m0s"},
		"long stream field":      {func(c *Config) { c.StreamFields = []string{strings.Repeat("n", 129)} }, "`stream_fields[0]` is over `limits::max_field_name_bytes` (128)"},
		"too many stream fields": {func(c *Config) { c.StreamFields = make([]string, 33) }, "`stream_fields` must not be more than 32, not 33"},
		"tenant header": {func(c *Config) {
			c.Headers = configopaque.MapList{{Name: "AccountID", Value: "1"}}
		}, "use `tenant`"},
		"message key":     {func(c *Config) { c.MessageKeys = []string{""} }, "`message_keys[0]` must not be empty"},
		"default message": {func(c *Config) { c.DefaultMessage = "" }, "`default_message` must not be empty"},
		"time source":     {func(c *Config) { c.TimeSource = "clock" }, "`time_source` must be timestamp or observed_timestamp, not \"clock\""},
		"line limit":      {func(c *Config) { c.Limits.MaxLineBytes = 0 }, "`limits::max_line_bytes` must be at least 1024, not 0"},
		"field limit":     {func(c *Config) { c.Limits.MaxFields = 1 }, "`limits::max_fields` must be at least 18, not 1"},
		"name limit":      {func(c *Config) { c.Limits.MaxFieldNameBytes = 1 }, "`limits::max_field_name_bytes`"},
		"row limit":       {func(c *Config) { c.Limits.MaxRowBytes = 1 }, "`limits::max_row_bytes`"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			config := testConfig()
			test.change(config)
			err := xconfmap.Validate(config)
			require.ErrorContains(t, err, test.want)
			assert.NotContains(t, err.Error(), "secret")
		})
	}
	assert.NoError(t, xconfmap.Validate(testConfig()))
	assert.ErrorContains(t, xconfmap.Validate(createDefaultConfig()), "`endpoint`")
}

// TestREADMEExample holds that what the README shows is a configuration.
func TestREADMEExample(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	_, after, found := strings.Cut(string(readme), "```yaml\n")
	require.True(t, found)
	example, _, found := strings.Cut(after, "```")
	require.True(t, found)
	retrieved, err := confmap.NewRetrievedFromYAML([]byte(example))
	require.NoError(t, err)
	conf, err := retrieved.AsConf()
	require.NoError(t, err)
	sub, err := conf.Sub("exporters::victorialogs")
	require.NoError(t, err)
	config := createDefaultConfig().(*Config)
	require.NoError(t, sub.Unmarshal(config))
	assert.NoError(t, xconfmap.Validate(config))
}
