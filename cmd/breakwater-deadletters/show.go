package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/breakwater-otel/breakwater/internal/letters"
)

// maxShownBytes of a value that cannot be decoded; -raw writes all.
const maxShownBytes = 64 << 10

func show(ctx context.Context, opts *options, from source, stdout io.Writer) error {
	e, err := from.one(ctx, opts.id)
	if err != nil {
		return err
	}
	l := &e.letter
	if opts.raw {
		_, err := stdout.Write(l.Value)
		return err
	}
	var out bytes.Buffer
	field := func(name, value string) { _, _ = fmt.Fprintf(&out, "%-10s %s\n", name+":", value) }
	field("id", e.id)
	field("letter", l.ID())
	field("buried", l.Time.UTC().Format(time.RFC3339Nano))
	field("reason", oneLine(l.Reason))
	field("error", oneLine(l.Error))
	field("signal", oneLine(l.Signal))
	field("encoding", oneLine(l.Encoding))
	if l.Topic != "" {
		field("from", oneLine(position(e)))
	}
	if !l.Timestamp.IsZero() {
		field("timestamp", l.Timestamp.UTC().Format(time.RFC3339Nano))
	}
	field("replays", strconv.Itoa(l.Replays))
	field("records", strconv.Itoa(l.Records))
	if l.Key != nil {
		field("key", strconv.QuoteToGraphic(string(l.Key)))
	}
	for _, h := range l.Headers {
		field("header", strconv.QuoteToGraphic(h.Key)+" = "+strconv.QuoteToGraphic(string(h.Value)))
	}
	field("value", fmt.Sprintf("%d bytes", len(l.Value)))
	out.WriteByte('\n')
	out.WriteString(readable(l))
	_, err = out.WriteTo(stdout)
	return err
}

// readable is the value as JSON when it is OTLP, else as text or in hex.
func readable(l *letters.Letter) string {
	if l.Encoding == letters.EncodingOTLP {
		if encoded, err := otlpJSON(l); err == nil {
			var indented bytes.Buffer
			if json.Indent(&indented, encoded, "", "  ") == nil {
				return printable(indented.String()) + "\n"
			}
		}
	}
	value, rest := l.Value, ""
	if len(value) > maxShownBytes {
		value = value[:maxShownBytes]
		for i := 0; i < utf8.UTFMax && !utf8.Valid(value) && utf8.Valid(l.Value); i++ {
			value = value[:len(value)-1] // not within a rune
		}
		rest = fmt.Sprintf("… and %d more bytes; -raw writes all\n", len(l.Value)-len(value))
	}
	if utf8.Valid(value) {
		return printable(string(value)) + "\n" + rest
	}
	return hex.Dump(value) + rest
}

func otlpJSON(l *letters.Letter) ([]byte, error) {
	switch l.Signal {
	case letters.SignalLogs:
		data, err := (&plog.ProtoUnmarshaler{}).UnmarshalLogs(l.Value)
		if err != nil {
			return nil, err
		}
		return (&plog.JSONMarshaler{}).MarshalLogs(data)
	case letters.SignalMetrics:
		data, err := (&pmetric.ProtoUnmarshaler{}).UnmarshalMetrics(l.Value)
		if err != nil {
			return nil, err
		}
		return (&pmetric.JSONMarshaler{}).MarshalMetrics(data)
	case letters.SignalTraces:
		data, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(l.Value)
		if err != nil {
			return nil, err
		}
		return (&ptrace.JSONMarshaler{}).MarshalTraces(data)
	default:
		return nil, fmt.Errorf("unknown signal %q", l.Signal)
	}
}

// printable escapes what a terminal would obey.
func printable(text string) string {
	var out strings.Builder
	for _, r := range text {
		if r == '\n' || r == '\t' || unicode.IsPrint(r) {
			out.WriteRune(r)
			continue
		}
		quoted := strconv.QuoteRune(r)
		out.WriteString(quoted[1 : len(quoted)-1])
	}
	return out.String()
}
