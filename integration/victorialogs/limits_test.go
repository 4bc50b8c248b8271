package victorialogs

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/breakwater-otel/breakwater/integration/harness"
)

// Limits of VictoriaLogs, v1.25 line. Behind each of them it answers 200 and drops the row, or what finds it.
const (
	maxLineBytes = 256 << 10 // -insert.maxLineSizeBytes, the newline included
	maxRowBytes  = 2 << 20   // lib/logstorage/consts.go: maxUncompressedBlockSize
	maxFields    = 1000      // -insert.maxFieldsPerLine
	maxIndexItem = 32 << 10  // half of lib/mergeset/encoding.go: maxInmemoryBlockSize, see TestLimitOfStreamBytes
)

// TestLimitOfLineBytes sends lines of two bytes below the limit to two bytes over it, by each way that a byte becomes
// more bytes in JSON. To the limit they are lines, over it they take the OTLP path, and all of them are rows.
func TestLimitOfLineBytes(t *testing.T) {
	logs := harness.StartVictoriaLogs(t, harness.VictoriaLogsOptions{Retention: serverRetention})
	proxy := recordingProxy(t, logs)
	e := startExporter(t, proxy.URL(), "")

	// What a line has beside the message; every name here has eight bytes.
	probe := plog.NewLogs()
	newRecord(probe, "theprobe").Body().SetStr("x")
	e.send(t, probe)
	overhead := len(proxy.Requests(jsonLinePath)[0].Body) - 1

	all := plog.NewLogs()
	messages := make(map[string]string)
	long := 0
	for i, unit := range []struct {
		text    string
		encoded int // bytes in JSON
	}{{"x", 1}, {`"`, 2}, {"\n", 2}, {"\x01", 6}, {"😀", 4}, {"\xff", 1}, {"\xed\xa0\x80", 3}} {
		for delta := -2; delta <= 2; delta++ {
			name := fmt.Sprintf("line-%d%02d", i, delta+2)
			room := maxLineBytes - overhead + delta
			message := strings.Repeat(unit.text, room/unit.encoded) + strings.Repeat("p", room%unit.encoded)
			newRecord(all, name).Body().SetStr(message)
			messages[name] = message
			if delta > 0 {
				long++
			}
		}
	}
	// The same by an attribute, and by many.
	for i, delta := range []int{-2000, 2000} {
		name := fmt.Sprintf("attr-%03d", i)
		newRecord(all, name).Attributes().PutStr("large", repeat("value ", maxLineBytes-overhead+delta))
		messages[name] = "message of " + name
		name = fmt.Sprintf("many-%03d", i)
		attributes := newRecord(all, name).Attributes()
		for field := range 256 {
			attributes.PutStr(fmt.Sprintf("field%03d", field), repeat("value ", 1024-len(`"field000":"",`)-10+i*20))
		}
		messages[name] = "message of " + name
	}
	long += 2
	e.send(t, all)

	rows := rowsByCase(t, queryRows(t, logs, "*", len(messages)+1))
	for name, message := range messages {
		sameText(t, message, rows[name]["_msg"], name)
		assert.NotContains(t, rows[name], "severity", "the row is the same by both paths")
	}
	for i, delta := range []int{-2000, 2000} {
		sameText(t, repeat("value ", maxLineBytes-overhead+delta), rows[fmt.Sprintf("attr-%03d", i)]["large"], "attribute")
	}
	for _, request := range proxy.Requests(jsonLinePath) {
		for line := range bytes.Lines(request.Body) {
			assert.LessOrEqual(t, len(line), maxLineBytes)
		}
	}
	assert.EqualValues(t, long, e.metric(t, "violations", "kind", "line_bytes", "action", "otlp"))
	assert.EqualValues(t, long, e.metric(t, "sent_records", "path", "otlp"))
	requireNothingDropped(t, logs)
}

