package otlpzerocopyencodingextension

import (
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/breakwater-otel/breakwater/components/internal/otlpview"
)

// A receiver looks the extension up by its ID and wants an unmarshaler of its signal.
var (
	_ extension.Extension = (*zeroCopyExtension)(nil)
	_ plog.Unmarshaler    = (*zeroCopyExtension)(nil)
)

type zeroCopyExtension struct {
	component.StartFunc
	component.ShutdownFunc
}

// UnmarshalLogs decodes an OTLP logs message. The caller must not change data
// afterwards: the strings of the result are views of it.
func (*zeroCopyExtension) UnmarshalLogs(data []byte) (plog.Logs, error) {
	return otlpview.UnmarshalLogs(data)
}
