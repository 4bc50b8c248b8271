package victorialogs

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/breakwater-otel/breakwater/integration/harness"
)

// actionTest is a server and an exporter with one action other than the default.
type actionTest struct {
	logs *harness.VictoriaLogs
	*instance
}

func startAction(t *testing.T, settings string) actionTest {
	t.Helper()
	logs := harness.StartVictoriaLogs(t, harness.VictoriaLogsOptions{Retention: serverRetention})
	return actionTest{logs: logs, instance: startExporter(t, logs.URL(), settings)}
}

// requireViolations holds that the violations of the kind have the action, and that there are n of them.
func (a actionTest) requireViolations(t *testing.T, kind, action string, n int) {
	t.Helper()
	assert.EqualValues(t, n, a.metric(t, "violations", "kind", kind, "action", action), "violations")
	assert.EqualValues(t, n, a.metric(t, "violations", "kind", kind), "violations by all actions")
}

// requireRejected sends the records and holds that those named are returned, and nothing else: the others are rows.
func (a actionTest) requireRejected(t *testing.T, logs plog.Logs, kind string, want ...string) map[string]harness.LogRow {
	t.Helper()
	produced := logs.LogRecordCount()
	rejected, err := a.sendPartly(t, logs)
	assert.ErrorContains(t, err, settingOf[kind])
	assert.ElementsMatch(t, want, casesOf(rejected))
	assert.EqualValues(t, len(want), a.metric(t, "rejected_records", "reason", kind))
	assert.EqualValues(t, len(want), a.metric(t, "rejected_records"))
	a.requireViolations(t, kind, "reject", len(want))
	rows := rowsByCase(t, queryRows(t, a.logs, "*", produced-len(want)))
	requireNothingDropped(t, a.logs)
	return rows
}

// settingOf is what the error for a rejected record names: the setting of the limit.
var settingOf = map[string]string{
	"line_bytes": "limits::max_line_bytes", "row_bytes": "limits::max_row_bytes", "field_count": "limits::max_fields",
	"field_name_bytes": "limits::max_field_name_bytes", "stream_bytes": "limits::max_stream_bytes", "depth": "limits::max_depth",
	"past": "limits::max_past", "future": "limits::max_future",
}

func putBody(logs plog.Logs, name, message string) plog.LogRecord {
	record := newRecord(logs, name)
	record.Body().SetStr(message)
	record.Attributes().PutStr("small", "value of "+name)
	return record
}

func TestActionRejectLongLines(t *testing.T) {
	a := startAction(t, `on_violation: {line_bytes: reject}`)
	all := plog.NewLogs()
	putBody(all, "below", repeat("x", 200_000))
	putBody(all, "over", repeat("x", 300_000))
	putBody(all, "escaped", repeat(`"`, 140_000))
	rows := a.requireRejected(t, all, "line_bytes", "over", "escaped")
	sameText(t, repeat("x", 200_000), rows["below"]["_msg"], "below")
	assert.Zero(t, a.metric(t, "sent_records", "path", "otlp"))
}

// TestActionTruncate cuts messages and values that make a line or a row too long, and says so in the row.
func TestActionTruncate(t *testing.T) {
	for kind, limit := range map[string]int{"line_bytes": maxLineBytes, "row_bytes": maxRowBytes} {
		t.Run(kind, func(t *testing.T) {
			a := startAction(t, `on_violation: {`+kind+`: truncate}`)
			all := plog.NewLogs()
			messages := map[string]string{
				"plain":      repeat("0123456789", limit+50_000),
				"a bit over": repeat("x", limit),
				"quotes":     repeat(`"`, limit+50_000),
				"controls":   repeat("\x01\n", limit+50_000),
				"runes":      repeat("😀é", limit/6*6+60_000),
				"not UTF-8":  repeat("\xff\xed\xa0\x80", limit+50_000),
			}
			for name, message := range messages {
				putBody(all, name, message)
			}
			value := repeat("value ", limit+50_000)
			putBody(all, "attribute", "message of attribute").Attributes().PutStr("large", value)
			putBody(all, "below", repeat("x", limit-5_000))
			a.send(t, all)

			rows := rowsByCase(t, queryRows(t, a.logs, "*", len(messages)+2))
			for name, message := range messages {
				row := rows[name]
				got := row["_msg"]
				if assert.True(t, strings.HasPrefix(message, got), "%s is a prefix", name) {
					assert.Less(t, len(got), len(message), name)
				}
				assert.Greater(t, len(got), limit/8, "%s: no more is cut than has to be", name)
				if utf8.ValidString(message) {
					assert.True(t, utf8.ValidString(got), "%s is not cut in a rune", name)
				}
				assert.Equal(t, map[string]string{"_msg": strconv.Itoa(len(message))}, jsonObject(t, row["truncated_fields"]), name)
				assert.Equal(t, "value of "+name, row["small"])
			}
			row := rows["attribute"]
			assert.Equal(t, "message of attribute", row["_msg"])
			assert.True(t, strings.HasPrefix(value, row["large"]))
			assert.Greater(t, len(row["large"]), limit/2)
			assert.Equal(t, map[string]string{"large": strconv.Itoa(len(value))}, jsonObject(t, row["truncated_fields"]))
			assert.NotContains(t, rows["below"], "truncated_fields")
			a.requireViolations(t, kind, "truncate", len(messages)+1)
			requireNothingDropped(t, a.logs)
		})
	}
}

