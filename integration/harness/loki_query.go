package harness

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// LokiEntry is one line of Loki.
type LokiEntry struct {
	Time     time.Time
	Line     string
	Stream   map[string]string // the labels of its stream; not to be changed
	Metadata map[string]string // its structured metadata
}

const (
	lokiPage    = 5_000
	lokiMaxPage = 1_000_000 // max_entries_limit_per_query of loki.yaml
)

// QueryEach runs a LogQL query that gives lines, such as `{service_name="app"}`, and
// calls each for every line between two times, in order of time. It stops at the
// first error of each.
//
// Loki shows lines of one stream with the same time and text as one.
func (l *Loki) QueryEach(ctx context.Context, query string, from, to time.Time, each func(LokiEntry) error) error {
	page := lokiPage
	for {
		entries, err := l.queryPage(ctx, query, from, to, page)
		if err != nil {
			return err
		}
		full := len(entries) >= page
		var last time.Time
		for _, e := range entries {
			if e.Time.After(last) {
				last = e.Time
			}
		}
		if full && last.Equal(from) {
			// More lines of one moment than a page holds.
			if page *= 2; page > lokiMaxPage {
				return fmt.Errorf("query %s: more than %d lines at %s", query, lokiMaxPage, last.Format(time.RFC3339Nano))
			}
			continue
		}
		for _, e := range entries {
			// There may be more of the last moment, so it is left to the next page.
			if full && e.Time.Equal(last) {
				continue
			}
			if err := each(e); err != nil {
				return err
			}
		}
		if !full {
			return nil
		}
		from, page = last, lokiPage
	}
}

// Query is QueryEach for what memory holds.
func (l *Loki) Query(ctx context.Context, query string, from, to time.Time) ([]LokiEntry, error) {
	var entries []LokiEntry
	err := l.QueryEach(ctx, query, from, to, func(e LokiEntry) error {
		entries = append(entries, e)
		return nil
	})
	return entries, err
}

// Count returns the number of lines that a LogQL query gives between two times. Loki
// counts in whole milliseconds, so there may be one more before from.
func (l *Loki) Count(ctx context.Context, query string, from, to time.Time) (int64, error) {
	// The range is without its first moment.
	millis := to.Sub(from).Milliseconds() + 1
	var result []struct {
		Value [2]any `json:"value"`
	}
	err := l.api(ctx, "/loki/api/v1/query", url.Values{
		"query": {fmt.Sprintf("sum(count_over_time(%s [%dms]))", query, millis)},
		"time":  {nanoText(to)},
	}, &result)
	if err != nil || len(result) == 0 {
		return 0, err
	}
	text, _ := result[0].Value[1].(string)
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("count %s: %w", query, err)
	}
	return n, nil
}

func (l *Loki) queryPage(ctx context.Context, query string, from, to time.Time, limit int) ([]LokiEntry, error) {
	var streams []struct {
		Stream map[string]string `json:"stream"`
		Values []lokiValue       `json:"values"`
	}
	err := l.api(ctx, "/loki/api/v1/query_range", url.Values{
		"query": {query},
		"start": {nanoText(from)},
		// The end is exclusive.
		"end":       {nanoText(to.Add(1))},
		"limit":     {strconv.Itoa(limit)},
		"direction": {"forward"},
	}, &streams)
	if err != nil {
		return nil, err
	}
	var entries []LokiEntry
	for _, s := range streams {
		for _, v := range s.Values {
			entries = append(entries, LokiEntry{Time: v.time, Line: v.line, Stream: s.Stream, Metadata: v.metadata})
		}
	}
	return entries, nil
}

// lokiValue is [time, line, {"structuredMetadata": {…}}].
type lokiValue struct {
	time     time.Time
	line     string
	metadata map[string]string
}

func (v *lokiValue) UnmarshalJSON(data []byte) error {
	var categories struct {
		StructuredMetadata map[string]string `json:"structuredMetadata"`
	}
	var at string
	if err := json.Unmarshal(data, &[]any{&at, &v.line, &categories}); err != nil {
		return err
	}
	nanos, err := strconv.ParseInt(at, 10, 64)
	if err != nil {
		return err
	}
	v.time, v.metadata = time.Unix(0, nanos), categories.StructuredMetadata
	return nil
}

func nanoText(t time.Time) string { return strconv.FormatInt(t.UnixNano(), 10) }

// api calls an endpoint and decodes the result of its answer.
func (l *Loki) api(ctx context.Context, path string, args url.Values, result any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, l.url+path, strings.NewReader(args.Encode()))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	// Without it the structured metadata would be among the labels of the stream.
	req.Header.Set("X-Loki-Response-Encoding-Flags", "categorize-labels")
	body, err := httpDo(l.client, req)
	if err != nil {
		return err
	}
	defer func() { _ = body.Close() }()
	var answer struct {
		Status string `json:"status"`
		Data   struct {
			Result any `json:"result"`
		} `json:"data"`
	}
	answer.Data.Result = result
	if err := json.NewDecoder(body).Decode(&answer); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if answer.Status != "success" {
		return fmt.Errorf("%s: status %q", path, answer.Status)
	}
	return nil
}
