// Package securityconverter gives the settings of a `security` section to every component that speaks to the party they
// are for, and switches on the extensions that components name in `auth::authenticator`.
//
// A profile has several clients of Kafka and several of a backend, and which ones differs from profile to profile. A file
// that lists them would be of use with one profile only, and would leave out, in silence, what a profile has more. And a
// list that two files have is not merged, the second one replaces it, so that a file could not add to
// `service::extensions`.
package securityconverter // import "github.com/breakwater-otel/breakwater/components/converter/securityconverter"

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.opentelemetry.io/collector/confmap"
)

// section is what the converter takes out of the configuration.
const section = "security"

// NewFactory returns the factory of the converter.
func NewFactory() confmap.ConverterFactory {
	return confmap.NewConverterFactory(func(confmap.ConverterSettings) confmap.Converter { return converter{} })
}

type converter struct{}

// Convert applies and removes the `security` section, and completes `service::extensions`.
func (converter) Convert(_ context.Context, conf *confmap.Conf) error {
	if err := applySecurity(conf); err != nil {
		return err
	}
	return switchOnAuthenticators(conf)
}

func applySecurity(conf *confmap.Conf) error {
	if !conf.IsSet(section) {
		return nil
	}
	parties, err := conf.Sub(section)
	if err != nil {
		return fmt.Errorf("`%s`: %w", section, err)
	}
	conf.Delete(section)
	var errs []error
	for _, party := range slices.Sorted(maps.Keys(parties.ToStringMap())) {
		clients, known := clientsOf[party]
		if !known {
			errs = append(errs, fmt.Errorf("`%s::%s` is none of %s", section, party, strings.Join(slices.Sorted(maps.Keys(clientsOf)), ", ")))
			continue
		}
		leaves, err := readSettings(parties, party)
		if err != nil {
			errs = append(errs, fmt.Errorf("`%s::%s`: %w", section, party, err))
			continue
		}
		for _, path := range clients(conf) {
			errs = append(errs, apply(conf, path, leaves))
		}
	}
	return errors.Join(errs...)
}

// apply sets what the component does not set itself.
func apply(conf *confmap.Conf, path []string, leaves *confmap.Conf) error {
	missing := map[string]any{}
	for _, leaf := range leaves.AllKeys() {
		key := strings.Join(append(slices.Clone(path), leaf), confmap.KeyDelimiter)
		if !conf.IsSet(key) {
			missing[key] = leaves.Get(leaf)
		}
	}
	return conf.Merge(confmap.NewFromStringMap(missing))
}
