package liveextension

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/confighttp"
)

// Config of the live extension.
type Config struct {
	confighttp.ServerConfig `mapstructure:",squash"`

	// AllowNonLoopback lets the page be served on an address that other machines reach.
	AllowNonLoopback bool `mapstructure:"allow_non_loopback"`
	// AllowedHosts are the names, without a port, by which a browser may ask for the page, besides loopback ones. On an
	// address that is not loopback an empty list allows all.
	AllowedHosts []string `mapstructure:"allowed_hosts"`

	// Interval is the time between two looks at the pipeline, and so the resolution of the curves.
	Interval time.Duration `mapstructure:"interval"`
	// History is how far back the curves go, and for how long something that is over is shown as recent.
	History time.Duration `mapstructure:"history"`
	// MetricsEndpoint is the URL of this process's own metrics. Empty: that of service::telemetry.
	MetricsEndpoint string `mapstructure:"metrics_endpoint"`

	Agents AgentsConfig `mapstructure:"agents"`
	Warn   WarnConfig   `mapstructure:"warn"`
}

// AgentsConfig is where the metrics that agents have sent are asked for: the query API of Prometheus.
type AgentsConfig struct {
	confighttp.ClientConfig `mapstructure:",squash"`

	// QueryEndpoint is the base URL of queries where it is not the endpoint, such as vmselect of a cluster.
	QueryEndpoint string `mapstructure:"query_endpoint"`
	// Interval is the time between two rounds of queries.
	Interval time.Duration `mapstructure:"interval"`
}

// url is the base URL of queries; empty: nobody is asked.
func (c *AgentsConfig) url() string {
	if c.QueryEndpoint != "" {
		return c.QueryEndpoint
	}
	return c.Endpoint
}

// WarnConfig is from when on something is a problem.
type WarnConfig struct {
	Lag     time.Duration `mapstructure:"lag"`     // age of the oldest message that is not read
	Stalled time.Duration `mapstructure:"stalled"` // beyond the settle delay: a partition with something to do commits nothing
	Missing time.Duration `mapstructure:"missing"` // age of a gap in the ledger
	Silent  time.Duration `mapstructure:"silent"`  // since an agent was last heard of
}

const (
	defaultEndpoint = "127.0.0.1:13135"
	minInterval     = time.Second
	// maxPoints bounds the memory of the history: about 1 KB a point and topic.
	maxPoints = 1000
)

func createDefaultConfig() component.Config {
	server := confighttp.NewDefaultServerConfig()
	server.NetAddr.Endpoint = defaultEndpoint
	server.ReadHeaderTimeout = 10 * time.Second
	client := confighttp.NewDefaultClientConfig()
	client.Timeout = 5 * time.Second
	return &Config{
		ServerConfig: server,
		Interval:     5 * time.Second,
		History:      15 * time.Minute,
		Agents:       AgentsConfig{ClientConfig: client, Interval: 15 * time.Second},
		Warn:         WarnConfig{Lag: 5 * time.Minute, Stalled: 2 * time.Minute, Missing: 10 * time.Minute, Silent: 5 * time.Minute},
	}
}

// Validate names the setting that cannot work.
func (c *Config) Validate() error {
	var errs []error
	host, _, err := net.SplitHostPort(c.NetAddr.Endpoint)
	switch {
	case err != nil:
		errs = append(errs, fmt.Errorf("`endpoint` must be host:port: %w", err))
	case !isLoopback(host) && !c.AllowNonLoopback:
		errs = append(errs, fmt.Errorf("`endpoint` (%s) is not on loopback, and whoever reaches it sees the page: set `allow_non_loopback` to true, and `auth` and `tls`",
			c.NetAddr.Endpoint))
	}
	for _, name := range c.AllowedHosts {
		if name == "" || strings.ContainsAny(name, "/ ") {
			errs = append(errs, fmt.Errorf("`allowed_hosts`: %q is not the name of a host", name))
		}
	}
	if c.Interval < minInterval {
		errs = append(errs, fmt.Errorf("`interval` must be at least %s", minInterval))
	} else if c.History < 2*c.Interval || c.History > maxPoints*c.Interval {
		errs = append(errs, fmt.Errorf("`history` must be 2 to %d times `interval`", maxPoints))
	}
	if c.MetricsEndpoint != "" {
		errs = append(errs, validURL("metrics_endpoint", c.MetricsEndpoint))
	}
	if c.Agents.url() != "" {
		errs = append(errs, validURL("agents::endpoint", c.Agents.url()))
		if c.Agents.Interval < minInterval {
			errs = append(errs, fmt.Errorf("`agents::interval` must be at least %s", minInterval))
		}
	}
	for name, limit := range map[string]time.Duration{
		"lag": c.Warn.Lag, "stalled": c.Warn.Stalled, "missing": c.Warn.Missing, "silent": c.Warn.Silent,
	} {
		if limit <= 0 {
			errs = append(errs, fmt.Errorf("`warn::%s` must be more than 0", name))
		}
	}
	return errors.Join(errs...)
}

// validURL does not repeat the URL, which may hold a password.
func validURL(setting, text string) error {
	if u, err := url.Parse(text); err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return fmt.Errorf("`%s` must be a URL with http or https", setting)
	}
	return nil
}

// isLoopback says whether a host, without a port, is this machine alone. A name other than localhost is not resolved: what
// it leads to can change.
func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	address, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && address.Unmap().IsLoopback()
}
