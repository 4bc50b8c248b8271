package victorialogsexporter

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/valyala/fastjson"
)

const queryPath = "/select/logsql/query"

// missingRows are the rows of a batch that VictoriaLogs does not have.
type missingRows struct {
	lines    []byte
	lineRows int
	over     []bool // by the over-long lines of the batch
	overRows int
}

func (m *missingRows) rows() int { return m.lineRows + m.overRows }

// verify asks which rows of the batch VictoriaLogs does not have: nil for all of them. An error says that this is not
// known, or not before the attempt is settled.
func (e *victoriaLogsExporter) verify(ctx context.Context, d *delivery, past attempt) (*missingRows, error) {
	missing, result, err := e.ask(ctx, d, past)
	e.countVerification(ctx, result)
	switch result {
	case verificationUnsettled:
		past.looked = true
		e.memory.cache.Add(d.key, past)
	case verificationFailed:
		return nil, fmt.Errorf("cannot ask VictoriaLogs for the rows of an earlier attempt: %w", err)
	}
	return missing, err
}

func (e *victoriaLogsExporter) ask(ctx context.Context, d *delivery, past attempt) (*missingRows, string, error) {
	asked := time.Now()
	filter := d.filter(e.config.Idempotency.Field, past.since)
	visible, err := e.countRows(ctx, d, filter, visibleRows)
	if err != nil {
		return nil, verificationFailed, err
	}
	if visible == d.rows() && !past.compare {
		return &missingRows{over: make([]bool, d.over.rows)}, verificationFound, nil
	}
	wait := past.settled.Sub(asked)
	if wait > 0 && visible < d.rows() {
		return nil, verificationUnsettled, past.errUnsettled(wait, visible, d.rows())
	}
	if d.replayed != nil {
		if filter, err = d.contentFilter(e.config.Idempotency.Field); err != nil {
			return nil, verificationFailed, err
		}
		if visible, err = e.countRows(ctx, d, filter, visibleRows); err != nil {
			return nil, verificationFailed, err
		}
	}
	stored, err := e.countRows(ctx, d, filter, storedRows)
	if err != nil {
		return nil, verificationFailed, err
	}
	if stored == 0 {
		return nil, verificationAbsent, nil
	}
	missing, err := e.missing(ctx, d, filter, stored, visible)
	switch {
	case err != nil:
		return nil, verificationFailed, err
	case missing.rows() == 0:
		return missing, verificationFound, nil
	case d.replayed != nil && missing.rows() == d.rows():
		return nil, verificationAbsent, nil // what is there is of others
	case wait > 0:
		return nil, verificationUnsettled, past.errUnsettled(wait, d.rows()-missing.rows(), d.rows())
	}
	return missing, verificationPartial, nil
}

// When VictoriaLogs is killed it can keep rows and lose the index of their stream. Such rows are stored, but no query
// that reads `_stream` shows them until another row of the stream is (measured; lib/logstorage keeps both by clocks of
// their own).
const (
	storedRows  = "count()"
	visibleRows = "count(_stream)"
)

// filter is the LogsQL filter for the rows of the batch: by their id, and by their time so that the server need not
// look at all partitions, where that is known. Rows without a time of their own have that of an attempt since a time.
func (d *delivery) filter(field string, since time.Time) string {
	filter := d.ids(field)
	from, to := d.minTime, d.maxTime
	if d.untimed {
		from, to = min(from, since.UnixNano()), max(to, d.encoded)
	}
	if d.anyTime || d.untimed && since.IsZero() {
		return filter
	}
	const margin = int64(time.Second)
	at := func(ns int64) string { return time.Unix(0, ns).UTC().Format(time.RFC3339Nano) }
	return fmt.Sprintf(`_time:[%s, %s] %s`, at(max(0, from-margin)), at(to+margin), filter)
}

// countRows returns how many rows of the batch VictoriaLogs has, or shows.
func (e *victoriaLogsExporter) countRows(ctx context.Context, d *delivery, filter, which string) (int, error) {
	present := -1
	query := filter + " | stats " + which + " as present"
	err := e.query(ctx, d, query, func(line []byte) error {
		n, err := strconv.Atoi(fastjson.GetString(line, "present"))
		if err != nil {
			return errors.New("the answer has no count")
		}
		present = n
		return nil
	})
	if err == nil && present < 0 {
		err = errors.New("the answer is empty")
	}
	return present, err
}

// rowSet is how often rows are there.
type rowSet map[rowKey]int

// take removes the row once, if it is there.
func (s rowSet) take(key rowKey) bool {
	if s[key] == 0 {
		return false
	}
	s[key]--
	return true
}

