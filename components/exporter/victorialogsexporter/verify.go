package victorialogsexporter

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
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
// known, or not before settled has passed.
func (e *victoriaLogsExporter) verify(ctx context.Context, d *delivery, settled time.Time) (*missingRows, error) {
	asked := time.Now()
	present, err := e.countRows(ctx, d)
	if err != nil {
		e.countVerification(ctx, verificationFailed)
		return nil, fmt.Errorf("cannot ask VictoriaLogs for the rows of an earlier attempt: %w", err)
	}
	rows := d.rows()
	if present >= rows {
		e.countVerification(ctx, verificationFound)
		return &missingRows{over: make([]bool, d.over.rows)}, nil
	}
	if wait := settled.Sub(asked); wait > 0 {
		e.countVerification(ctx, verificationUnsettled)
		return nil, errUnsettled(wait, present, rows)
	}
	if present == 0 {
		e.countVerification(ctx, verificationAbsent)
		return nil, nil
	}
	missing, err := e.missing(ctx, d, present)
	if err != nil {
		e.countVerification(ctx, verificationFailed)
		return nil, fmt.Errorf("cannot ask VictoriaLogs for the rows of an earlier attempt: %w", err)
	}
	e.countVerification(ctx, verificationPartial)
	return missing, nil
}

// filter is the LogsQL filter for the rows of the batch: by their id, and by their time so that the server need not
// look at all partitions, where that is known.
func (d *delivery) filter(field string) string {
	filter := fmt.Sprintf(`%s:=%q`, strconv.Quote(field), d.id)
	if d.anyTime {
		return filter
	}
	const margin = time.Second
	from := time.Unix(0, max(0, d.minTime-int64(margin))).UTC().Format(time.RFC3339Nano)
	to := time.Unix(0, d.maxTime).Add(margin).UTC().Format(time.RFC3339Nano)
	return fmt.Sprintf(`_time:[%s, %s] %s`, from, to, filter)
}

// countRows returns how many rows of the batch VictoriaLogs shows.
func (e *victoriaLogsExporter) countRows(ctx context.Context, d *delivery) (int, error) {
	present := -1
	err := e.query(ctx, d, d.filter(e.config.Idempotency.Field)+` | stats count() as present`, func(line []byte) error {
		text := fastjson.GetString(line, "present")
		n, err := strconv.Atoi(text)
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

// missing compares the rows that VictoriaLogs has of the batch, at least so many, with those of the batch, row by row.
func (e *victoriaLogsExporter) missing(ctx context.Context, d *delivery, atLeast int) (*missingRows, error) {
	var parser fastjson.Parser
	stored := make(map[rowKey]int, atLeast)
	n := 0
	err := e.query(ctx, d, d.filter(e.config.Idempotency.Field), func(line []byte) error {
		row, err := parseRow(&parser, line)
		if err != nil {
			return err
		}
		n++
		stored[row.key(!d.untimed, e.isAdded)]++
		return nil
	})
	if err != nil {
		return nil, err
	}
	if n < atLeast {
		return nil, fmt.Errorf("%d rows were counted, and %d answered", atLeast, n)
	}

	missing := &missingRows{}
	absent := func(line []byte) (bool, error) {
		row, err := parseRow(&parser, line)
		if err != nil {
			return false, err
		}
		key := row.key(!d.untimed, func(string) bool { return false })
		if stored[key] == 0 {
			return true, nil
		}
		stored[key]--
		return false, nil
	}
	for _, line := range splitLines(d.lines.data) {
		is, err := absent(line)
		if err != nil {
			return nil, err
		}
		if is {
			missing.lines = append(append(missing.lines, line...), '\n')
			missing.lineRows++
		}
	}
	for _, line := range splitLines(d.over.data) {
		is, err := absent(line)
		if err != nil {
			return nil, err
		}
		missing.over = append(missing.over, is)
		if is {
			missing.overRows++
		}
	}
	return missing, nil
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
