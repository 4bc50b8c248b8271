package victorialogsexporter

import (
	"cmp"
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/valyala/fastjson"
	"github.com/zeebo/xxh3"
	"go.opentelemetry.io/collector/client"
)

// replayKey is in the client metadata of a request that another consumer may have delivered, as other requests: messages
// that are merged have other bounds there, and a request of other bounds has another content address. The first value
// names the replay, the second one tells this request from all others of it.
const replayKey = "breakwater.replay"

// replayed is what a batch of a replay is known by beside its content.
type replayed struct {
	// original is the delivery id that a consumer with requests of the same bounds has given to the rows.
	original string
	// mark is what the ids of this replay begin with, and no other ones.
	mark string
}

// replayOf returns the first and second value of replayKey, if the request is of a replay.
func replayOf(ctx context.Context) (name, place string, ok bool) {
	values := client.FromContext(ctx).Metadata.Get(replayKey)
	if len(values) == 0 || values[0] == "" {
		return "", "", false
	}
	if len(values) > 1 {
		place = values[1]
	}
	return values[0], place, true
}

// replay gives the delivery an id of its own. Rows that the replay has stored itself are told by it from those that were
// there before: of two records that are the same in every field, in two requests, the second one is not taken for stored
// because the first one is.
func (d *delivery) replay(name, place string) {
	mark := fmt.Sprintf("r%08x-", uint32(xxh3.HashString(name)))
	hasher := xxh3.New()
	_, _ = hasher.Write(d.key.address[:])
	_, _ = hasher.WriteString(place)
	d.key.address = hasher.Sum128().Bytes()
	d.replayed = &replayed{original: d.id, mark: mark}
	d.id = mark + hex.EncodeToString(d.key.address[:])
}

// ids is the LogsQL filter for the rows of the batch by their id.
func (d *delivery) ids(field string) string {
	if d.replayed == nil {
		return fmt.Sprintf(`%s:=%q`, strconv.Quote(field), d.id)
	}
	return fmt.Sprintf(`%s:in(%q, %q)`, strconv.Quote(field), d.replayed.original, d.id)
}

const (
	// maxWindows bounds the time ranges of a query, windowGap how close two of them may be.
	maxWindows = 32
	windowGap  = int64(100 * time.Millisecond)
	// maxStreamValues is up to how many values of a stream field are named in a query.
	maxStreamValues = 256
	// maxMessageBytes bounds the messages that are named in a query.
	maxMessageBytes = 1 << 20
)

// contentFilter is the LogsQL filter for rows that may be those of the batch, whatever request they were stored by: of
// the times of its rows, and of their streams. Left out is what this replay has stored by other requests.
func (d *delivery) contentFilter(field string) (string, error) {
	rows, err := d.parsed()
	if err != nil {
		return "", err
	}
	filter := rows.times(d.anyTime) + rows.streams(d.streams)
	name := strconv.Quote(field)
	return fmt.Sprintf(`%s (%s:=%q or !%s:=%q*)`, filter, name, d.id, name, d.replayed.mark), nil
}

// parsedRows is what a query narrows rows by.
type parsedRows struct {
	own      []int64 // times of their own, nanoseconds since the epoch
	messages map[string]bool
	untimed  int
	fields   []map[string]string
}

// parsed reads the lines of the batch. A row without a time of its own has that of the encoding.
func (d *delivery) parsed() (*parsedRows, error) {
	rows := &parsedRows{messages: make(map[string]bool)}
	var parser fastjson.Parser
	for _, lines := range [...][][]byte{splitLines(d.lines.data), splitLines(d.over.data)} {
		for _, line := range lines {
			row, err := parseRow(&parser, line)
			if err != nil {
				return nil, err
			}
			rows.add(row, d.untimed && row.time == d.encoded, strings.Split(d.streams, ","))
		}
	}
	return rows, nil
}

func (p *parsedRows) add(row parsedRow, untimed bool, streams []string) {
	own, message := row.time, ""
	values := make(map[string]string, len(streams))
	for _, f := range row.fields {
		switch {
		case f.name == originalTimeField:
			if at, err := parseTime(f.text); err == nil {
				own, untimed = at, false
			}
		case f.name == "_msg":
			message = f.text
		case slices.Contains(streams, f.name):
			values[f.name] = strings.Clone(f.text)
		}
	}
	p.fields = append(p.fields, values)
	if untimed {
		p.untimed++
		p.messages[strings.Clone(message)] = true
		return
	}
	p.own = append(p.own, own)
}

