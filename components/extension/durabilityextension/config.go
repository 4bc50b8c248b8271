package durabilityextension

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/confighttp"
	"go.opentelemetry.io/collector/confmap"
)

// BackendType says how a backend is asked, and how long it keeps what it answered in
// memory.
type BackendType string

// Types of backends.
const (
	VictoriaLogs    BackendType = "victorialogs"
	VictoriaMetrics BackendType = "victoriametrics"
	Loki            BackendType = "loki"
)

// defaultFlushWindow is 15 s for the two that write to memory first, flush it every
// 5 s (-inmemoryDataFlushInterval) and were measured to lose up to 11 s to a SIGKILL.
//
// Loki writes its WAL before it answers, but not always in the order in which a stream
// got its entries: of two requests at the same time with a stream in both, the one that
// came first may be written last, and is then taken for a repetition and dropped when
// the WAL is replayed (v3.7.8, pkg/ingester/instance.go:265 and stream.go:214). What is
// in a checkpoint is safe. One begins every -ingester.checkpoint-duration (5 min) and
// takes up to as long.
var defaultFlushWindow = map[BackendType]time.Duration{
	VictoriaLogs:    15 * time.Second,
	VictoriaMetrics: 15 * time.Second,
	Loki:            10 * time.Minute,
}

const (
	defaultPollInterval = time.Second
	defaultTimeout      = 5 * time.Second
)

// Config of the durability extension.
type Config struct {
	// PollInterval is the time between two polls of a node.
	PollInterval time.Duration `mapstructure:"poll_interval"`
	// Backends by the names that the receiver calls them.
	Backends map[string]BackendConfig `mapstructure:"backends"`
}

// BackendConfig is one backend: a node or all the nodes of a cluster that keep data.
type BackendConfig struct {
	// ClientConfig holds the endpoint of a single node, and timeout, TLS, auth and
	// headers of all nodes. The endpoint is the base URL; /metrics is appended.
	confighttp.ClientConfig `mapstructure:",squash"`
	// Endpoints are the base URLs of the nodes, in place of `endpoint`.
	Endpoints []string `mapstructure:"endpoints"`
	// Type of the backend.
	Type BackendType `mapstructure:"type"`
	// FlushWindow is how long after its answer the backend has the data on disk. The
	// default is that of the type. What the backend says of its flags can raise it.
	FlushWindow time.Duration `mapstructure:"flush_window"`
}

var _ confmap.Unmarshaler = (*BackendConfig)(nil)

// Unmarshal sets the defaults, which a value of a map cannot get otherwise.
func (c *BackendConfig) Unmarshal(conf *confmap.Conf) error {
	*c = BackendConfig{ClientConfig: confighttp.NewDefaultClientConfig()}
	c.Timeout = defaultTimeout
	if err := conf.Unmarshal(c); err != nil {
		return err
	}
	if !conf.IsSet("flush_window") {
		c.FlushWindow = defaultFlushWindow[c.Type]
	}
	return nil
}

func createDefaultConfig() component.Config {
	return &Config{PollInterval: defaultPollInterval}
}

// Validate reports every mistake, each by the name of its setting.
func (c *Config) Validate() error {
	var errs []error
	if c.PollInterval <= 0 {
		errs = append(errs, errors.New("`poll_interval` must be positive"))
	}
	if len(c.Backends) == 0 {
		errs = append(errs, errors.New("`backends` must not be empty; name each backend that is to be watched"))
	}
	for _, name := range slices.Sorted(maps.Keys(c.Backends)) {
		backend := c.Backends[name]
		for _, err := range backend.mistakes() {
			errs = append(errs, fmt.Errorf("`backends::%s`: %w", name, err))
		}
	}
	return errors.Join(errs...)
}

func (c *BackendConfig) mistakes() (errs []error) {
	_, known := defaultFlushWindow[c.Type]
	switch {
	case c.Type == "":
		errs = append(errs, errors.New("`type` must be set: victorialogs, victoriametrics or loki"))
	case !known:
		errs = append(errs, fmt.Errorf("`type` must be victorialogs, victoriametrics or loki, not %q", string(c.Type)))
	case c.FlushWindow < 0:
		errs = append(errs, errors.New("`flush_window` must not be negative"))
	case c.FlushWindow == 0 && c.Type != Loki:
		errs = append(errs, fmt.Errorf("`flush_window` must be positive: %s answers before the data is on disk", c.Type))
	}
	if c.Timeout <= 0 {
		errs = append(errs, errors.New("`timeout` must be positive"))
	}
	switch {
	case c.Endpoint == "" && len(c.Endpoints) == 0:
		errs = append(errs, errors.New("`endpoint` or `endpoints` must be set: the base URL of each node"))
	case c.Endpoint != "" && len(c.Endpoints) > 0:
		errs = append(errs, errors.New("`endpoint` and `endpoints` must not both be set"))
	case c.Endpoint != "":
		if _, err := nodeURL(c.Endpoint); err != nil {
			errs = append(errs, fmt.Errorf("`endpoint` %w", err))
		}
	}
	seen := make(map[string]bool, len(c.Endpoints))
	for i, endpoint := range c.Endpoints {
		u, err := nodeURL(endpoint)
		if err != nil {
			errs = append(errs, fmt.Errorf("`endpoints[%d]` %w", i, err))
			continue
		}
		if seen[u.String()] {
			errs = append(errs, fmt.Errorf("`endpoints[%d]` repeats an endpoint", i))
		}
		seen[u.String()] = true
	}
	return errs
}

// nodes returns the URL of the metrics of each node.
func (c *BackendConfig) nodes() ([]*url.URL, error) {
	endpoints := c.Endpoints
	if c.Endpoint != "" {
		endpoints = []string{c.Endpoint}
	}
	urls := make([]*url.URL, 0, len(endpoints))
	for _, endpoint := range endpoints {
		u, err := nodeURL(endpoint)
		if err != nil {
			return nil, err
		}
		urls = append(urls, u)
	}
	return urls, nil
}

// nodeURL returns the URL of the metrics of a node. Its errors do not repeat the
// endpoint, which may hold a password.
func nodeURL(endpoint string) (*url.URL, error) {
	u, err := url.Parse(endpoint)
	switch {
	case err != nil:
		return nil, errors.New("is not a valid URL")
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, errors.New("must begin with http:// or https://")
	case u.Host == "":
		return nil, errors.New("has no host")
	case u.User != nil:
		return nil, errors.New("must not hold a user name or password; use `auth` with the basicauth extension")
	case u.RawQuery != "" || u.Fragment != "":
		return nil, errors.New("must not hold a query")
	}
	if u.Path == "" {
		u.Path = "/" // else the result has a relative path
	}
	return u.JoinPath("metrics"), nil
}
