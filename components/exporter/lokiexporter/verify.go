package lokiexporter

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/zeebo/xxh3"
	"go.opentelemetry.io/collector/client"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/breakwater-otel/breakwater/components/internal/httpanswer"
)

const (
	// redeliveredKey is in the client metadata of a request that may have been delivered before.
	redeliveredKey = "breakwater.redelivered"

	queryPath = "/loki/api/v1/query_range"
	// queryPage is the most lines that Loki returns by default (limits_config.max_entries_limit_per_query).
	queryPage = 5000
	// maxQueryBytes bounds an answer: a page of lines at their limit.
	maxQueryBytes = 2 << 30
	// maxSuspects bounds the memory of records that Loki may have taken without an answer. One that falls out of it is sent
	// again at worst.
	maxSuspects = 1 << 17
)

// What came of asking for the records of a part; the values are those of the attribute `result` in metadata.yaml.
const (
	verificationFound   = "found"
	verificationPartial = "partial"
	verificationAbsent  = "absent"
	verificationFailed  = "failed"
	verificationUnknown = "unknown"
)

// entryKey is what Loki and we can compare of a record. Structured metadata is not among it: who counts the entries of a key
// needs it not.
type entryKey struct {
	nanos int64
	line  string
}

func keyOfRecord(r *record) entryKey {
	at := r.log.Timestamp()
	if at == 0 {
		at = r.log.ObservedTimestamp()
	}
	return entryKey{nanos: at.AsTime().UnixNano(), line: asReturned(r.log.Body().AsString())}
}

// asReturned returns the line as it comes back in JSON, where a byte that is not UTF-8 is a replacement character.
func asReturned(line string) string { return string([]rune(line)) }

func (k entryKey) hash() uint64 { return xxh3.HashStringSeed(k.line, uint64(k.nanos)) } //nolint:gosec // G115: bits

// suspect reports whether Loki may have records of the part already.
func (e *lokiExporter) suspect(ctx context.Context, records part) bool {
	if !e.config.Idempotency.Enabled {
		return false
	}
	if len(client.FromContext(ctx).Metadata.Get(redeliveredKey)) > 0 {
		return true
	}
	return e.suspects.Len() > 0 && slices.ContainsFunc(records, func(r *record) bool { return e.suspects.Contains(keyOfRecord(r).hash()) })
}

// suspectAll notes that Loki may have taken the records: there was no answer, or one that does not tell.
func (e *lokiExporter) suspectAll(records part) {
	if !e.config.Idempotency.Enabled {
		return
	}
	for _, r := range records {
		e.suspects.Add(keyOfRecord(r).hash(), struct{}{})
	}
}

func (e *lokiExporter) trustAll(records part) {
	if e.suspects.Len() == 0 {
		return
	}
	for _, r := range records {
		e.suspects.Remove(keyOfRecord(r).hash())
	}
}

// missing asks Loki for the records, marks those that it has as delivered, and returns the others.
//
// Loki shows what comes twice once when it is asked for lines, but counts it twice in queries of metrics as long as both are
// in one chunk (v3.7.8, measured), so it is worth asking.
func (e *lokiExporter) missing(ctx context.Context, records part) (part, error) {
	selector := e.selectorOf(records[0])
	keys := make([]entryKey, len(records))
	times := make([]int64, len(records))
	wanted := make(map[entryKey]int, len(records))
	for i, r := range records {
		keys[i] = keyOfRecord(r)
		times[i] = keys[i].nanos
		wanted[keys[i]]++
	}
	slices.Sort(times)
	if selector == "" || times[0] <= 0 {
		// A stream that cannot be asked for, or records whose time is that of their arrival.
		e.countVerification(ctx, verificationUnknown)
		return records, nil
	}
	found := make(map[entryKey]int, len(wanted))
	for _, w := range windowsOf(times) {
		err := e.query(ctx, selector, w, wanted, found)
		if errors.Is(err, errNotAsked) {
			// Its records count as missing.
			e.countVerification(ctx, verificationUnknown)
			continue
		}
		if err != nil {
			e.countVerification(ctx, verificationFailed)
			return nil, err
		}
	}
	var missing part
	for i, r := range records {
		// Records that differ in their metadata alone have one key: all of them are there, or all are sent.
		if found[keys[i]] >= wanted[keys[i]] {
			r.state = stateDelivered
		} else {
			missing = append(missing, r)
		}
	}
	switch len(missing) {
	case 0:
		e.countVerification(ctx, verificationFound)
	case len(records):
		e.countVerification(ctx, verificationAbsent)
	default:
		e.countVerification(ctx, verificationPartial)
	}
	return missing, nil
}

// selectorOf returns the selector of the stream of a record, by the labels that are known; "" where it has none.
func (e *lokiExporter) selectorOf(r *record) string {
	var matchers []string
	for _, name := range e.config.Idempotency.Labels {
		if value, ok := r.resource.Resource().Attributes().Get(name); ok && value.AsString() != "" {
			matchers = append(matchers, labelName(name)+"="+strconv.Quote(value.AsString()))
		}
	}
	if len(matchers) == 0 {
		return ""
	}
	return "{" + strings.Join(matchers, ",") + "}"
}

