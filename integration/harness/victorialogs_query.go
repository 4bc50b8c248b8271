package harness

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/valyala/fastjson"
)

// LogRow is one row of VictoriaLogs: field → value. The usual ones are _msg,
// _time (RFC 3339), _stream ({name="value",…}) and _stream_id.
type LogRow = map[string]string

// Query runs a LogsQL query over all time and returns every row. There is no
// limit of rows; use QueryEach for more than memory holds.
func (v *VictoriaLogs) Query(ctx context.Context, query string) ([]LogRow, error) {
	var rows []LogRow
	err := v.QueryEach(ctx, query, func(row LogRow) error {
		rows = append(rows, row)
		return nil
	})
	return rows, err
}

// QueryEach runs a LogsQL query and calls each for every row, in no particular
// order unless the query sorts. It stops at the first error of each.
func (v *VictoriaLogs) QueryEach(ctx context.Context, query string, each func(LogRow) error) error {
	return v.QueryTenant(ctx, 0, 0, query, each)
}

// QueryTenant is QueryEach for the rows of a tenant.
func (v *VictoriaLogs) QueryTenant(ctx context.Context, account, project uint32, query string, each func(LogRow) error) error {
	// A POST, because a query may be longer than a URL may be.
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, v.url+"/select/logsql/query",
		strings.NewReader(url.Values{"query": {query}}.Encode()))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("AccountID", strconv.FormatUint(uint64(account), 10))
	req.Header.Set("ProjectID", strconv.FormatUint(uint64(project), 10))
	body, err := httpDo(v.client, req)
	if err != nil {
		return err
	}
	defer func() { _ = body.Close() }()
	reader := bufio.NewReaderSize(body, 256<<10)
	for {
		line, err := reader.ReadBytes('\n')
		if len(line) > 0 {
			row, parseErr := parseRow(line)
			if parseErr != nil {
				return fmt.Errorf("query %q: %w", query, parseErr)
			}
			if err := each(row); err != nil {
				return err
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("query %q: %w", query, err)
		}
	}
}

// parseRow reads a line of an answer. encoding/json would put replacement characters for bytes that are not UTF-8,
// which VictoriaLogs stores and returns as they are.
func parseRow(line []byte) (LogRow, error) {
	object, err := fastjson.ParseBytes(line)
	if err != nil {
		return nil, err
	}
	fields, err := object.Object()
	if err != nil {
		return nil, err
	}
	row := make(LogRow, fields.Len())
	fields.Visit(func(name []byte, value *fastjson.Value) {
		text, textErr := value.StringBytes()
		err = errors.Join(err, textErr)
		row[string(name)] = string(text)
	})
	return row, err
}

// Count returns the number of rows that match a LogsQL filter, such as "*" or
// `{job="app"} error`. The filter must not contain pipes.
func (v *VictoriaLogs) Count(ctx context.Context, filter string) (int64, error) {
	return v.number(ctx, filter+" | stats count() as n")
}

// CountUniq returns the number of distinct non-empty values of a field among the
// rows that match a filter.
func (v *VictoriaLogs) CountUniq(ctx context.Context, filter, field string) (int64, error) {
	return v.number(ctx, filter+" | stats count_uniq("+strconv.Quote(field)+") as n")
}

// number runs a query whose result is one row with the field n.
func (v *VictoriaLogs) number(ctx context.Context, query string) (int64, error) {
	rows, err := v.Query(ctx, query)
	if err != nil {
		return 0, err
	}
	if len(rows) != 1 {
		return 0, fmt.Errorf("query %q: %d rows instead of one", query, len(rows))
	}
	n, err := strconv.ParseInt(rows[0]["n"], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("query %q: %w", query, err)
	}
	return n, nil
}

// InsertJSON writes rows by /insert/jsonline, for tests that need rows without a
// pipeline. The fields named by streamFields identify the stream.
func (v *VictoriaLogs) InsertJSON(ctx context.Context, streamFields []string, rows ...LogRow) error {
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	for _, row := range rows {
		if err := encoder.Encode(row); err != nil {
			return err
		}
	}
	args := url.Values{"_stream_fields": {strings.Join(streamFields, ",")}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, v.url+"/insert/jsonline?"+args.Encode(), &body)
	if err != nil {
		return err
	}
	// Without a type of its own the body would be taken for a form, and dropped
	// behind a 200.
	req.Header.Set("Content-Type", "application/stream+json")
	resp, err := httpDo(v.client, req)
	if err != nil {
		return err
	}
	return resp.Close()
}
