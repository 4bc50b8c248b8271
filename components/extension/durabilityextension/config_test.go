package durabilityextension

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/confmaptest"
	"go.opentelemetry.io/collector/confmap/xconfmap"
)

func TestLoadConfig(t *testing.T) {
	conf, err := confmaptest.LoadConf(filepath.Join("testdata", "config.yaml"))
	require.NoError(t, err)
	load := func(id string) *Config {
		sub, err := conf.Sub(id)
		require.NoError(t, err)
		cfg := createDefaultConfig().(*Config)
		require.NoError(t, sub.Unmarshal(cfg))
		require.NoError(t, xconfmap.Validate(cfg))
		return cfg
	}

	cfg := load("durability")
	assert.Equal(t, time.Second, cfg.PollInterval)
	logs := cfg.Backends["victorialogs"]
	assert.Equal(t, VictoriaLogs, logs.Type)
	assert.Equal(t, 15*time.Second, logs.FlushWindow)
	assert.Equal(t, 5*time.Second, logs.Timeout)
	assert.Equal(t, "http://127.0.0.1:9428", logs.Endpoint)
	metrics := cfg.Backends["victoriametrics"]
	assert.Equal(t, 30*time.Second, metrics.FlushWindow)
	assert.Equal(t, 2*time.Second, metrics.Timeout)
	assert.True(t, metrics.Auth.HasValue())
	urls, err := metrics.nodes()
	require.NoError(t, err)
	require.Len(t, urls, 2)
	assert.Equal(t, "https://vmstorage-1:8482/prefix/metrics", urls[1].String())
	assert.Equal(t, 10*time.Minute, cfg.Backends["loki"].FlushWindow)

	cfg = load("durability/all")
	assert.Equal(t, 250*time.Millisecond, cfg.PollInterval)
	assert.Equal(t, 5*time.Second, cfg.Backends["loki"].FlushWindow)
}

func TestInvalidConfig(t *testing.T) {
	backend := func(settings map[string]any) map[string]any {
		b := map[string]any{"type": "victorialogs", "endpoint": "http://127.0.0.1:9428"}
		for k, v := range settings {
			if v == nil {
				delete(b, k)
				continue
			}
			b[k] = v
		}
		return map[string]any{"backends": map[string]any{"logs": b}}
	}
	for name, c := range map[string]struct {
		settings map[string]any
		want     string
	}{
		"no backends":          {map[string]any{}, "`backends` must not be empty"},
		"poll interval":        {map[string]any{"poll_interval": "0s"}, "`poll_interval` must be positive"},
		"no type":              {backend(map[string]any{"type": nil}), "`backends::logs`: `type` must be set"},
		"type":                 {backend(map[string]any{"type": "elastic"}), "`type` must be victorialogs, victoriametrics or loki, not \"elastic\""},
		"negative window":      {backend(map[string]any{"flush_window": "-1s"}), "`flush_window` must not be negative"},
		"no window":            {backend(map[string]any{"flush_window": "0s"}), "`flush_window` must be positive"},
		"timeout":              {backend(map[string]any{"timeout": "0s"}), "`timeout` must be positive"},
		"no endpoint":          {backend(map[string]any{"endpoint": nil}), "`endpoint` or `endpoints` must be set"},
		"two kinds":            {backend(map[string]any{"endpoints": []any{"http://a"}}), "must not both be set"},
		"repeated":             {backend(map[string]any{"endpoint": nil, "endpoints": []any{"http://a", "http://a/"}}), "`endpoints[1]` repeats"},
		"scheme":               {backend(map[string]any{"endpoint": "127.0.0.1:9428"}), "`endpoint`"},
		"other scheme":         {backend(map[string]any{"endpoint": "ftp://a"}), "must begin with http:// or https://"},
		"no host":              {backend(map[string]any{"endpoint": "http:///x"}), "has no host"},
		"query":                {backend(map[string]any{"endpoint": "http://a?x=y"}), "must not hold a query"},
		"credentials":          {backend(map[string]any{"endpoint": "http://user:secret@a"}), "must not hold a user name or password"},
		"broken URL with them": {backend(map[string]any{"endpoint": "http://user:secret@a:b:c"}), "is not a valid URL"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := createDefaultConfig().(*Config)
			require.NoError(t, confmap.NewFromStringMap(c.settings).Unmarshal(cfg))
			err := xconfmap.Validate(cfg)
			require.ErrorContains(t, err, c.want)
			assert.NotContains(t, err.Error(), "secret")
		})
	}
}
