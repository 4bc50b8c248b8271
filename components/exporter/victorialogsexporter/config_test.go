package victorialogsexporter

import (
	"os"
	"path/filepath"
	"strconv"
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
	assert.Equal(t, LimitsConfig{
		MaxLineBytes: 262144, MaxFields: 1000, MaxFieldNameBytes: 128, MaxStreamBytes: 32000, MaxRowBytes: 2097152,
		MaxDepth: 300, MaxFuture: 2 * 24 * time.Hour, MaxPast: 7 * 24 * time.Hour,
	}, config.Limits)
	assert.Equal(t, ViolationConfig{
		LineBytes: ActionOTLP, RowBytes: ActionReject, FieldCount: ActionStringify, FieldNameBytes: ActionStringify,
		StreamBytes: ActionStringify, Depth: ActionStringify, Future: ActionClamp, Past: ActionClamp, Tenant: ActionReject,
	}, config.OnViolation, "no default loses a byte of a message")
	assert.Equal(t, IdempotencyConfig{
		Enabled: true, Field: "delivery_id", Timeout: 10 * time.Second, VisibilityDelay: 5 * time.Second,
	}, config.Idempotency)
}

func TestFullConfig(t *testing.T) {
	config := loadConfig(t, "victorialogs/full")
	assert.Equal(t, "https://logs.example.com/victoria", config.Endpoint)
	assert.Equal(t, []string{"site_name", "env", "host_name"}, config.StreamFields)
	assert.Equal(t, []string{"log"}, config.MessageKeys)
	assert.Equal(t, TimeFromObservedTimestamp, config.TimeSource)
	assert.Equal(t, TenantConfig{AccountID: 12, ProjectID: 34, FromAttribute: "tenant"}, config.Tenant)
	assert.Equal(t, FieldsConfig{
		Resource:          MappingConfig{Prefix: "resource.", Include: []string{"k8s.*"}, Exclude: []string{"k8s.pod.uid"}, Rename: map[string]string{"k8s.pod.name": "pod"}},
		ObservedTimestamp: "observed",
	}, config.Fields)
	assert.Equal(t, ActionSplit, config.OnViolation.LineBytes)
	assert.Equal(t, ActionReject, config.OnViolation.Past)
	assert.Equal(t, IdempotencyConfig{
		Enabled: true, Field: "batch_id", QueryEndpoint: "https://select.example.com", Timeout: time.Second, VisibilityDelay: 3 * time.Second,
	}, config.Idempotency)
	assert.Equal(t, LimitsConfig{MaxLineBytes: 1 << 20, MaxFields: 2000, MaxFieldNameBytes: 64, MaxStreamBytes: 10000, MaxRowBytes: 2000000,
		MaxDepth: 16, MaxFuture: time.Hour, MaxPast: 90 * 24 * time.Hour}, config.Limits)
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
		"no timeout":        {func(c *Config) { c.Timeout = 0 }, "`timeout` must be over 0s and below 1m0s, not 0s"},
		"timeout too long":  {func(c *Config) { c.Timeout = time.Minute }, "`timeout` must be over 0s and below 1m0s, not 1m0s"},
		"long stream field": {func(c *Config) { c.StreamFields = []string{strings.Repeat("n", 129)} }, "`stream_fields[0]` is over `limits::max_field_name_bytes` (128)"},
		"too many stream fields": {func(c *Config) {
			c.StreamFields = nil
			for i := range 40 {
				c.StreamFields = append(c.StreamFields, strings.Repeat("n", 110)+strconv.Itoa(i))
			}
		}, "`stream_fields` must not have names of more than 4096 bytes together"},
		"stream field is ours": {func(c *Config) { c.StreamFields = []string{"delivery_id"} }, "`stream_fields[0]`: \"delivery_id\" is reserved"},
		"include":              {func(c *Config) { c.Fields.Record.Include = []string{""} }, "`fields::record::include[0]` must not be empty"},
		"exclude":              {func(c *Config) { c.Fields.Body.Exclude = []string{""} }, "`fields::body::exclude[0]`"},
		"rename to nothing":    {func(c *Config) { c.Fields.Scope.Rename = map[string]string{"a": ""} }, "`fields::scope::rename::a` must not be empty"},
		"rename to reserved":   {func(c *Config) { c.Fields.Resource.Rename = map[string]string{"a": "_msg"} }, "`fields::resource::rename::a`: \"_msg\" is reserved"},
		"long rename":          {func(c *Config) { c.Fields.Resource.Rename = map[string]string{"a": strings.Repeat("n", 129)} }, "`fields::resource::rename::a` is over"},
		"long prefix":          {func(c *Config) { c.Fields.Resource.Prefix = strings.Repeat("n", 65) }, "`fields::resource::prefix`"},
		"observed":             {func(c *Config) { c.Fields.ObservedTimestamp = "_time" }, "`fields::observed_timestamp`: \"_time\" is reserved"},
		"line action":          {func(c *Config) { c.OnViolation.LineBytes = "drop" }, "`on_violation::line_bytes` must be one of [otlp truncate split reject], not \"drop\""},
		"row action":           {func(c *Config) { c.OnViolation.RowBytes = ActionOTLP }, "`on_violation::row_bytes`"},
		"count action":         {func(c *Config) { c.OnViolation.FieldCount = ActionTruncate }, "`on_violation::field_count`"},
		"name action":          {func(c *Config) { c.OnViolation.FieldNameBytes = "" }, "`on_violation::field_name_bytes`"},
		"stream action":        {func(c *Config) { c.OnViolation.StreamBytes = ActionSplit }, "`on_violation::stream_bytes`"},
		"depth action":         {func(c *Config) { c.OnViolation.Depth = ActionClamp }, "`on_violation::depth`"},
		"future action":        {func(c *Config) { c.OnViolation.Future = ActionSplit }, "`on_violation::future`"},
		"past action":          {func(c *Config) { c.OnViolation.Past = ActionSplit }, "`on_violation::past`"},
		"tenant action":        {func(c *Config) { c.OnViolation.Tenant = ActionClamp }, "`on_violation::tenant`"},
		"stream limit":         {func(c *Config) { c.Limits.MaxStreamBytes = 1 }, "`limits::max_stream_bytes` must be at least 1024, not 1"},
		"depth limit":          {func(c *Config) { c.Limits.MaxDepth = 0 }, "`limits::max_depth` must be at least 1, not 0"},
		"future limit":         {func(c *Config) { c.Limits.MaxFuture = time.Second }, "`limits::max_future` must be at least 1h, or 0s for no limit, not 1s"},
		"past limit":           {func(c *Config) { c.Limits.MaxPast = -1 }, "`limits::max_past`"},
		"no id field":          {func(c *Config) { c.Idempotency.Field = "" }, "`idempotency::field` must not be empty"},
		"id field":             {func(c *Config) { c.Idempotency.Field = "a=b" }, "`idempotency::field`: \"a=b\""},
		"id field of records":  {func(c *Config) { c.Idempotency.Field = "trace_id" }, "`idempotency::field`: \"trace_id\" is a field of records"},
		"query endpoint":       {func(c *Config) { c.Idempotency.QueryEndpoint = "http://u:secret@host" }, "`idempotency::query_endpoint` must not hold a user name"},
		"query timeout":        {func(c *Config) { c.Idempotency.Timeout = 0 }, "`idempotency::timeout` must be over 0s, not 0s"},
		"visibility":           {func(c *Config) { c.Idempotency.VisibilityDelay = time.Millisecond }, "`idempotency::visibility_delay` must be at least 1s, not 1ms"},
		"extra fields header": {func(c *Config) {
			c.Headers = configopaque.MapList{{Name: "VL-Extra-Fields", Value: "a=b"}}
		}, "use `idempotency::field`"},
		"tenant header": {func(c *Config) {
			c.Headers = configopaque.MapList{{Name: "AccountID", Value: "1"}}
		}, "use `tenant`"},
		"message key":     {func(c *Config) { c.MessageKeys = []string{""} }, "`message_keys[0]` must not be empty"},
		"default message": {func(c *Config) { c.DefaultMessage = "" }, "`default_message` must not be empty"},
		"time source":     {func(c *Config) { c.TimeSource = "clock" }, "`time_source` must be timestamp or observed_timestamp, not \"clock\""},
		"line limit":      {func(c *Config) { c.Limits.MaxLineBytes = 0 }, "`limits::max_line_bytes` must be at least 2048, not 0"},
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
