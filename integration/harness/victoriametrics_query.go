package harness

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Series is the label set of a series; __name__ is the metric's name.
type Series = map[string]string

// MetricData is one series of VictoriaMetrics with all its raw samples, in order
// of time. Timestamps are Unix milliseconds.
type MetricData struct {
	Labels     Series    `json:"metric"`
	Values     []float64 `json:"values"`
	Timestamps []int64   `json:"timestamps"`
}

// QueryResult is one series of an instant query.
type QueryResult struct {
	Labels Series
	Value  float64
	Time   time.Time
}

// allTime selects samples of any time; without it only the last minutes count. A
// start of 0 would mean the default too.
func allTime(match string) url.Values {
	return url.Values{"match[]": {match}, "start": {"1"}, "end": {"4102444800"}}
}

// Series returns the label sets of all series, of any time, that match a
// selector such as `system_cpu_time_seconds_total` or `{site_name="lab"}`.
func (v *VictoriaMetrics) Series(ctx context.Context, match string) ([]Series, error) {
	var series []Series
	err := v.api(ctx, "/api/v1/series", allTime(match), &series)
	return series, err
}

// Export returns all samples of the series that match a selector, after
// deduplication.
func (v *VictoriaMetrics) Export(ctx context.Context, match string) ([]MetricData, error) {
	body, err := httpGet(ctx, v.client, v.url+"/api/v1/export?"+allTime(match).Encode())
	if err != nil {
		return nil, err
	}
	defer func() { _ = body.Close() }()
	var all []MetricData
	for decoder := json.NewDecoder(body); ; {
		var data MetricData
		switch err := decoder.Decode(&data); {
		case errors.Is(err, io.EOF):
			return all, nil
		case err != nil:
			return nil, fmt.Errorf("export %q: %w", match, err)
		}
		all = append(all, data)
	}
}

// Query runs an instant query (MetricsQL) at the present time.
func (v *VictoriaMetrics) Query(ctx context.Context, query string) ([]QueryResult, error) {
	var data struct {
		ResultType string `json:"resultType"`
		Result     []struct {
			Metric Series `json:"metric"`
			Value  [2]any `json:"value"`
		} `json:"result"`
	}
	// Without nocache a repeated query may not see what came in between.
	args := url.Values{"query": {query}, "nocache": {"1"}}
	if err := v.api(ctx, "/api/v1/query", args, &data); err != nil {
		return nil, err
	}
	if data.ResultType != "vector" {
		return nil, fmt.Errorf("query %q: the result is a %s, not a vector", query, data.ResultType)
	}
	results := make([]QueryResult, 0, len(data.Result))
	for _, r := range data.Result {
		seconds, isNumber := r.Value[0].(float64)
		text, isText := r.Value[1].(string)
		value, err := strconv.ParseFloat(text, 64)
		if !isNumber || !isText || err != nil {
			return nil, fmt.Errorf("query %q: bad sample %v", query, r.Value)
		}
		results = append(results, QueryResult{
			Labels: r.Metric,
			Value:  value,
			Time:   time.UnixMilli(int64(seconds * 1000)),
		})
	}
	return results, nil
}

// QueryRange runs a query (MetricsQL) at every step of a time.
func (v *VictoriaMetrics) QueryRange(ctx context.Context, query string, from, to time.Time, step time.Duration) ([]MetricData, error) {
	var data struct {
		Result []struct {
			Metric Series   `json:"metric"`
			Values [][2]any `json:"values"`
		} `json:"result"`
	}
	args := url.Values{
		"query": {query}, "nocache": {"1"}, "step": {step.String()},
		"start": {strconv.FormatFloat(float64(from.UnixMilli())/1000, 'f', -1, 64)},
		"end":   {strconv.FormatFloat(float64(to.UnixMilli())/1000, 'f', -1, 64)},
	}
	if err := v.api(ctx, "/api/v1/query_range", args, &data); err != nil {
		return nil, err
	}
	all := make([]MetricData, 0, len(data.Result))
	for _, r := range data.Result {
		series := MetricData{Labels: r.Metric}
		for _, point := range r.Values {
			seconds, isNumber := point[0].(float64)
			text, isText := point[1].(string)
			value, err := strconv.ParseFloat(text, 64)
			if !isNumber || !isText || err != nil {
				return nil, fmt.Errorf("query %q: bad sample %v", query, point)
			}
			series.Timestamps = append(series.Timestamps, int64(seconds*1000))
			series.Values = append(series.Values, value)
		}
		all = append(all, series)
	}
	return all, nil
}

// Import writes samples, for tests that need them without a pipeline.
func (v *VictoriaMetrics) Import(ctx context.Context, data ...MetricData) error {
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	for _, d := range data {
		if err := encoder.Encode(d); err != nil {
			return err
		}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, v.url+"/api/v1/import", &body)
	if err != nil {
		return err
	}
	resp, err := httpDo(v.client, req)
	if err != nil {
		return err
	}
	return resp.Close()
}

// api calls an endpoint of the Prometheus API and decodes its data.
func (v *VictoriaMetrics) api(ctx context.Context, path string, args url.Values, data any) error {
	body, err := httpGet(ctx, v.client, v.url+path+"?"+args.Encode())
	if err != nil {
		return err
	}
	defer func() { _ = body.Close() }()
	answer := struct {
		Status string `json:"status"`
		Error  string `json:"error"`
		Data   any    `json:"data"`
	}{Data: data}
	if err := json.NewDecoder(body).Decode(&answer); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if answer.Status != "success" {
		return fmt.Errorf("%s: status %q: %s", path, answer.Status, answer.Error)
	}
	return nil
}
