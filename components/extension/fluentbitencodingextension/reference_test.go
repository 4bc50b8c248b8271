package fluentbitencodingextension

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
)

// The reference decodes by the tokens of encoding/json, with nothing remembered and nothing shared. Its records are the
// lines of their fields.

type pair struct {
	key   string
	value any // string, json.Number, bool, nil, []pair, or list
}

// list is the text of an array, without space.
type list string

// members returns the members of an object in their order.
func members(data []byte) ([]pair, error) {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	if token, err := decoder.Token(); err != nil || token != json.Delim('{') {
		return nil, errors.Join(err, errors.New("not an object"))
	}
	var pairs []pair
	for decoder.More() {
		key, err := decoder.Token()
		if err != nil {
			return nil, err
		}
		var raw json.RawMessage
		if err := decoder.Decode(&raw); err != nil {
			return nil, err
		}
		p := pair{key: key.(string)}
		switch raw[0] {
		case '{':
			if p.value, err = members(raw); err != nil {
				return nil, err
			}
		case '[':
			var text bytes.Buffer
			if err := json.Compact(&text, raw); err != nil {
				return nil, err
			}
			p.value = list(text.String())
		default:
			value := json.NewDecoder(bytes.NewReader(raw))
			value.UseNumber()
			if err := value.Decode(&p.value); err != nil {
				return nil, err
			}
		}
		pairs = append(pairs, p)
	}
	return pairs, nil
}

func flattened(pairs []pair, prefix string) []pair {
	var out []pair
	for _, p := range pairs {
		key := prefix + p.key
		if inner, ok := p.value.([]pair); ok && len(inner) > 0 && len(key) <= maxJoinedBytes {
			out = append(out, flattened(inner, key+".")...)
			continue
		}
		out = append(out, pair{key, p.value})
	}
	return out
}

// renamed gives each key that another has before it, or an owner, a number.
func renamed(pairs []pair, owned map[string]any) []pair {
	taken := make(map[string]bool)
	for _, p := range pairs {
		taken[p.key] = true
	}
	first := make(map[string]any)
	var out []pair
	for _, p := range pairs {
		owner, ok := owned[p.key]
		if !ok {
			owner, ok = first[p.key]
		}
		if !ok {
			first[p.key] = p.value
			out = append(out, p)
			continue
		}
		if fmt.Sprintf("%T %v", owner, owner) == fmt.Sprintf("%T %v", p.value, p.value) {
			continue
		}
		for n := 2; ; n++ {
			key := p.key + "_" + strconv.Itoa(n)
			if _, isOwned := owned[key]; !taken[key] && !isOwned {
				taken[key] = true
				first[key] = p.value
				out = append(out, pair{key, p.value})
				break
			}
		}
	}
	return out
}

func line(kind, key string, value any) string {
	if pairs, ok := value.([]pair); ok {
		var lines []string
		for _, p := range renamed(pairs, nil) {
			lines = append(lines, line("", p.key, p.value))
		}
		value = lines
	}
	return fmt.Sprintf("%s%q=%q", kind, key, fmt.Sprint(value))
}