// TestActionSplit cuts messages into numbered parts that make the message again.
func TestActionSplit(t *testing.T) {
	for kind, limit := range map[string]int{"line_bytes": maxLineBytes, "row_bytes": maxRowBytes} {
		t.Run(kind, func(t *testing.T) {
			a := startAction(t, `on_violation: {`+kind+`: split}`)
			all := plog.NewLogs()
			messages := map[string]string{
				"two parts":  repeat("0123456789", limit+50_000),
				"many parts": repeat("0123456789", 3*limit+7),
				"a bit over": repeat("x", limit),
				"quotes":     repeat(`"`, limit+50_000),
				"controls":   repeat("\x01\n", limit+50_000),
				"runes":      repeat("😀é", limit/6*6+60_000),
				"not UTF-8":  repeat("\xff\xed\xa0\x80", limit+50_000),
			}
			for name, message := range messages {
				record := putBody(all, name, message)
				record.SetSeverityText("INFO")
			}
			// Two that are the same: the parts of the one are not those of the other.
			for range 2 {
				putBody(all, "twins", repeat("twin ", limit+50_000)).SetTimestamp(pcommon.NewTimestampFromTime(time.Now().Truncate(time.Hour)))
			}
			putBody(all, "below", repeat("x", limit-5_000))
			a.send(t, all)

			require.NoError(t, a.logs.Flush(t.Context()))
			rows, err := a.logs.Query(t.Context(), "*")
			require.NoError(t, err)
			whole := make(map[string]map[string][]harness.LogRow) // case → split_id → parts
			for _, row := range rows {
				name := row["case"]
				if whole[name] == nil {
					whole[name] = make(map[string][]harness.LogRow)
				}
				whole[name][row["split_id"]] = append(whole[name][row["split_id"]], row)
			}
			for name, message := range messages {
				require.Len(t, whole[name], 1, name)
				for id, parts := range whole[name] {
					assert.NotEmpty(t, id)
					sameText(t, message, joinParts(t, parts), name)
					for _, part := range parts {
						assert.Equal(t, "value of "+name, part["small"])
						assert.Equal(t, "INFO", part["severity_text"])
						assert.Equal(t, parts[0]["_time"], part["_time"])
						if utf8.ValidString(message) {
							assert.True(t, utf8.ValidString(part["_msg"]), "%s is not cut in a rune", name)
						}
					}
				}
			}
			assert.LessOrEqual(t, len(whole["two parts"]), 3)
			twins := whole["twins"]
			if assert.Len(t, twins, 2, "each of two records has an id of its own") {
				for _, parts := range twins {
					sameText(t, repeat("twin ", limit+50_000), joinParts(t, parts), "twins")
				}
			}
			require.Len(t, whole["below"], 1)
			assert.Contains(t, whole["below"], "", "not split")
			a.requireViolations(t, kind, "split", len(messages)+2)
			requireNothingDropped(t, a.logs)
		})
	}
}

func joinParts(t *testing.T, parts []harness.LogRow) string {
	t.Helper()
	texts := make([]string, len(parts))
	for _, part := range parts {
		n, err := strconv.Atoi(part["split_part"])
		require.NoError(t, err)
		require.Equal(t, strconv.Itoa(len(parts)), part["split_parts"])
		require.LessOrEqual(t, n, len(parts))
		require.GreaterOrEqual(t, n, 1)
		require.Empty(t, texts[n-1], "part %d twice", n)
		texts[n-1] = part["_msg"]
	}
	return strings.Join(texts, "")
}

