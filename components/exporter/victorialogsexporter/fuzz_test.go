package victorialogsexporter

import (
	"encoding/json"
	"strings"
	"testing"

	"go.opentelemetry.io/collector/pdata/plog"
)

// FuzzString compares with Go's own decoder, which replaces what is not UTF-8.
func FuzzString(f *testing.F) {
	f.Add("plain \x00\x1f\"\\\x7f é 漢 😀 \xff\xed\xa0\x80")
	f.Fuzz(func(t *testing.T, s string) {
		var decoded string
		if err := json.Unmarshal(appendString(nil, s), &decoded); err != nil {
			t.Fatal(err)
		}
		if want := strings.ToValidUTF8(s, "\uFFFD"); strings.ToValidUTF8(s, "") == s && decoded != want {
			t.Fatalf("%q came back as %q", s, decoded)
		}
	})
}

// FuzzLogs holds that any record is a line of valid JSON, is set aside, or is rejected.
func FuzzLogs(f *testing.F) {
	var marshaler plog.ProtoMarshaler
	for _, logs := range []plog.Logs{record(3, "m"), record(100, "\x00\xff"), benchLogs(2)} {
		seed, err := marshaler.MarshalLogs(logs)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(seed)
	}
	config := testConfig()
	config.Limits = LimitsConfig{MaxLineBytes: 2048, MaxFields: 20, MaxFieldNameBytes: 32, MaxRowBytes: 4096}
	f.Fuzz(func(t *testing.T, request []byte) {
		var unmarshaler plog.ProtoUnmarshaler
		logs, err := unmarshaler.UnmarshalLogs(request)
		if err != nil {
			return
		}
		e := encode(config, logs)
		defer putEncoder(e)
		rows := lines(e.body)
		if got := len(rows) + len(e.oversized) + len(e.rejected); got != logs.LogRecordCount() {
			t.Fatalf("%d of %d records", got, logs.LogRecordCount())
		}
		for _, row := range rows {
			var fields map[string]json.RawMessage
			if err := json.Unmarshal(row, &fields); err != nil {
				t.Fatalf("%v: %q", err, row)
			}
			if len(fields) > config.Limits.MaxFields {
				t.Fatalf("%d fields", len(fields))
			}
			if len(fields["_msg"]) <= len(`""`) || len(fields["_time"]) <= len(`""`) {
				t.Fatalf("no message or no time: %q", row)
			}
		}
		for _, ref := range e.oversized {
			if e.otlpLogs(ref).LogRecordCount() != 1 {
				t.Fatal("an oversized record is lost")
			}
		}
	})
}
