package liveextension

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/confmap/confmaptest"
)

func TestConfig(t *testing.T) {
	conf, err := confmaptest.LoadConf(filepath.Join("testdata", "config.yaml"))
	require.NoError(t, err)
	load := func(id string) *Config {
		sub, err := conf.Sub(id)
		require.NoError(t, err)
		config := createDefaultConfig().(*Config)
		require.NoError(t, sub.Unmarshal(config))
		require.NoError(t, config.Validate())
		return config
	}
	assert.Equal(t, createDefaultConfig(), load("live"))

	config := load("live/all")
	assert.Equal(t, "0.0.0.0:8080", config.NetAddr.Endpoint)
	assert.Equal(t, []string{"pipeline.example.com"}, config.AllowedHosts)
	assert.Equal(t, 2*time.Second, config.Interval)
	assert.Equal(t, 5*time.Minute, config.History)
	assert.Equal(t, "http://vmselect:8481/select/0/prometheus", config.Agents.url())
	assert.Equal(t, 3*time.Second, config.Agents.Timeout)
	assert.Equal(t, WarnConfig{Lag: time.Minute, Stalled: 30 * time.Second, Missing: 15 * time.Minute, Silent: 10 * time.Minute}, config.Warn)
}

func TestConfigThatCannotWork(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Config)
		err    string
	}{
		"every interface":   {func(c *Config) { c.NetAddr.Endpoint = ":13135" }, "`endpoint` (:13135) is not on loopback"},
		"another machine":   {func(c *Config) { c.NetAddr.Endpoint = "10.0.0.1:13135" }, "set `allow_non_loopback` to true"},
		"a name":            {func(c *Config) { c.NetAddr.Endpoint = "localhost.example.com:13135" }, "is not on loopback"},
		"no port":           {func(c *Config) { c.NetAddr.Endpoint = "127.0.0.1" }, "`endpoint` must be host:port"},
		"a URL as a host":   {func(c *Config) { c.AllowedHosts = []string{"http://x"} }, "`allowed_hosts`: \"http://x\""},
		"interval":          {func(c *Config) { c.Interval = 0 }, "`interval` must be at least 1s"},
		"history too short": {func(c *Config) { c.History = time.Second }, "`history` must be 2 to 1000 times"},
		"history too long":  {func(c *Config) { c.History = 24 * time.Hour }, "`history` must be 2 to 1000 times"},
		"metrics":           {func(c *Config) { c.MetricsEndpoint = "127.0.0.1:8889" }, "`metrics_endpoint` must be a URL"},
		"agents":            {func(c *Config) { c.Agents.Endpoint = "ftp://x" }, "`agents::endpoint` must be a URL"},
		"agents interval":   {func(c *Config) { c.Agents.Endpoint, c.Agents.Interval = "http://x", 0 }, "`agents::interval` must be"},
		"lag":               {func(c *Config) { c.Warn.Lag = 0 }, "`warn::lag` must be more than 0"},
	} {
		t.Run(name, func(t *testing.T) {
			config := createDefaultConfig().(*Config)
			c.change(config)
			require.ErrorContains(t, config.Validate(), c.err)
		})
	}
	config := createDefaultConfig().(*Config)
	config.Agents.Endpoint = "gopher://user:secret@host"
	assert.NotContains(t, config.Validate().Error(), "secret")
}

func TestLoopback(t *testing.T) {
	for host, want := range map[string]bool{
		"127.0.0.1": true, "127.8.9.1": true, "localhost": true, "LocalHost": true, "::1": true, "[::1]": true, "::ffff:127.0.0.1": true,
		"": false, "0.0.0.0": false, "::": false, "10.0.0.1": false, "localhost.evil.example": false, "127.0.0.1.evil.example": false,
	} {
		assert.Equal(t, want, isLoopback(host), host)
	}
}