// TestActionSplitOfWhatIsNotTheMessage sends a record over the limit by its fields: there is no message to split, and
// nothing may vanish.
func TestActionSplitOfWhatIsNotTheMessage(t *testing.T) {
	for kind, bytes := range map[string]int{"line_bytes": 300_000, "row_bytes": 3_000_000} {
		t.Run(kind, func(t *testing.T) {
			a := startAction(t, `on_violation: {`+kind+`: split}`)
			all := plog.NewLogs()
			putBody(all, "attribute", "short").Attributes().PutStr("large", repeat("large ", bytes))
			putBody(all, "neighbour", "short")
			ctx := t.Context()
			err := a.ConsumeLogs(ctx, all)
			require.NoError(t, a.logs.Flush(ctx))
			rows, queryErr := a.logs.Query(ctx, "*")
			require.NoError(t, queryErr)
			if err != nil {
				require.Len(t, rows, 1)
				assert.Equal(t, "neighbour", rows[0]["case"])
				assert.EqualValues(t, 1, a.metric(t, "rejected_records", "reason", kind))
			} else {
				byCase := rowsByCase(t, rows)
				require.Len(t, byCase, 2)
				sameText(t, repeat("large ", bytes), byCase["attribute"]["large"], "attribute")
			}
			requireNothingDropped(t, a.logs)
		})
	}
}

func TestActionRejectFields(t *testing.T) {
	a := startAction(t, `on_violation: {field_count: reject}`)
	all := plog.NewLogs()
	for _, n := range []int{900, 1100} {
		record := newRecord(all, strconv.Itoa(n))
		for i := range n {
			record.Attributes().PutInt("field"+strconv.Itoa(i), int64(i))
		}
	}
	rows := a.requireRejected(t, all, "field_count", "1100")
	assert.Equal(t, "899", rows["900"]["field899"])
}

func TestActionFieldNames(t *testing.T) {
	t.Run("reject", func(t *testing.T) {
		a := startAction(t, `on_violation: {field_name_bytes: reject}`)
		all := plog.NewLogs()
		for _, n := range []int{127, 128, 129, 1000} {
			newRecord(all, strconv.Itoa(n)).Attributes().PutStr(strings.Repeat("n", n), "value")
		}
		nested := newRecord(all, "nested").Attributes().PutEmptyMap(strings.Repeat("n", 100))
		nested.PutStr(strings.Repeat("m", 30), "value")
		rows := a.requireRejected(t, all, "field_name_bytes", "129", "1000", "nested")
		assert.Equal(t, "value", rows["128"][strings.Repeat("n", 128)])
	})
	t.Run("truncate", func(t *testing.T) {
		a := startAction(t, `on_violation: {field_name_bytes: truncate}`)
		all := plog.NewLogs()
		attributes := newRecord(all, "long").Attributes()
		attributes.PutStr(strings.Repeat("n", 200), "one")
		newRecord(all, "runes").Attributes().PutStr("x"+strings.Repeat("é", 200), "two")
		// Two that are the same when cut: neither may vanish uncounted.
		attributes = newRecord(all, "twins").Attributes()
		attributes.PutStr(strings.Repeat("t", 200)+"1", "three")
		attributes.PutStr(strings.Repeat("t", 200)+"2", "four")
		a.send(t, all)
		rows := rowsByCase(t, queryRows(t, a.logs, "*", 3))
		assert.Equal(t, "one", withPrefix(rows["long"], strings.Repeat("n", 100)))
		assert.Equal(t, "two", withPrefix(rows["runes"], "x"+strings.Repeat("é", 50)))
		for _, row := range rows {
			for name := range row {
				assert.LessOrEqual(t, len(name), 128)
				assert.True(t, utf8.ValidString(name), "%q", name)
			}
		}
		text := fmt.Sprint(rows["twins"])
		lost := 0
		for _, value := range []string{"three", "four"} {
			if !strings.Contains(text, value) {
				lost++
			}
		}
		assert.EqualValues(t, lost, a.metric(t, "duplicate_fields"))
		requireNothingDropped(t, a.logs)
	})
}

func withPrefix(row harness.LogRow, prefix string) string {
	for name, value := range row {
		if strings.HasPrefix(name, prefix) {
			return value
		}
	}
	return ""
}

