// Package logsappend is how an encoding extension takes many small Kafka messages into
// one request without building a plog.Logs for each of them.
package logsappend

import (
	"time"

	"go.opentelemetry.io/collector/pdata/plog"
)

// Unmarshaler decodes the messages of one request, in the order of their offsets. It
// is used by one goroutine at a time.
type Unmarshaler interface {
	// Append decodes one message and adds its records to the request. timestamp is
	// that of the message. After an error the request is as it was before the call.
	// The strings of the result may be views of data, which the caller does not
	// change afterwards.
	Append(data []byte, timestamp time.Time) error
	// Logs returns the request and forgets it. The same messages in the same order
	// make the same request.
	Logs() plog.Logs
}

// Extension is implemented by encoding extensions that can append.
type Extension interface {
	NewLogsUnmarshaler() Unmarshaler
}