// reference returns the lines of a record of the configuration's, and its time: 0 where it has none.
func reference(config *Config, data []byte) ([]string, int64, error) {
	pairs, err := members(data)
	if err != nil {
		return nil, 0, err
	}
	chosen := func(keys []string, fits func(any) bool) int {
		for _, key := range keys {
			at := slices.IndexFunc(pairs, func(p pair) bool { return p.key == key })
			if at >= 0 && fits(pairs[at].value) {
				return at
			}
		}
		return -1
	}
	timeAt := chosen(config.TimeKeys, func(v any) bool { return v != nil })
	messageAt := chosen(config.MessageKeys, func(v any) bool {
		_, isMap := v.([]pair)
		return !isMap && v != nil && v != ""
	})
	var at int64
	if timeAt >= 0 {
		// FuzzTime holds this to other readers.
		switch value := pairs[timeAt].value.(type) {
		case string:
			at, _ = new(clock).parse([]byte(value))
		case json.Number:
			at, _ = parseEpoch([]byte(value))
		}
	}

	var lines []string
	var labels, tags, others []pair
	owned := make(map[string]any)
	for _, key := range slices.Sorted(maps.Keys(config.Tags)) {
		owned[key] = config.Tags[key]
		tags = append(tags, pair{key, config.Tags[key]})
	}
	ownedByTags := maps.Clone(owned)
	for i, p := range pairs {
		_, there := owned[p.key]
		switch {
		case i == timeAt && at != 0:
		case i == messageAt:
			lines = append(lines, line("body", "", p.value))
		case slices.Contains(config.Labels, p.key) && !there:
			labels = append(labels, p)
			owned[p.key] = p.value
		default:
			others = append(others, p)
		}
	}
	for _, p := range append(tags, renamed(flattened(inOrder(labels, config.Labels), ""), ownedByTags)...) {
		lines = append(lines, line("resource", p.key, p.value))
	}
	// Keys that are candidates for the time or the message come after the others, but for a second one of the same.
	var early, late []pair
	seen := make(map[string]bool)
	for _, keys := range [][]string{config.MessageKeys, config.TimeKeys} {
		for _, key := range keys {
			if i := slices.IndexFunc(pairs, func(p pair) bool { return p.key == key }); i >= 0 && i != messageAt && (i != timeAt || at == 0) {
				late = append(late, pairs[i])
				seen[key] = true
			}
		}
	}
	for _, p := range others {
		if seen[p.key] {
			seen[p.key] = false
			continue
		}
		early = append(early, p)
	}
	for _, p := range renamed(flattened(append(early, late...), ""), owned) {
		lines = append(lines, line("record", p.key, p.value))
	}
	slices.Sort(lines)
	return lines, at, nil
}

func inOrder(pairs []pair, keys []string) []pair {
	slices.SortStableFunc(pairs, func(a, b pair) int { return slices.Index(keys, a.key) - slices.Index(keys, b.key) })
	return pairs
}

// referenceEpoch returns the nanoseconds of a number.
func referenceEpoch(text string) int64 {
	if len(text) > 40 || exponentOf(text) > 400 {
		return 0
	}
	value, ok := new(big.Rat).SetString(text)
	if !ok || value.Sign() <= 0 {
		return 0
	}
	unit := int64(1e9)
	if !strings.ContainsAny(text, ".eE") {
		for limit := int64(1 << 31); unit > 1 && value.Cmp(new(big.Rat).SetInt64(limit)) >= 0; limit *= 1000 {
			unit /= 1000
		}
	}
	value.Mul(value, new(big.Rat).SetInt64(unit))
	nanos := new(big.Int).Quo(value.Num(), value.Denom())
	if !nanos.IsInt64() {
		return 0
	}
	return nanos.Int64()
}

func exponentOf(text string) int {
	at := strings.IndexAny(text, "eE")
	if at < 0 {
		return 0
	}
	exponent, err := strconv.Atoi(text[at+1:])
	if err != nil {
		return 1 << 30
	}
	return max(exponent, -exponent)
}

// linesOf returns the lines of a record as the reference has them.
func linesOf(resource pcommon.Resource, record plog.LogRecord) []string {
	var lines []string
	if record.Body().Type() != pcommon.ValueTypeEmpty {
		lines = append(lines, line("body", "", plain(record.Body())))
	}
	for key, value := range resource.Attributes().All() {
		lines = append(lines, line("resource", key, plain(value)))
	}
	for key, value := range record.Attributes().All() {
		lines = append(lines, line("record", key, plain(value)))
	}
	slices.Sort(lines)
	return lines
}

func plain(value pcommon.Value) any {
	switch value.Type() {
	case pcommon.ValueTypeEmpty:
		return nil
	case pcommon.ValueTypeMap:
		pairs := []pair{}
		for key, inner := range value.Map().All() {
			pairs = append(pairs, pair{key, plain(inner)})
		}
		return pairs
	}
	return value.AsString()
}

