package fluentbitencodingextension

import (
	"sync"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/breakwater-otel/breakwater/components/internal/logsappend"
)

// A receiver looks the extension up by its ID and wants one of these: `durable_kafka` the one that appends.
var (
	_ extension.Extension  = (*fluentBitExtension)(nil)
	_ plog.Unmarshaler     = (*fluentBitExtension)(nil)
	_ logsappend.Extension = (*fluentBitExtension)(nil)
)

type fluentBitExtension struct {
	component.StartFunc
	component.ShutdownFunc
	layout *layout
	// unmarshalers are those of UnmarshalLogs, which any goroutine may call.
	unmarshalers sync.Pool
}

func newExtension(config *Config) *fluentBitExtension {
	e := &fluentBitExtension{layout: newLayout(config)}
	e.unmarshalers.New = func() any { return newUnmarshaler(e.layout) }
	return e
}

// NewLogsUnmarshaler returns an unmarshaler of messages that are to be one request.
func (e *fluentBitExtension) NewLogsUnmarshaler() logsappend.Unmarshaler {
	return newUnmarshaler(e.layout)
}

// UnmarshalLogs decodes one message. The timestamp of the message is not known here.
func (e *fluentBitExtension) UnmarshalLogs(data []byte) (plog.Logs, error) {
	u := e.unmarshalers.Get().(*unmarshaler)
	defer e.unmarshalers.Put(u)
	if err := u.Append(data, time.Time{}); err != nil {
		return plog.NewLogs(), err
	}
	return u.Logs(), nil
}