// TestLimitOfFields sends rows of just below to far over the limit of fields.
func TestLimitOfFields(t *testing.T) {
	logs := harness.StartVictoriaLogs(t, harness.VictoriaLogsOptions{Retention: serverRetention})
	e := startExporter(t, logs.URL(), "")
	all := plog.NewLogs()
	counts := []int{0, 1, 900, 1999, 2000, 2001, 5000}
	for n := 985; n <= 1010; n++ {
		counts = append(counts, n)
	}
	// By each path: with a short and an over-long message.
	messages := map[string]string{"line": "short", "otlp": repeat("long ", 300_000)}
	for path, message := range messages {
		for _, n := range counts {
			record := newRecord(all, fmt.Sprintf("%s %d", path, n))
			record.Body().SetStr(message)
			for i := range n {
				record.Attributes().PutStr("field"+strconv.Itoa(i), "value "+strconv.Itoa(i))
			}
		}
	}
	e.send(t, all)

	rows := rowsByCase(t, queryRows(t, logs, `{service_name="test"}`, len(counts)*len(messages)))
	for path, message := range messages {
		for _, n := range counts {
			name := fmt.Sprintf("%s %d", path, n)
			row := rows[name]
			sameText(t, message, row["_msg"], name)
			overflow := overflowOf(t, row)
			for i := range n {
				field, want := "field"+strconv.Itoa(i), "value "+strconv.Itoa(i)
				if got := row[field] + overflow[field]; got != want {
					t.Errorf("%s: %q instead of %q", name, got, want)
				}
			}
			if n <= 990 {
				assert.NotContains(t, row, "overflow_fields", name)
			}
			// _time and _msg count, delivery_id does not; _stream and _stream_id are of the answer.
			assert.LessOrEqual(t, len(row), maxFields+3, name)
		}
	}
	assert.NotZero(t, e.metric(t, "violations", "kind", "field_count", "action", "stringify"))
	requireNothingDropped(t, logs)
}

// indexedBytes is the length of a value in the index of VictoriaLogs, which escapes its separators.
func indexedBytes(value string) int {
	return len(value) + strings.Count(value, "\x00") + strings.Count(value, "\x01") + strings.Count(value, "\x02")
}

