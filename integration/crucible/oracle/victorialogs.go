package oracle

import (
	"bufio"
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

// VictoriaLogs reads a VictoriaLogs. The labels are the stream fields. The time is the field original_time where the
// exporter had to replace it, and else _time.
type VictoriaLogs struct {
	Client *http.Client // http.DefaultClient by default
	URL    string
	Filter string // LogsQL without pipes; * by default
}

// Name returns what it is called in errors.
func (VictoriaLogs) Name() string { return "VictoriaLogs" }

// Count returns the number of rows.
func (v VictoriaLogs) Count(ctx context.Context) (int64, error) {
	n := int64(-1)
	err := v.query(ctx, v.filter()+" | stats count() as n", func(row *fastjson.Object) error {
		var err error
		n, err = strconv.ParseInt(string(row.Get("n").GetStringBytes()), 10, 64)
		return err
	})
	if err == nil && n < 0 {
		err = errors.New("VictoriaLogs has not answered how many rows it has")
	}
	return n, err
}

// Each reads every row.
func (v VictoriaLogs) Each(ctx context.Context, each func(Found) error) error {
	streams := map[string]map[string]string{}
	return v.query(ctx, v.filter()+" | fields _time, _msg, _stream, original_time", func(row *fastjson.Object) error {
		at := row.Get("original_time").GetStringBytes()
		if len(at) == 0 {
			at = row.Get("_time").GetStringBytes()
		}
		when, err := time.Parse(time.RFC3339Nano, string(at))
		if err != nil {
			return err
		}
		stream := row.Get("_stream").GetStringBytes()
		labels, ok := streams[string(stream)]
		if !ok {
			if labels, err = parseStream(string(stream)); err != nil {
				return err
			}
			if len(streams) >= maxStreams {
				clear(streams)
			}
			streams[string(stream)] = labels
		}
		return each(Found{Text: string(row.Get("_msg").GetStringBytes()), Time: when, Labels: labels})
	})
}

// maxStreams is how many parsed label sets are kept.
const maxStreams = 4096

func (v VictoriaLogs) filter() string {
	if v.Filter == "" {
		return "*"
	}
	return v.Filter
}

// query calls each for every row. fastjson leaves bytes that are not UTF-8 as they are.
func (v VictoriaLogs) query(ctx context.Context, query string, each func(*fastjson.Object) error) error {
	body, err := ask(ctx, v.Client, v.URL+"/select/logsql/query", url.Values{"query": {query}})
	if err != nil {
		return err
	}
	defer func() { _ = body.Close() }()
	var parser fastjson.Parser
	for reader := bufio.NewReaderSize(body, 256<<10); ; {
		line, err := reader.ReadBytes('\n')
		if len(line) > 0 {
			value, parseErr := parser.ParseBytes(line)
			if parseErr != nil {
				return fmt.Errorf("query %q: %w", query, parseErr)
			}
			row, parseErr := value.Object()
			if parseErr != nil {
				return fmt.Errorf("query %q: %w", query, parseErr)
			}
			if err := each(row); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("query %q: %w", query, err)
		}
	}
}

// parseStream reads {name="value",…}, where the values are quoted as in Go and the names may be.
func parseStream(stream string) (map[string]string, error) {
	bad := fmt.Errorf("%q is not a stream", stream)
	rest, open := strings.CutPrefix(stream, "{")
	rest, closed := strings.CutSuffix(rest, "}")
	if !open || !closed {
		return nil, bad
	}
	labels := map[string]string{}
	for rest != "" {
		name, after, err := cutName(rest)
		if err != nil {
			return nil, bad
		}
		quoted, err := strconv.QuotedPrefix(after)
		if err != nil {
			return nil, bad
		}
		value, err := strconv.Unquote(quoted)
		if err != nil {
			return nil, bad
		}
		labels[name] = value
		rest = strings.TrimPrefix(after[len(quoted):], ",")
	}
	return labels, nil
}

func cutName(text string) (name, rest string, err error) {
	if strings.HasPrefix(text, `"`) {
		quoted, err := strconv.QuotedPrefix(text)
		if err != nil {
			return "", "", err
		}
		if name, err = strconv.Unquote(quoted); err != nil {
			return "", "", err
		}
		text = text[len(quoted):]
		if !strings.HasPrefix(text, "=") {
			return "", "", errors.New("no =")
		}
		return name, text[1:], nil
	}
	name, rest, found := strings.Cut(text, "=")
	if !found {
		return "", "", errors.New("no =")
	}
	return name, rest, nil
}
