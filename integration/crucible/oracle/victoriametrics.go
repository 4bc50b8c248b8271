package oracle

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/breakwater-otel/breakwater/integration/crucible/load"
)

// VictoriaMetrics reads the series of NewOTLPMetrics from a VictoriaMetrics. Samples of one series and one millisecond
// are one where the server runs with -dedup.minScrapeInterval=1ms.
type VictoriaMetrics struct {
	Client *http.Client // http.DefaultClient by default
	URL    string
	// Resends shows also the copies that the server's deduplication hides from queries and has not yet removed from disk.
	Resends bool
}

// Name returns what it is called in errors.
func (VictoriaMetrics) Name() string { return "VictoriaMetrics" }

// countRange is how far Count looks back from its ahead: samples may be a little ahead of the clock, since their times
// follow from their numbers.
const (
	countAhead = 24 * time.Hour
	countRange = "30d"
)

// Count returns the number of samples of the last weeks.
func (v VictoriaMetrics) Count(ctx context.Context) (int64, error) {
	return instant(ctx, v.Client, v.URL+"/api/v1/query", url.Values{
		"query": {"sum(count_over_time(" + load.SeriesSelector + "[" + countRange + "]))"},
		"time":  {time.Now().Add(countAhead).UTC().Format(time.RFC3339)},
		// Without it a repeated query may not see what came in between.
		"nocache": {"1"},
	})
}

// Each reads every sample, of any time.
func (v VictoriaMetrics) Each(ctx context.Context, each func(Found) error) error {
	// A start of 0 would mean the default, the last minutes.
	form := url.Values{"match[]": {load.SeriesSelector}, "start": {"1"}, "end": {"4102444800"}}
	if v.Resends {
		form.Set("reduce_mem_usage", "1")
	}
	body, err := ask(ctx, v.Client, v.URL+"/api/v1/export", form)
	if err != nil {
		return err
	}
	defer func() { _ = body.Close() }()
	for decoder := json.NewDecoder(body); ; {
		var series struct {
			Metric     map[string]string `json:"metric"`
			Values     []float64         `json:"values"`
			Timestamps []int64           `json:"timestamps"`
		}
		err := decoder.Decode(&series)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if len(series.Values) != len(series.Timestamps) {
			return errors.New("export: values and timestamps differ in number")
		}
		for i, value := range series.Values {
			err := each(Found{
				Metric: series.Metric["__name__"], Value: value,
				Time: time.UnixMilli(series.Timestamps[i]), Labels: series.Metric,
			})
			if err != nil {
				return err
			}
		}
	}
}