// TestLimitOfStreamBytes sends stream fields of just below to over the limit of an index item, in one value and in
// many, of bytes that the index escapes and of ones that it does not, and one shared by many streams. Every row is
// found by its stream, also after a restart; one whose stream is not in the index is in no answer. That limit is half
// of a block of the index: with enough items over it (40, not 5) every block holds a single one, and lookups miss them
// and others. One item over a whole block is skipped, and the rest of its stream with it.
func TestLimitOfStreamBytes(t *testing.T) {
	logs := harness.StartVictoriaLogs(t, harness.VictoriaLogsOptions{Retention: serverRetention})
	many := make([]string, 24)
	for i := range many {
		many[i] = fmt.Sprintf("many%02d", i)
	}
	e := startExporter(t, logs.URL(), `stream_fields: [service_name, case, big, "many*"]`)
	all := plog.NewLogs()
	values := make(map[string]string)
	add := func(name, value string) {
		newRecord(all, name).Attributes().PutStr("big", value)
		values[name] = value
	}
	for _, n := range []int{1_000, 16_000, 31_000, 40_000, 60_000, 70_000, 140_000} {
		add(fmt.Sprintf("plain %d", n), repeat("s", n))
	}
	for n := maxIndexItem - 360; n <= maxIndexItem+40; n += 8 {
		add(fmt.Sprintf("plain %d", n), repeat("s", n))
		add(fmt.Sprintf("escaped %d", n/2), fmt.Sprint(n)+repeat("\x01\x00\x02", n/2))
	}
	for n := range 50 {
		// Over one half of a block by the escapes alone.
		add(fmt.Sprintf("more escaped %d", n), fmt.Sprint(n)+repeat("\x01", 20_000))
	}
	for _, n := range []int{32_700, 32_758, 40_000} { // over a whole block by the escapes
		add(fmt.Sprintf("most escaped %d", n), repeat("\x01", n))
	}
	add("quotes 31000", repeat(`"`, 31_000))
	for i := range 40 { // more than the 32 streams that the index keeps in one item of a value
		add(fmt.Sprintf("shared %d", i), repeat("shared", 31_000))
	}
	for n := maxIndexItem/len(many) - 40; n <= maxIndexItem/len(many)+4; n++ {
		name := fmt.Sprintf("many %d", n)
		attributes := newRecord(all, name).Attributes()
		for _, field := range many {
			attributes.PutStr(field, repeat(field, n))
		}
		values[name] = ""
	}
	e.send(t, all)

	check := func(when string) {
		rows := rowsByCase(t, queryRows(t, logs, "*", len(values)))
		byService := rowsByCase(t, queryRows(t, logs, `{service_name="test"} | fields case`, 0, len(values)))
		byShared := int64(0)
		for name, value := range values {
			row := rows[name]
			if byService[name] == nil {
				t.Errorf("%s: %s is not found by another field of its stream", when, name)
			}
			overflow := overflowOf(t, row)
			sameText(t, value, row["big"]+overflow["big"], when+": "+name)
			if strings.HasPrefix(name, "many ") {
				n, err := strconv.Atoi(strings.TrimPrefix(name, "many "))
				require.NoError(t, err)
				for _, field := range many {
					sameText(t, repeat(field, n), row[field]+overflow[field], when+": "+name)
				}
			}
			byCase, err := logs.Count(t.Context(), fmt.Sprintf("{case=%q}", name))
			require.NoError(t, err)
			if byCase != 1 {
				t.Errorf("%s: %d rows by {case=%q}", when, byCase, name)
			}
			switch {
			case row["big"] == "":
			case strings.HasPrefix(name, "shared"):
				byShared++
			default:
				byValue, err := logs.Count(t.Context(), "{big="+strconv.Quote(value)+"}")
				require.NoError(t, err)
				if byValue != 1 {
					t.Errorf("%s: %d rows by the value of %s", when, byValue, name)
				}
			}
		}
		n, err := logs.Count(t.Context(), "{big="+strconv.Quote(values["shared 0"])+"}")
		require.NoError(t, err)
		assert.Equal(t, byShared, n, "%s: rows by a shared value", when)
		for _, below := range []string{"plain 1000", "plain 16000", "plain 31000", "quotes 31000", "shared 0", "shared 39"} {
			assert.NotContains(t, rows[below], "overflow_fields", "%s: %s", when, below)
		}
		for _, over := range []string{"plain 40000", "plain 60000", "plain 70000", "plain 140000", "most escaped 40000"} {
			assert.Contains(t, rows[over], "overflow_fields", "%s: %s", when, over)
		}
	}
	check("at once")
	requireNothingDropped(t, logs)
	require.NoError(t, logs.Restart(t.Context()))
	check("after a restart")
	assert.NotZero(t, e.metric(t, "violations", "kind", "stream_bytes", "action", "stringify"))
	requireNothingDropped(t, logs)
}