// fetchRows returns the rows that the query answers with, at least so many, or those of them that are wanted.
func (e *victoriaLogsExporter) fetchRows(ctx context.Context, d *delivery, query string, atLeast int, wanted map[rowKey]bool) (rowSet, error) {
	var parser fastjson.Parser
	set := make(rowSet, min(atLeast, d.rows()))
	n := 0
	err := e.query(ctx, d, query, func(line []byte) error {
		row, err := parseRow(&parser, line)
		if err != nil {
			return err
		}
		n++
		if key := row.key(!d.untimed, e.isAdded); wanted == nil || wanted[key] {
			set[key]++
		}
		return nil
	})
	if err == nil && n < atLeast {
		err = fmt.Errorf("%d rows were counted, and %d answered", atLeast, n)
	}
	return set, err
}

// missing compares the rows that VictoriaLogs has of the batch with those of the batch, row by row. Of a stream whose
// rows are stored and not visible it makes one row missing, if none is, which makes the others visible.
func (e *victoriaLogsExporter) missing(ctx context.Context, d *delivery, filter string, storedCount, visibleCount int) (*missingRows, error) {
	wanted, err := d.wanted()
	if err != nil {
		return nil, err
	}
	stored, err := e.fetchRows(ctx, d, filter+" | delete _stream, _stream_id", storedCount, wanted)
	if err != nil {
		return nil, err
	}
	visible := stored
	if visibleCount < storedCount {
		if visible, err = e.fetchRows(ctx, d, filter, visibleCount, wanted); err != nil {
			return nil, err
		}
	}
	c := comparison{delivery: d, stored: stored, visible: maps.Clone(visible), sent: make(map[string]bool)}
	lines, err := c.compare(splitLines(d.lines.data))
	if err != nil {
		return nil, err
	}
	over, err := c.compare(splitLines(d.over.data))
	if err != nil {
		return nil, err
	}
	lines, over = c.show(lines), c.show(over)
	missing := &missingRows{}
	for _, line := range lines {
		if line.missing {
			missing.lines = append(append(missing.lines, line.text...), '\n')
			missing.lineRows++
		}
	}
	for _, line := range over {
		missing.over = append(missing.over, line.missing)
		if line.missing {
			missing.overRows++
		}
	}
	return missing, nil
}

// comparison is that of a batch with what VictoriaLogs has of it.
type comparison struct {
	*delivery
	parser          fastjson.Parser
	stored, visible rowSet
	sent            map[string]bool // the streams of missing rows
}

// comparedLine is a line of the batch and what has been found out about it.
type comparedLine struct {
	text    []byte
	stream  string // the values of its stream fields
	missing bool
	hidden  bool // stored and not visible
}

func (c *comparison) compare(lines [][]byte) ([]comparedLine, error) {
	compared := make([]comparedLine, 0, len(lines))
	for _, text := range lines {
		row, err := parseRow(&c.parser, text)
		if err != nil {
			return nil, err
		}
		line := comparedLine{text: text, stream: row.stream(c.streams)}
		key := row.key(!c.untimed, func(string) bool { return false })
		visible := c.visible.take(key)
		line.missing = !c.stored.take(key)
		line.hidden = !line.missing && !visible
		if line.missing {
			c.sent[line.stream] = true
		}
		compared = append(compared, line)
	}
	return compared, nil
}

// show makes one hidden row of each stream that no missing row is of a missing one.
func (c *comparison) show(lines []comparedLine) []comparedLine {
	for i := range lines {
		if lines[i].hidden && !c.sent[lines[i].stream] {
			lines[i].missing, c.sent[lines[i].stream] = true, true
		}
	}
	return lines
}

// isAdded reports whether the server's rows have the field and the lines do not.
func (e *victoriaLogsExporter) isAdded(name string) bool {
	return name == "_stream" || name == "_stream_id" || name == e.config.Idempotency.Field
}

// query asks VictoriaLogs, and hands each line of a whole answer on. The line is valid until the function returns.
func (e *victoriaLogsExporter) query(ctx context.Context, d *delivery, query string, each func(line []byte) error) error {
	timeout := e.config.Idempotency.Timeout
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	form := url.Values{"query": {query}, "timeout": {timeout.String()}}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, e.queryURL, strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	e.setCommonHeaders(request, d.tenant)
	response, err := e.queryClient.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }() // what counts has been read
	if response.StatusCode != http.StatusOK {
		answer, _ := io.ReadAll(io.LimitReader(response.Body, maxResponseBytes)) // the status is the error
		return fmt.Errorf("%s answered %s: %s", e.queryURL, response.Status, describe(string(answer)))
	}
	reader := bufio.NewReaderSize(response.Body, maxResponseBytes)
	var long []byte
	for {
		part, err := reader.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			long = append(long, part...)
			continue
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		line := part
		if len(long) > 0 {
			long = append(long, part...)
			line = long
		}
		if line = bytes.TrimSpace(line); len(line) > 0 {
			if err := each(line); err != nil {
				return err
			}
		}
		if err != nil {
			return nil // the end of the answer
		}
		long = long[:0]
	}
}
