package durablekafkaexporter

import (
	"strings"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// helperScope is of the metrics and, by their first words, of the logs of exporterhelper. There is one of it around the
// exporter within, too, whose attempts must not count as records that were sent or dropped.
const (
	helperScope = "go.opentelemetry.io/collector/exporter/exporterhelper"
	helperWords = "Exporting failed."
)

// withinSettings are those of the exporter within.
func withinSettings(set exporter.Settings) exporter.Settings {
	set.ID = component.NewIDWithName(upstream.Type(), set.ID.Name())
	set.MeterProvider = meters{set.MeterProvider}
	set.Logger = set.Logger.WithOptions(zap.WrapCore(func(core zapcore.Core) zapcore.Core { return logs{core} }))
	return set
}

type meters struct{ metric.MeterProvider }

func (m meters) Meter(name string, opts ...metric.MeterOption) metric.Meter {
	if name == helperScope {
		return noop.Meter{}
	}
	return m.MeterProvider.Meter(name, opts...)
}

type logs struct{ zapcore.Core }

func (l logs) With(fields []zapcore.Field) zapcore.Core { return logs{l.Core.With(fields)} }

func (l logs) Check(entry zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if strings.HasPrefix(entry.Message, helperWords) {
		return checked
	}
	return l.Core.Check(entry, checked)
}
