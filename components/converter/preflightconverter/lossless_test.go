package preflightconverter

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/extension"
	"go.opentelemetry.io/collector/otelcol"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/receiver/receivertest"
	"go.opentelemetry.io/collector/service/telemetry/otelconftelemetry"
	"go.uber.org/zap"

	"github.com/breakwater-otel/breakwater/components/internal/lossless"
)

// producerConfig is what a kafka exporter has to have here: a default that loses data.
type producerConfig struct {
	Text     string `mapstructure:"text"`
	Producer struct {
		RequiredAcks int `mapstructure:"required_acks"`
	} `mapstructure:"producer"`
}

func fewFactories() (otelcol.Factories, error) {
	producer := exporter.NewFactory(component.MustNewType("durable_kafka"), func() component.Config {
		c := &producerConfig{}
		c.Producer.RequiredAcks = 1
		return c
	})
	check := extension.NewFactory(component.MustNewType(losslessType), func() component.Config {
		c := lossless.DefaultConfig()
		return &c
	}, nil, component.StabilityLevelBeta)
	return otelcol.Factories{
		Receivers:  map[component.Type]receiver.Factory{receivertest.NopType: receivertest.NewNopFactory()},
		Exporters:  map[component.Type]exporter.Factory{producer.Type(): producer},
		Extensions: map[component.Type]extension.Factory{check.Type(): check},
		Telemetry:  otelconftelemetry.NewFactory(),
	}, nil
}

func producing(exporter, check map[string]any, extensions ...any) *confmap.Conf {
	return confmap.NewFromStringMap(map[string]any{
		"receivers":  map[string]any{"nop": nil},
		"exporters":  map[string]any{"durable_kafka": exporter},
		"extensions": map[string]any{"lossless": check, "lossless/other": nil},
		"service": map[string]any{
			"extensions": extensions,
			"pipelines":  map[string]any{"logs": map[string]any{"receivers": []any{"nop"}, "exporters": []any{"durable_kafka"}}},
		},
	})
}

const acks = "BW056 `exporters::durable_kafka::producer::required_acks` (1)"

func TestLosslessInValidate(t *testing.T) {
	enforce := map[string]any{"mode": "enforce"}
	for name, test := range map[string]struct {
		exporter, check map[string]any
		extensions      []any
		err, printed    string
	}{
		"a default is enforced":   {check: enforce, extensions: []any{"lossless"}, err: acks},
		"a default is printed":    {extensions: []any{"lossless"}, printed: "warning: data can be lost: " + acks},
		"of another name":         {check: enforce, extensions: []any{"lossless/other"}, printed: acks},
		"not in use":              {check: enforce, extensions: []any{}},
		"nothing to find":         {exporter: map[string]any{"producer": map[string]any{"required_acks": -1}}, check: enforce, extensions: []any{"lossless"}},
		"ignored":                 {check: map[string]any{"ignore": map[string]any{"BW056": "a test"}}, extensions: []any{"lossless"}},
		"a setting of its own":    {check: map[string]any{"mode": "loud"}, extensions: []any{"lossless"}},
		"no configuration at all": {exporter: map[string]any{"unknown": 1}, check: enforce, extensions: []any{"lossless"}},
		"dollars that are left": {exporter: map[string]any{"text": "${1} $2 ${env:X}"}, check: enforce,
			extensions: []any{"lossless"}, err: acks},
	} {
		t.Run(name, func(t *testing.T) {
			conf := producing(test.exporter, test.check, test.extensions...)
			before := conf.ToStringMap()
			var out bytes.Buffer
			err := checkLossless(t.Context(), conf, fewFactories, &out)
			assert.Equal(t, before, conf.ToStringMap(), "the configuration is as it was")
			if test.err == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, test.err)
			}
			if test.printed == "" {
				assert.Empty(t, out.String())
			} else {
				assert.Contains(t, out.String(), test.printed)
			}
		})
	}
}

// TestLosslessIsForValidate holds that a start is left to the extension.
func TestLosslessIsForValidate(t *testing.T) {
	conf := producing(nil, map[string]any{"mode": "enforce"}, "lossless")
	convert := func() error {
		return NewFactory().Create(confmap.ConverterSettings{Logger: zap.NewNop()}).Convert(context.Background(), conf)
	}
	require.NoError(t, convert())
	Validate(fewFactories)
	defer Validate(nil)
	require.ErrorContains(t, convert(), acks)
	Validate(func() (otelcol.Factories, error) { return otelcol.Factories{}, errors.New("no factories") })
	require.NoError(t, convert(), "the Collector says so")
}
