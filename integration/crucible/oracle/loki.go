package oracle

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Loki reads a Loki. The labels are those of the stream and the structured metadata.
type Loki struct {
	Client   *http.Client // http.DefaultClient by default
	URL      string
	Selector string // {service_name=~".+"} by default, which Loki gives to every stream by itself
	// From and To bound what is read: by default from seven days ago to a day ahead.
	From, To time.Time
	// Limit is how many lines a request asks for: 5,000 by default, which is the most that Loki answers by default.
	Limit int
}

// Name returns what it is called in errors.
func (Loki) Name() string { return "Loki" }

func (l Loki) withDefaults() Loki {
	if l.Selector == "" {
		l.Selector = `{service_name=~".+"}`
	}
	now := time.Now()
	if l.From.IsZero() {
		l.From = now.Add(-7 * 24 * time.Hour)
	}
	if l.To.IsZero() {
		l.To = now.Add(24 * time.Hour)
	}
	if l.Limit == 0 {
		l.Limit = 5000
	}
	return l
}

// Count returns the number of lines.
func (l Loki) Count(ctx context.Context) (int64, error) {
	l = l.withDefaults()
	return instant(ctx, l.Client, l.URL+"/loki/api/v1/query", url.Values{
		"query": {fmt.Sprintf("sum(count_over_time(%s[%ds]))", l.Selector, int64(l.To.Sub(l.From)/time.Second))},
		"time":  {strconv.FormatInt(l.To.UnixNano(), 10)},
	})
}

// maxWindow is how much time one request covers: a server refuses too long a range.
const maxWindow = 24 * time.Hour

// Each reads every line, in windows of time that hold less lines than one answer may. Paging on from the last line would
// lose or double the lines that share its nanosecond.
func (l Loki) Each(ctx context.Context, each func(Found) error) error {
	l = l.withDefaults()
	window := maxWindow
	for from := l.From; from.Before(l.To); {
		to := from.Add(window)
		if to.After(l.To) {
			to = l.To
		}
		found, err := l.page(ctx, from, to)
		if err != nil {
			return err
		}
		if len(found) >= l.Limit {
			if window = to.Sub(from) / 2; window <= 0 {
				return fmt.Errorf("the nanosecond %s has %d lines or more, which is the limit of an answer", from, l.Limit)
			}
			continue
		}
		for _, f := range found {
			if err := each(f); err != nil {
				return err
			}
		}
		from = to
		if len(found) < l.Limit/4 {
			window = min(maxWindow, 4*window)
		}
	}
	return nil
}

// page returns the lines from and including from up to and without to.
func (l Loki) page(ctx context.Context, from, to time.Time) ([]Found, error) {
	body, err := ask(ctx, l.Client, l.URL+"/loki/api/v1/query_range", url.Values{
		"query":     {l.Selector},
		"start":     {strconv.FormatInt(from.UnixNano(), 10)},
		"end":       {strconv.FormatInt(to.UnixNano(), 10)},
		"limit":     {strconv.Itoa(l.Limit)},
		"direction": {"forward"},
	})
	if err != nil {
		return nil, err
	}
	defer func() { _ = body.Close() }()
	var answer struct {
		Status string
		Data   struct {
			ResultType string
			Result     []struct {
				Stream map[string]string
				Values [][]json.RawMessage
			}
		}
	}
	if err := json.NewDecoder(body).Decode(&answer); err != nil {
		return nil, err
	}
	if answer.Status != "success" || answer.Data.ResultType != "streams" {
		return nil, fmt.Errorf("Loki answers with status %q and %q", answer.Status, answer.Data.ResultType)
	}
	var found []Found
	for _, stream := range answer.Data.Result {
		for _, value := range stream.Values {
			var at, text string
			if len(value) < 2 {
				return nil, fmt.Errorf("a line of %d values", len(value))
			}
			if err := json.Unmarshal(value[0], &at); err != nil {
				return nil, err
			}
			if err := json.Unmarshal(value[1], &text); err != nil {
				return nil, err
			}
			nanos, err := strconv.ParseInt(at, 10, 64)
			if err != nil {
				return nil, err
			}
			found = append(found, Found{Text: text, Time: time.Unix(0, nanos), Labels: stream.Stream})
		}
	}
	return found, nil
}
