package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/provider/envprovider"
	"go.opentelemetry.io/collector/confmap/provider/fileprovider"
	"go.opentelemetry.io/collector/confmap/provider/yamlprovider"
	"go.uber.org/zap"
	"gopkg.in/yaml.v3"

	"github.com/breakwater-otel/breakwater/components/converter/securityconverter"
	"github.com/breakwater-otel/breakwater/components/provider/secretfileprovider"
	"github.com/breakwater-otel/breakwater/components/receiver/durablekafkareceiver"
)

// providers and converters are those of the distribution: the command reads the configuration as the consumer does. What
// is missing only checks it, which the consumer does at its start.
var (
	providers = []confmap.ProviderFactory{
		secretfileprovider.NewFactory(), envprovider.NewFactory(), fileprovider.NewFactory(), yamlprovider.NewFactory(),
	}
	converters = []confmap.ConverterFactory{securityconverter.NewFactory()}
)

const receiverType = "durable_kafka"

// sources are the receivers of the shipped profile.
var sources = map[string]string{
	"logs":       receiverType + "/logs",
	"metrics":    receiverType + "/metrics",
	"fluent-bit": receiverType + "/fluent_bit",
}

// profile is a consumer's configuration, and what the replay takes of it.
type profile struct {
	// raw is as it is written, with the names of variables and not with what they hold: secrets stay where they are.
	raw map[string]any
	// receiver is the ID of the one that is replayed, config what it is set to.
	receiver string
	config   *durablekafkareceiver.Config
	signal   string
	topic    string
	encoding string
	// pipelines are those that the messages go through.
	pipelines []string
	exporters []exporterLimit
	groups    []string // of all receivers
}

// exporterLimit is an exporter that knows how far its backend looks back.
type exporterLimit struct {
	id      string
	maxPast time.Duration
	// clamps says that what is older gets the time of sending, and does not end as a dead letter.
	clamps bool
}

func loadProfile(ctx context.Context, opts *options) (*profile, error) {
	raw, err := readRaw(opts.configs)
	if err != nil {
		return nil, err
	}
	uris := make([]string, 0, len(opts.configs))
	for _, path := range opts.configs {
		uris = append(uris, "file:"+path)
	}
	resolver, err := confmap.NewResolver(confmap.ResolverSettings{
		URIs: uris, ProviderFactories: providers, ConverterFactories: converters, DefaultScheme: "env",
	})
	if err != nil {
		return nil, err
	}
	defer func() { _ = resolver.Shutdown(ctx) }() // nothing is watched
	resolved, err := resolver.Resolve(ctx)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", strings.Join(opts.configs, ", "), err)
	}
	p := &profile{raw: raw.ToStringMap(), receiver: opts.source}
	if id, ok := sources[opts.source]; ok {
		p.receiver = id
	}
	if err := p.takeReceivers(resolved); err != nil {
		return nil, err
	}
	if err := p.takePipelines(); err != nil {
		return nil, err
	}
	topics := map[string]durablekafkareceiver.TopicEncodingConfig{"logs": p.config.Logs, "metrics": p.config.Metrics, "traces": p.config.Traces}[p.signal]
	if len(topics.Topics) != 1 || strings.HasPrefix(topics.Topics[0], "^") {
		return nil, fmt.Errorf("%s reads %s: a replay is of one topic", p.receiver, strings.Join(topics.Topics, ", "))
	}
	p.topic, p.encoding = topics.Topics[0], topics.Encoding
	return p, p.takeLimits(resolved)
}

// readRaw merges the files as the collector does, with variables as they are written.
func readRaw(paths []string) (*confmap.Conf, error) {
	merged := confmap.New()
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("-config: %w", err)
		}
		var values map[string]any
		if err := yaml.Unmarshal(text, &values); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		if err := merged.Merge(confmap.NewFromStringMap(values)); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	return merged, nil
}