// TestLimitOfRowBytes sends rows of just below to over the limit of a row. Over it no path of VictoriaLogs takes them:
// they are returned, and nothing else is.
func TestLimitOfRowBytes(t *testing.T) {
	logs := harness.StartVictoriaLogs(t, harness.VictoriaLogsOptions{Retention: serverRetention})
	e := startExporter(t, logs.URL(), "")
	all := plog.NewLogs()
	names := []string{"before", "after"}
	newRecord(all, "before")
	messages := map[string]string{"before": "message of before", "after": "message of after"}
	for _, below := range []int{4096, 1024, 512, 384, 320, 256, 224, 192, 160, 128, 96, 64, 32, 16, 8, 4, 2, 1, 0, -1, -1_000_000} {
		name := fmt.Sprintf("row %d", below)
		newRecord(all, name).Body().SetStr(repeat("row ", maxRowBytes-below))
		messages[name] = repeat("row ", maxRowBytes-below)
		names = append(names, name)
	}
	attributes := newRecord(all, "attributes").Attributes()
	for i := range 30 {
		attributes.PutStr("field"+strconv.Itoa(i), repeat("value ", 100_000))
	}
	names = append(names, "attributes")
	newRecord(all, "after")

	rejected, err := e.sendPartly(t, all)
	assert.ErrorContains(t, err, settingOf["row_bytes"])
	refused := casesOf(rejected)
	rows := rowsByCase(t, queryRows(t, logs, `{service_name="test"}`, len(names)-len(refused)))
	for _, name := range names {
		if slices.Contains(refused, name) {
			assert.NotContains(t, rows, name, "both a row and rejected")
			continue
		}
		sameText(t, messages[name], rows[name]["_msg"], name)
	}
	for _, name := range []string{"before", "after", "row 4096", "row 1024"} {
		assert.Contains(t, rows, name)
	}
	for _, name := range []string{"row 0", "row -1", "row -1000000", "attributes"} {
		assert.Contains(t, refused, name)
	}
	assert.EqualValues(t, len(refused), e.metric(t, "rejected_records", "reason", "row_bytes"))
	assert.EqualValues(t, len(refused), e.metric(t, "violations", "kind", "row_bytes", "action", "reject"))
	// What comes back is the record as it was.
	for _, resource := range rejected.ResourceLogs().All() {
		name, _ := resource.Resource().Attributes().Get("case")
		if want, ok := messages[name.Str()]; ok {
			sameText(t, want, resource.ScopeLogs().At(0).LogRecords().At(0).Body().Str(), name.Str())
		}
	}
	requireNothingDropped(t, logs)
}

// TestLimitOfTime sends timestamps inside and outside of what the server keeps. Those outside get the time of sending,
// and their own in a field.
func TestLimitOfTime(t *testing.T) {
	logs := harness.StartVictoriaLogs(t, harness.VictoriaLogsOptions{Retention: serverRetention})
	e := startExporter(t, logs.URL(), "")
	now := time.Now()
	at := func(d time.Duration) pcommon.Timestamp { return pcommon.NewTimestampFromTime(now.Add(d)) }
	const day, week = 24 * time.Hour, 7 * 24 * time.Hour
	cases := map[string]struct {
		timestamp, observed pcommon.Timestamp
		want                pcommon.Timestamp // 0: the time of sending
		clamped             bool
	}{
		"now":                             {timestamp: at(0), want: at(0)},
		"6 days ago":                      {timestamp: at(-6 * day), want: at(-6 * day)},
		"just inside of retention":        {timestamp: at(-week + 2*time.Minute), want: at(-week + 2*time.Minute)},
		"just outside of retention":       {timestamp: at(-week - time.Second), clamped: true},
		"30 days ago":                     {timestamp: at(-30 * day), clamped: true},
		"47 hours ahead":                  {timestamp: at(47 * time.Hour), want: at(47 * time.Hour)},
		"just inside of the future":       {timestamp: at(2*day - 2*time.Minute), want: at(2*day - 2*time.Minute)},
		"just outside of the future":      {timestamp: at(2*day + time.Minute), clamped: true},
		"9 days ahead":                    {timestamp: at(9 * day), clamped: true},
		"a nanosecond after the epoch":    {timestamp: 1, clamped: true},
		"read as microseconds":            {timestamp: 1e6*(1<<31) - 1, clamped: true},
		"read as nanoseconds":             {timestamp: 1e6 * (1 << 31), clamped: true},
		"the last one":                    {timestamp: math.MaxInt64, clamped: true},
		"none":                            {},
		"none, but observed":              {observed: at(-time.Hour), want: at(-time.Hour)},
		"none, and observed long ago":     {observed: at(-30 * day), clamped: true},
		"over int64":                      {timestamp: math.MaxInt64 + 1},
		"the last of uint64":              {timestamp: math.MaxUint64},
		"over int64, but observed":        {timestamp: math.MaxUint64, observed: at(-time.Hour)},
		"30 days ago by the OTLP path":    {timestamp: at(-30 * day), clamped: true},
		"9 days ahead by the OTLP path":   {timestamp: at(9 * day), clamped: true},
		"none by the OTLP path":           {},
		"6 days ago by the OTLP path":     {timestamp: at(-6 * day), want: at(-6 * day)},
		"the last one by the OTLP path":   {timestamp: math.MaxInt64, clamped: true},
		"last of uint64 by the OTLP path": {timestamp: math.MaxUint64},
	}
	all := plog.NewLogs()
	clamped := 0
	for name, c := range cases {
		record := newRecord(all, name)
		record.SetTimestamp(c.timestamp)
		record.SetObservedTimestamp(c.observed)
		if strings.Contains(name, "OTLP path") {
			record.Attributes().PutStr("large", repeat("large ", 300_000))
		}
		if c.clamped {
			clamped++
		}
	}
	sending := time.Now()
	e.send(t, all)
	sent := time.Now()

	rows := rowsByCase(t, queryRows(t, logs, `{service_name="test"}`, len(cases)))
	for name, c := range cases {
		row := rows[name]
		got := timeOf(t, row, "_time")
		switch {
		case c.want != 0:
			assert.Equal(t, c.want.AsTime(), got, name)
		case c.timestamp > math.MaxInt64 && c.observed != 0:
			// The observed time or that of sending, both are better than none.
			assert.WithinRange(t, got, c.observed.AsTime(), sent, name)
		default:
			assert.WithinRange(t, got, sending.Add(-time.Millisecond), sent, name)
		}
		if !c.clamped {
			if c.timestamp <= math.MaxInt64 {
				assert.NotContains(t, row, "original_time", name)
			}
			continue
		}
		original := c.timestamp
		if original == 0 {
			original = c.observed
		}
		assert.Equal(t, original.AsTime(), timeOf(t, row, "original_time"), name)
		assert.Equal(t, original.AsTime().Format(time.RFC3339Nano), row["original_time"], name)
	}
	violations := e.metric(t, "violations", "kind", "past", "action", "clamp") + e.metric(t, "violations", "kind", "future", "action", "clamp")
	assert.GreaterOrEqual(t, violations, int64(clamped))
	requireNothingDropped(t, logs)
}