func TestActionStreamBytes(t *testing.T) {
	build := func() plog.Logs {
		all := plog.NewLogs()
		newRecord(all, "below").Attributes().PutStr("big", repeat("s", 20_000))
		newRecord(all, "over").Attributes().PutStr("big", repeat("é", 80_000))
		return all
	}
	t.Run("reject", func(t *testing.T) {
		a := startAction(t, `{stream_fields: [service_name, case, big], on_violation: {stream_bytes: reject}}`)
		a.requireRejected(t, build(), "stream_bytes", "over")
		queryRows(t, a.logs, `{case="below"}`, 1)
	})
	t.Run("truncate", func(t *testing.T) {
		a := startAction(t, `{stream_fields: [service_name, case, big], on_violation: {stream_bytes: truncate}}`)
		a.send(t, build())
		row := queryRows(t, a.logs, `{case="over"}`, 1)[0]
		assert.True(t, strings.HasPrefix(repeat("é", 80_000), row["big"]))
		assert.True(t, utf8.ValidString(row["big"]))
		assert.Greater(t, len(row["big"]), 10_000)
		assert.Equal(t, map[string]string{"big": "80000"}, jsonObject(t, row["truncated_fields"]))
		queryRows(t, a.logs, "{big="+strconv.Quote(row["big"])+"}", 1)
		queryRows(t, a.logs, `{case="below"}`, 1)
		a.requireViolations(t, "stream_bytes", "truncate", 1)
		requireNothingDropped(t, a.logs)
	})
}

// TestActionRejectDepth holds that a map over the limit is rejected. An array is its text, at any depth.
func TestActionRejectDepth(t *testing.T) {
	a := startAction(t, `{limits: {max_depth: 16}, on_violation: {depth: reject}}`)
	all := plog.NewLogs()
	for _, n := range []int{8, 40} {
		at := newRecord(all, fmt.Sprintf("map %d", n)).Attributes().PutEmptyMap("m")
		for range n {
			at = at.PutEmptyMap("m")
		}
		at.PutStr("leaf", "value")
		value := newRecord(all, fmt.Sprintf("array %d", n)).Attributes().PutEmpty("a")
		for range n {
			value = value.SetEmptySlice().AppendEmpty()
		}
		value.SetStr("value")
	}
	rows := a.requireRejected(t, all, "depth", "map 40")
	assert.Equal(t, "value", rows["map 8"][strings.Repeat("m.", 9)+"leaf"])
	for _, n := range []int{8, 40} {
		assert.Equal(t, strings.Repeat("[", n)+`"value"`+strings.Repeat("]", n), rows[fmt.Sprintf("array %d", n)]["a"])
	}
}

func TestActionRejectTimes(t *testing.T) {
	for kind, distance := range map[string]time.Duration{"past": -30 * 24 * time.Hour, "future": 9 * 24 * time.Hour} {
		t.Run(kind, func(t *testing.T) {
			a := startAction(t, `on_violation: {`+kind+`: reject}`)
			all := plog.NewLogs()
			newRecord(all, "now")
			newRecord(all, "out").SetTimestamp(pcommon.NewTimestampFromTime(time.Now().Add(distance)))
			// A large one is rejected, too, and not by the other path.
			record := putBody(all, "large", repeat("x", 300_000))
			record.SetTimestamp(pcommon.NewTimestampFromTime(time.Now().Add(distance)))
			a.requireRejected(t, all, kind, "out", "large")
		})
	}
}

// TestLimitsOfTheOperator holds that limits other than the defaults are obeyed.
func TestLimitsOfTheOperator(t *testing.T) {
	logs := harness.StartVictoriaLogs(t, harness.VictoriaLogsOptions{
		Retention: 24 * time.Hour,
		Args:      []string{"-insert.maxLineSizeBytes=4096", "-insert.maxFieldsPerLine=50", "-futureRetention=1h"},
	})
	e := startExporter(t, logs.URL(), `limits: {max_line_bytes: 4096, max_fields: 50, max_past: 24h, max_future: 1h}`)
	all := plog.NewLogs()
	putBody(all, "long", repeat("long ", 10_000))
	attributes := newRecord(all, "wide").Attributes()
	for i := range 100 {
		attributes.PutInt("field"+strconv.Itoa(i), int64(i))
	}
	past := time.Now().Add(-25 * time.Hour)
	newRecord(all, "past").SetTimestamp(pcommon.NewTimestampFromTime(past))
	future := time.Now().Add(2 * time.Hour)
	newRecord(all, "future").SetTimestamp(pcommon.NewTimestampFromTime(future))
	e.send(t, all)
	rows := rowsByCase(t, queryRows(t, logs, "*", 4))
	sameText(t, repeat("long ", 10_000), rows["long"]["_msg"], "long")
	overflow := overflowOf(t, rows["wide"])
	for i := range 100 {
		name := "field" + strconv.Itoa(i)
		assert.Equal(t, strconv.Itoa(i), rows["wide"][name]+overflow[name])
	}
	assert.True(t, past.Equal(timeOf(t, rows["past"], "original_time")))
	assert.True(t, future.Equal(timeOf(t, rows["future"], "original_time")))
	requireNothingDropped(t, logs)
}
