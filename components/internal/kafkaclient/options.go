// Package kafkaclient makes franz-go client options of the Kafka client configuration
// that the upstream kafka components have.
package kafkaclient

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kversion"
	"github.com/twmb/franz-go/plugin/kzap"
	"go.opentelemetry.io/collector/component"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/kafka/configkafka"
)

const (
	defaultMetadataMinAge = 5 * time.Second
	// maxRepeatedLogs is how often a line of the client is logged in a minute.
	maxRepeatedLogs = 5
)

// Options returns the options of any client: brokers, identity, TLS, authentication,
// metadata and protocol version. Those of a consumer or producer are the caller's.
func Options(ctx context.Context, host component.Host, cfg configkafka.ClientConfig, logger *zap.Logger) ([]kgo.Opt, error) {
	// The client tells of every rebalance at info, and of each attempt to reach a broker
	// that is down at warn.
	franz := logger.Named("franz").WithOptions(zap.IncreaseLevel(franzLevel(logger)), zap.WrapCore(func(core zapcore.Core) zapcore.Core {
		return zapcore.NewSamplerWithOptions(core, time.Minute, maxRepeatedLogs, 0)
	}))
	opts := []kgo.Opt{
		kgo.WithLogger(kzap.New(franz)),
		kgo.WithHooks(newTrouble(logger)),
		kgo.SeedBrokers(cfg.Brokers...),
		// Some brokers offer to take client metrics and then refuse them.
		kgo.DisableClientMetrics(),
	}
	if cfg.ResolveCanonicalBootstrapServersOnly {
		logger.Warn("`resolve_canonical_bootstrap_servers_only` has no effect; list the canonical names in `brokers`")
	}
	if cfg.ClientID != "" {
		opts = append(opts, kgo.ClientID(cfg.ClientID))
	}
	if cfg.RackID != "" {
		opts = append(opts, kgo.Rack(cfg.RackID))
	}
	if interval := cfg.Metadata.RefreshInterval; interval > 0 {
		// The client refuses an interval below the least age of metadata, 5 s by default.
		opts = append(opts, kgo.MetadataMaxAge(interval), kgo.MetadataMinAge(min(interval, defaultMetadataMinAge)))
	}
	if cfg.ConnIdleTimeout > 0 {
		opts = append(opts, kgo.ConnIdleTimeout(cfg.ConnIdleTimeout))
	}
	if cfg.ProtocolVersion != "" {
		versions := kversion.FromString(cfg.ProtocolVersion)
		if versions == nil {
			return nil, fmt.Errorf("`protocol_version` %q is not known", cfg.ProtocolVersion)
		}
		opts = append(opts, kgo.MinVersions(versions), kgo.MaxVersions(versions))
	}
	secure, err := tlsOptions(ctx, cfg)
	if err != nil {
		return nil, err
	}
	auth, err := authOptions(host, cfg.Authentication)
	if err != nil {
		return nil, err
	}
	opts = append(opts, secure...)
	return append(opts, auth...), nil
}

func franzLevel(logger *zap.Logger) zapcore.Level {
	if logger.Core().Enabled(zap.DebugLevel) {
		return zap.DebugLevel
	}
	return zap.WarnLevel
}

func tlsOptions(ctx context.Context, cfg configkafka.ClientConfig) ([]kgo.Opt, error) {
	// `auth::tls` is the deprecated place upstream.
	settings := cfg.TLS
	if settings == nil {
		settings = cfg.Authentication.TLS
	}
	if settings == nil {
		if sasl := cfg.Authentication.SASL; sasl != nil && sasl.Mechanism == mechanismAWSMSK {
			return nil, errors.New("`tls` must be set for `auth::sasl::mechanism` " + mechanismAWSMSK + ": the token must not travel in the clear")
		}
		return nil, nil
	}
	config, err := settings.LoadTLSConfig(ctx)
	if err != nil {
		return nil, fmt.Errorf("`tls`: %w", err)
	}
	if config == nil { // insecure: true
		return nil, nil
	}
	return []kgo.Opt{kgo.DialTLSConfig(config)}, nil
}