func (p *profile) takeReceivers(resolved *confmap.Conf) error {
	receivers, err := resolved.Sub("receivers")
	if err != nil {
		return err
	}
	var ours []string
	for id := range receivers.ToStringMap() {
		if typeOf(id) != receiverType {
			continue
		}
		ours = append(ours, id)
		sub, err := receivers.Sub(id)
		if err != nil {
			return err
		}
		config := durablekafkareceiver.NewFactory().CreateDefaultConfig().(*durablekafkareceiver.Config)
		if err := sub.Unmarshal(config); err != nil {
			return fmt.Errorf("receiver %s: %w", id, err)
		}
		p.groups = append(p.groups, config.GroupID)
		if id == p.receiver {
			p.config = config
		}
	}
	slices.Sort(ours)
	switch {
	case p.config == nil:
		return fmt.Errorf("-source: the configuration has no receiver %s; it has %s", p.receiver, strings.Join(ours, ", "))
	case p.config.StartAt.Time != "" || p.config.Until.Time != "" || len(p.config.StartAt.Offsets)+len(p.config.Until.Offsets) > 0:
		return fmt.Errorf("receiver %s is a replay itself: it has start_at or until", p.receiver)
	}
	return nil
}

// typeOf returns the type of a component's ID.
func typeOf(id string) string {
	kind, _, _ := strings.Cut(id, "/")
	return kind
}

// child returns the map at the path, or nil.
func child(values map[string]any, path ...string) map[string]any {
	for _, name := range path {
		values, _ = values[name].(map[string]any)
	}
	return values
}

// stringsOf returns a list of the configuration.
func stringsOf(value any) []string {
	items, _ := value.([]any)
	out := make([]string, 0, len(items))
	for _, item := range items {
		if text, ok := item.(string); ok {
			out = append(out, text)
		}
	}
	return out
}

// takePipelines finds the pipelines of the receiver, and those behind their connectors.
func (p *profile) takePipelines() error {
	all := child(p.raw, "service", "pipelines")
	reached := map[string]bool{p.receiver: true}
	taken := make(map[string]bool)
	for grown := true; grown; {
		grown = false
		for id := range all {
			pipeline := child(all, id)
			if taken[id] || !slices.ContainsFunc(stringsOf(pipeline["receivers"]), func(r string) bool { return reached[r] }) {
				continue
			}
			taken[id], grown = true, true
			if slices.Contains(stringsOf(pipeline["receivers"]), p.receiver) {
				if signal := typeOf(id); p.signal == "" || p.signal == signal {
					p.signal = signal
				} else {
					return fmt.Errorf("%s is used for %s and %s: a replay is of one signal", p.receiver, p.signal, signal)
				}
			}
			for _, exporter := range stringsOf(pipeline["exporters"]) {
				if _, connects := child(p.raw, "connectors")[exporter]; connects {
					reached[exporter] = true
				}
			}
		}
	}
	if len(taken) == 0 {
		return fmt.Errorf("no pipeline reads from %s", p.receiver)
	}
	p.pipelines = slices.Sorted(maps.Keys(taken))
	return nil
}

// reachedExporters returns the exporters of the replay's pipelines.
func (p *profile) reachedExporters() []string {
	found := make(map[string]bool)
	for _, id := range p.pipelines {
		for _, exporter := range stringsOf(child(p.raw, "service", "pipelines", id)["exporters"]) {
			if _, is := child(p.raw, "exporters")[exporter]; is {
				found[exporter] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// takeLimits reads how far back the exporters' backends take records.
func (p *profile) takeLimits(resolved *confmap.Conf) error {
	var errs []error
	for _, id := range p.reachedExporters() {
		limits, err := resolved.Sub("exporters::" + id + "::limits")
		if err != nil {
			continue // an exporter without limits
		}
		var taken struct {
			MaxPast time.Duration  `mapstructure:"max_past"`
			Rest    map[string]any `mapstructure:",remain"`
		}
		if err := limits.Unmarshal(&taken); err != nil {
			errs = append(errs, fmt.Errorf("exporter %s: %w", id, err))
			continue
		}
		if taken.MaxPast > 0 {
			clamps := typeOf(id) == "victorialogs" && resolved.Get("exporters::"+id+"::on_violation::past") != "reject"
			p.exporters = append(p.exporters, exporterLimit{id, taken.MaxPast, clamps})
		}
	}
	return errors.Join(errs...)
}

// noHost has no extensions: an authentication that needs one is an error.
type noHost struct{}

func (noHost) GetExtensions() map[component.ID]component.Component { return nil }

// clientOptions are those of the receiver: the command reaches Kafka as the consumer does.
func (p *profile) clientOptions(ctx context.Context) ([]kgo.Opt, error) {
	config := *p.config
	config.ClientID = clientID
	opts, err := config.ClientOptions(ctx, noHost{}, zap.NewNop())
	if err != nil {
		return nil, fmt.Errorf("receiver %s: %w", p.receiver, err)
	}
	return opts, nil
}