// labelName returns what Loki makes of the name of an attribute.
func labelName(name string) string {
	return strings.Map(func(c rune) rune {
		if c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' {
			return c
		}
		return '_'
	}, name)
}

// window is a range of time, both ends included.
type window struct{ from, to int64 }

const (
	// maxGap is how far apart records may be that are asked for together: records that are too old or too new are in the
	// same request as others.
	maxGap = int64(10 * time.Minute)
	// maxWindow is below the range that Loki allows a query (limits_config.max_query_length, 721 h).
	maxWindow = int64(24 * time.Hour)
)

// windowsOf returns windows that have all of the times, which are sorted.
func windowsOf(times []int64) []window {
	var windows []window
	for _, at := range times {
		if last := len(windows) - 1; last >= 0 && at-windows[last].to <= maxGap && at-windows[last].from <= maxWindow {
			windows[last].to = at
			continue
		}
		windows = append(windows, window{at, at})
	}
	return windows
}

// errNotAsked says that Loki refuses the question, and will again.
var errNotAsked = errors.New("refused")

// query counts the entries of a stream in a window that are wanted.
func (e *lokiExporter) query(ctx context.Context, selector string, w window, wanted, found map[entryKey]int) error {
	from := w.from
	for {
		entries, err := e.queryPage(ctx, selector, window{from, w.to})
		if err != nil {
			return err
		}
		last := from
		for _, entry := range entries {
			last = max(last, entry.nanos)
		}
		full := len(entries) >= queryPage
		// Those of the last moment come again with the next page, unless the page has nothing else.
		again := full && last > from
		for _, entry := range entries {
			if _, is := wanted[entry]; is && (!again || entry.nanos < last) {
				found[entry]++
			}
		}
		if !full {
			return nil
		}
		if again {
			from = last
		} else {
			from = last + 1 // more entries of one moment than a page holds: the others count as missing
		}
		if from > w.to {
			return nil
		}
	}
}

func (e *lokiExporter) queryPage(ctx context.Context, selector string, w window) ([]entryKey, error) {
	ctx, cancel := context.WithTimeout(ctx, e.config.Idempotency.Timeout)
	defer cancel()
	args := url.Values{
		"query": {selector}, "direction": {"forward"}, "limit": {strconv.Itoa(queryPage)},
		"start": {strconv.FormatInt(w.from, 10)}, "end": {strconv.FormatInt(w.to+1, 10)}, // the end is exclusive
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, e.queryURL+"?"+args.Encode(), http.NoBody)
	if err != nil {
		return nil, err
	}
	request.Header.Set("User-Agent", e.userAgent)
	response, err := e.client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("cannot ask Loki what it has: %w", withoutURL(err))
	}
	content, err := io.ReadAll(io.LimitReader(response.Body, maxQueryBytes))
	if err = errors.Join(err, response.Body.Close()); err != nil {
		return nil, fmt.Errorf("cannot ask Loki what it has: %w", withoutURL(err))
	}
	switch response.StatusCode {
	case http.StatusOK:
	case http.StatusBadRequest, http.StatusUnprocessableEntity:
		return nil, fmt.Errorf("%w by %s: %s", errNotAsked, e.queryURL, httpanswer.Describe(string(content)))
	default:
		return nil, fmt.Errorf("cannot ask Loki what it has: %s answered %s: %s", e.queryURL, response.Status, httpanswer.Describe(string(content)))
	}
	var result struct {
		Data struct {
			Result []struct {
				Values [][]json.RawMessage `json:"values"`
			} `json:"result"`
		} `json:"data"`
	}
	if err := json.Unmarshal(content, &result); err != nil {
		return nil, fmt.Errorf("cannot read what Loki says it has: %w", err)
	}
	var entries []entryKey
	for _, stream := range result.Data.Result {
		for _, value := range stream.Values {
			var at, line string
			if len(value) < 2 {
				return nil, errors.New("cannot read what Loki says it has: an entry without a line")
			}
			if err := errors.Join(json.Unmarshal(value[0], &at), json.Unmarshal(value[1], &line)); err != nil {
				return nil, fmt.Errorf("cannot read what Loki says it has: %w", err)
			}
			nanos, err := strconv.ParseInt(at, 10, 64)
			if err != nil {
				return nil, fmt.Errorf("cannot read what Loki says it has: %w", err)
			}
			entries = append(entries, entryKey{nanos: nanos, line: line})
		}
	}
	return entries, nil
}

func (e *lokiExporter) countVerification(ctx context.Context, result string) {
	e.telemetry.ExporterLokiVerifications.Add(ctx, 1, metric.WithAttributeSet(attribute.NewSet(attribute.String("result", result))))
}

// withoutURL returns the error without the URL of the request, which has labels of records.
func withoutURL(err error) error {
	if wrapped := (*url.Error)(nil); errors.As(err, &wrapped) {
		return wrapped.Err
	}
	return err
}