var fuzzConfig = map[string]any{
	"on_invalid_time": "message_time",
	"tags":            map[string]any{"pipeline": "p"},
	"labels":          []any{"stream", "env", "kubernetes"},
}

// FuzzDecode holds the decoder to encoding/json: what that takes for an object is taken, and has the same fields. After
// an error the request is as before.
func FuzzDecode(f *testing.F) {
	for _, message := range allMessages(f) {
		f.Add(message)
	}
	f.Add([]byte(`{"a":true,"a":true,"a":null,"a_2":1,"pipeline":"p","pipeline":2,"stream":{"x":1,"x":2},"env":[],"stream":3}`))
	f.Add([]byte(`{"@timestamp":"x","date":1.5e9,"log":"\ud800\ud800A\\u0041","kubernetes":{"pipeline":{},"":{"":""}}}`))
	config := testConfig(f, fuzzConfig)
	ext := newExtension(config)
	used := ext.NewLogsUnmarshaler()
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 1<<16 {
			return
		}
		fresh := ext.NewLogsUnmarshaler()
		require.NoError(t, fresh.Append([]byte(`{"log":"before","env":"e"}`), arrived))
		require.NoError(t, used.Append([]byte(`{"log":"before","env":"e"}`), arrived))
		err := fresh.Append(data, arrived)
		usedErr := used.Append(data, arrived)
		require.Equal(t, err, usedErr)
		logs := fresh.Logs()
		require.Equal(t, encoded(t, logs), encoded(t, used.Logs()), "what was decoded before shows")
		if err != nil {
			require.Equal(t, 1, logs.LogRecordCount())
		}
		lines, at, refErr := reference(config, data)
		if !json.Valid(data) || refErr != nil || strings.Contains(strings.Join(lines, ""), `\ufffd`) || strings.ContainsRune(strings.Join(lines, ""), utf8.RuneError) {
			return // no object, or one with what encoding/json replaces
		}
		if depthOf(data) > 299 {
			return
		}
		require.NoError(t, err)
		require.Equal(t, 2, logs.LogRecordCount())
		resource := logs.ResourceLogs().At(logs.ResourceLogs().Len() - 1)
		records := resource.ScopeLogs().At(0).LogRecords()
		record := records.At(records.Len() - 1)
		require.Equal(t, lines, linesOf(resource.Resource(), record))
		if at != 0 {
			require.Equal(t, at, int64(record.Timestamp())) //nolint:gosec // G115: before 2262
		}
	})
}

func depthOf(data []byte) int {
	decoder := json.NewDecoder(bytes.NewReader(data))
	depth, deepest := 0, 0
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) || err != nil {
			return deepest
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			depth++
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
		deepest = max(deepest, depth)
	}
}

// FuzzTime holds the reader of timestamps to time.Parse and to exact fractions.
func FuzzTime(f *testing.F) {
	for _, text := range []string{
		"2024-11-22T11:40:00.123456789Z", "2024-02-29T23:59:59+05:30", "2024-11-22T11:40:00-07:00", "1732275600", "1732275600.1", "1e9", "1.5E+9",
		"17322756001234567890", "0.000000001", "199e-7", "1.0e-3", "2261-12-31T23:59:59.999999999Z",
	} {
		f.Add(text)
	}
	var c clock
	f.Fuzz(func(t *testing.T, text string) {
		got, ok := c.parse([]byte(text))
		if ok {
			assert.Positive(t, got)
		}
		if want, err := time.Parse(time.RFC3339Nano, text); err == nil && want.After(time.Unix(0, 0)) && want.Year() < 2262 {
			require.True(t, ok)
			require.Equal(t, want.UnixNano(), got)
			return
		}
		if _, err := strconv.ParseFloat(text, 64); err == nil && !strings.ContainsAny(text, "xXpP_+nNiI") && len(text) < 19 && text[0] != '-' {
			want := referenceEpoch(text)
			require.Equal(t, want, got)
			require.Equal(t, want > 0, ok)
		}
	})
}
