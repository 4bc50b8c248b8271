package preflightconverter

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/otelcol"

	"github.com/breakwater-otel/breakwater/components/internal/lossless"
)

// losslessType is the type of the extension whose findings `validate` shows.
const losslessType = "lossless"

// Factories makes the components of a binary.
type Factories func() (otelcol.Factories, error)

var validated Factories

// Validate tells the converter that the configuration is validated and not run. No extension is started then, so the
// converter does what the lossless extension does at a start, with the defaults of the components of the binary.
func Validate(factories Factories) { validated = factories }

// checkLossless returns what is enforced of the findings, and prints the others: `validate` has no log.
func checkLossless(ctx context.Context, conf *confmap.Conf, factories Factories, out io.Writer) error {
	ids, _ := conf.Get("service::extensions").([]any)
	var errs []error
	for _, id := range ids {
		if kind, _, _ := strings.Cut(fmt.Sprint(id), "/"); kind != losslessType {
			continue
		}
		whole, err := effective(ctx, conf, factories)
		if err != nil {
			return nil //nolint:nilerr // it is no configuration yet, and the Collector says what is wrong with it
		}
		errs = append(errs, judge(whole, fmt.Sprint(id), out))
	}
	return errors.Join(errs...)
}

func judge(whole *confmap.Conf, id string, out io.Writer) error {
	section, err := whole.Sub("extensions::" + id)
	if err != nil {
		return err
	}
	config := lossless.DefaultConfig()
	if err := section.Unmarshal(&config); err != nil {
		return err
	}
	if config.Validate() != nil {
		return nil //nolint:nilerr // the Collector says so
	}
	found := config.Check(whole)
	for _, f := range found.Warned {
		if _, err := fmt.Fprintf(out, "warning: data can be lost: %s\n", f); err != nil {
			return err
		}
	}
	return found.Err()
}

// effective returns the configuration with the defaults of all components, as an extension gets it at a start.
func effective(ctx context.Context, conf *confmap.Conf, factories Factories) (*confmap.Conf, error) {
	all, err := factories()
	if err != nil {
		return nil, err
	}
	provider, err := otelcol.NewConfigProvider(otelcol.ConfigProviderSettings{ResolverSettings: confmap.ResolverSettings{
		URIs:              []string{resolvedScheme + ":"},
		ProviderFactories: []confmap.ProviderFactory{resolved(conf)},
	}})
	if err != nil {
		return nil, err
	}
	config, err := provider.Get(ctx, all)
	if err != nil {
		return nil, err
	}
	whole := confmap.New()
	return whole, whole.Marshal(config)
}

const resolvedScheme = "resolved"

// resolvedProvider gives a configuration whose variables have been expanded.
type resolvedProvider struct{ conf *confmap.Conf }

func resolved(conf *confmap.Conf) confmap.ProviderFactory {
	return confmap.NewProviderFactory(func(confmap.ProviderSettings) confmap.Provider { return resolvedProvider{conf} })
}

func (p resolvedProvider) Retrieve(context.Context, string, confmap.WatcherFunc) (*confmap.Retrieved, error) {
	return confmap.NewRetrieved(escaped(p.conf.ToStringMap()))
}

func (resolvedProvider) Scheme() string { return resolvedScheme }

func (resolvedProvider) Shutdown(context.Context) error { return nil }

// escaped doubles the dollars that are left, which would be expanded again.
func escaped(value any) any {
	switch v := value.(type) {
	case string:
		return strings.ReplaceAll(v, "$", "$$")
	case []any:
		all := make([]any, len(v))
		for i := range v {
			all[i] = escaped(v[i])
		}
		return all
	case map[string]any:
		all := make(map[string]any, len(v))
		for key := range v {
			all[key] = escaped(v[key])
		}
		return all
	}
	return value
}

// stderr is where `validate` shows warnings.
var stderr io.Writer = os.Stderr
