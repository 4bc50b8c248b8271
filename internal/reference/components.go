package main

import (
	"go.opentelemetry.io/collector/component"

	"github.com/breakwater-otel/breakwater/components/connector/deadletterconnector"
	"github.com/breakwater-otel/breakwater/components/exporter/deadletterexporter"
	"github.com/breakwater-otel/breakwater/components/exporter/durablekafkaexporter"
	"github.com/breakwater-otel/breakwater/components/exporter/lokiexporter"
	"github.com/breakwater-otel/breakwater/components/exporter/remotewriteexporter"
	"github.com/breakwater-otel/breakwater/components/exporter/victorialogsexporter"
	"github.com/breakwater-otel/breakwater/components/extension/durabilityextension"
	"github.com/breakwater-otel/breakwater/components/extension/fluentbitencodingextension"
	"github.com/breakwater-otel/breakwater/components/extension/ledgerextension"
	"github.com/breakwater-otel/breakwater/components/extension/liveextension"
	"github.com/breakwater-otel/breakwater/components/extension/losslessextension"
	"github.com/breakwater-otel/breakwater/components/extension/otlpzerocopyencodingextension"
	"github.com/breakwater-otel/breakwater/components/processor/labelpreserveprocessor"
	"github.com/breakwater-otel/breakwater/components/receiver/durablefluentforwardreceiver"
	"github.com/breakwater-otel/breakwater/components/receiver/durablejournalreceiver"
	"github.com/breakwater-otel/breakwater/components/receiver/durablekafkareceiver"
	"github.com/breakwater-otel/breakwater/components/receiver/recordfilereceiver"
)

// factory is a component of ours. dir is its directory below components.
type factory struct {
	dir string
	component.Factory
}

// factories are those of all our components, as the document has them. TestEveryComponent holds that none is missing.
func factories() []factory {
	return []factory{
		{"receiver/durablekafkareceiver", durablekafkareceiver.NewFactory()},
		{"receiver/recordfilereceiver", recordfilereceiver.NewFactory()},
		{"receiver/durablejournalreceiver", durablejournalreceiver.NewFactory()},
		{"receiver/durablefluentforwardreceiver", durablefluentforwardreceiver.NewFactory()},
		{"processor/labelpreserveprocessor", labelpreserveprocessor.NewFactory()},
		{"connector/deadletterconnector", deadletterconnector.NewFactory()},
		{"exporter/durablekafkaexporter", durablekafkaexporter.NewFactory()},
		{"exporter/victorialogsexporter", victorialogsexporter.NewFactory()},
		{"exporter/lokiexporter", lokiexporter.NewFactory()},
		{"exporter/remotewriteexporter", remotewriteexporter.NewFactory()},
		{"exporter/deadletterexporter", deadletterexporter.NewFactory()},
		{"extension/durabilityextension", durabilityextension.NewFactory()},
		{"extension/losslessextension", losslessextension.NewFactory()},
		{"extension/ledgerextension", ledgerextension.NewFactory()},
		{"extension/liveextension", liveextension.NewFactory()},
		{"extension/fluentbitencodingextension", fluentbitencodingextension.NewFactory()},
		{"extension/otlpzerocopyencodingextension", otlpzerocopyencodingextension.NewFactory()},
	}
}