// TestEveryLimitAtOnce sends a record that is over every limit but that of a row.
func TestEveryLimitAtOnce(t *testing.T) {
	logs := harness.StartVictoriaLogs(t, harness.VictoriaLogsOptions{Retention: serverRetention})
	e := startExporter(t, logs.URL(), `stream_fields: [service_name, case, big]`)
	all := plog.NewLogs()
	record := newRecord(all, "everything")
	message := repeat("message \x00\xff\"\n😀", 400_000)
	record.Body().SetStr(message)
	original := time.Now().Add(-30 * 24 * time.Hour)
	record.SetTimestamp(pcommon.NewTimestampFromTime(original))
	attributes := record.Attributes()
	attributes.PutStr("big", repeat("stream ", 70_000))
	attributes.PutStr(strings.Repeat("n", 200), "long name")
	attributes.PutStr("_msg", "reserved")
	for i := range 1500 {
		attributes.PutStr("field"+strconv.Itoa(i), "value "+strconv.Itoa(i))
	}
	deep := attributes.PutEmptyMap("deep")
	for range 400 {
		deep = deep.PutEmptyMap("m")
	}
	deep.PutStr("leaf", "at the end")
	e.send(t, all)

	row := queryRows(t, logs, `{case="everything"}`, 1)[0]
	sameText(t, message, row["_msg"], "message")
	assert.True(t, original.Equal(timeOf(t, row, "original_time")))
	overflow := overflowOf(t, row)
	for _, l := range leavesOf(record, message) {
		got, found := recoverLeaf(t, row, overflow, l)
		if assert.True(t, found, "%.100q", l.path) {
			sameText(t, l.text, got, fmt.Sprintf("%.100q", l.path))
		}
	}
	requireNothingDropped(t, logs)
}