// times is the filter for the times of the rows: those of their own and, where a row may have been clamped, those that
// it was stored with. A row that never had one is found by its message.
func (p *parsedRows) times(clamped bool) string {
	var alternatives []string
	at := func(ns int64) string { return time.Unix(0, ns).UTC().Format(time.RFC3339Nano) }
	for _, w := range windows(p.own) {
		alternatives = append(alternatives, fmt.Sprintf(`_time:[%s, %s]`, at(w.from), at(w.to)))
	}
	if clamped && len(p.own) > 0 {
		// Compared as text: the bounds are whole seconds, and shorter than what lies between them.
		const second = int64(time.Second)
		text := func(ns int64) string { return time.Unix(0, ns).UTC().Format("2006-01-02T15:04:05") }
		alternatives = append(alternatives, fmt.Sprintf(`%s:string_range(%q, %q)`, originalTimeField,
			text(slices.Min(p.own)-second), text(slices.Max(p.own)+2*second)))
	}
	if p.untimed > 0 {
		messages, size := make([]string, 0, len(p.messages)), 0
		for m := range p.messages {
			messages = append(messages, strconv.Quote(m))
			size += len(m)
		}
		if size > maxMessageBytes {
			return "*"
		}
		slices.Sort(messages)
		alternatives = append(alternatives, "_msg:in("+strings.Join(messages, ",")+")")
	}
	return "(" + strings.Join(alternatives, " or ") + ")"
}

type window struct{ from, to int64 }

// windows returns ranges of time that cover the times, with the widest gaps between them left out: the batch of a host
// that was away for long is among those of others, and what lies between is not to be read.
func windows(times []int64) []window {
	if len(times) == 0 {
		return nil
	}
	sorted := slices.Sorted(slices.Values(times))
	type gap struct {
		before int
		length int64
	}
	var gaps []gap
	for i := 1; i < len(sorted); i++ {
		if length := sorted[i] - sorted[i-1]; length > windowGap {
			gaps = append(gaps, gap{i, length})
		}
	}
	slices.SortFunc(gaps, func(a, b gap) int { return cmp.Compare(b.length, a.length) })
	gaps = gaps[:min(len(gaps), maxWindows-1)]
	slices.SortFunc(gaps, func(a, b gap) int { return cmp.Compare(a.before, b.before) })
	var out []window
	first := 0
	for _, g := range gaps {
		out = append(out, window{sorted[first], sorted[g.before-1]})
		first = g.before
	}
	return append(out, window{sorted[first], sorted[len(sorted)-1]})
}

// streams is the filter for the stream fields that all rows have, by the values of the fields: a row whose stream the
// server has lost from its index (see storedRows) has these still.
func (p *parsedRows) streams(names string) string {
	var filter strings.Builder
	for name := range strings.SplitSeq(names, ",") {
		values := make(map[string]bool)
		for _, fields := range p.fields {
			values[fields[name]] = true
			if len(values) > maxStreamValues {
				break
			}
		}
		if name == "" || values[""] || len(values) > maxStreamValues {
			continue
		}
		quoted := make([]string, 0, len(values))
		for value := range values {
			quoted = append(quoted, strconv.Quote(value))
		}
		slices.Sort(quoted)
		_, _ = fmt.Fprintf(&filter, " %s:in(%s)", strconv.Quote(name), strings.Join(quoted, ","))
	}
	return filter.String()
}

// wanted returns the keys of the batch's rows, to keep nothing else of an answer that has the rows of others, too.
func (d *delivery) wanted() (map[rowKey]bool, error) {
	if d.replayed == nil {
		return nil, nil
	}
	keys := make(map[rowKey]bool, d.rows())
	var parser fastjson.Parser
	for _, lines := range [...][][]byte{splitLines(d.lines.data), splitLines(d.over.data)} {
		for _, line := range lines {
			row, err := parseRow(&parser, line)
			if err != nil {
				return nil, err
			}
			keys[row.key(!d.untimed, func(string) bool { return false })] = true
		}
	}
	return keys, nil
}
