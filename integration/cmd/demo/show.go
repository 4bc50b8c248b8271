package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/breakwater-otel/breakwater/integration/harness"
)

const (
	logsTopic    = "otel-logs-v1"
	metricsTopic = "otel-metrics-v1"
)

// wantLabels are the labels that every log row and every series has to bear.
var wantLabels = []string{"site_name", "env", "host_name", "service_name", "job"}

// state is what there is at one moment, from the source to the backends.
type state struct {
	written int64 // lines by the demo's writer
	read    int64 // log records that the agent has read, of all files

	recordsInKafka int64
	pointsInKafka  int64

	rows    int64 // in VictoriaLogs
	arrived harness.TallyReport
	stream  string // one of the streams

	series   int // in VictoriaMetrics
	labelled int // of these, with all labels
	example  harness.Series
}

func (p *pipeline) showPlaces() {
	say("  live     %s", p.consumer.LiveURL())
	say("  logs     %s", p.logs.UI())
	say("  metrics  %s", p.metrics.UI())
	say("  agent    %s", p.agent.MetricsURL())
	say("  consumer %s", p.consumer.MetricsURL())
}

// watch shows the progress until ctx ends.
func (p *pipeline) watch(ctx context.Context) {
	ticker := time.NewTicker(showInterval)
	defer ticker.Stop()
	began := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		rows, err := p.logs.Count(ctx, "*")
		var series []harness.Series
		if err == nil {
			series, err = p.metrics.Series(ctx, `{host_name!=""}`)
		}
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			say("%4.0f s  cannot ask: %v", time.Since(began).Seconds(), err)
		default:
			say("%4.0f s  %7d lines written  %7d rows in VictoriaLogs  %4d series in VictoriaMetrics",
				time.Since(began).Seconds(), p.writer.Written(), rows, len(series))
		}
	}
}

// finish stops the writer, waits until everything has arrived and shows the result. It returns an error when
// something did not arrive.
func (p *pipeline) finish(ctx context.Context) error {
	if err := p.writer.Stop(); err != nil {
		return err
	}
	var last state
	err := harness.Eventually(ctx, time.Second, func(ctx context.Context) (err error) {
		if last, err = p.look(ctx); err != nil {
			return err
		}
		return last.missing()
	})
	last.show()
	p.showPlaces()
	if err != nil {
		return fmt.Errorf("not all has arrived: %w", err)
	}
	return nil
}

// look asks every stage.
func (p *pipeline) look(ctx context.Context) (s state, err error) {
	s.written = p.writer.Written()
	own, err := p.agent.Metrics(ctx)
	if err != nil {
		return s, err
	}
	s.read = int64(own.Sum("otelcol_receiver_accepted_log_records", "receiver", "file_log"))
	if s.recordsInKafka, err = p.client.CountLogRecords(ctx, logsTopic); err != nil {
		return s, err
	}
	if s.pointsInKafka, err = p.client.CountDataPoints(ctx, metricsTopic, "system."); err != nil {
		return s, err
	}

	tally := harness.NewTally()
	err = p.logs.QueryEach(ctx, "*", func(row harness.LogRow) error {
		s.rows++
		tally.Add(row["_msg"])
		if s.stream == "" {
			s.stream = row["_stream"]
		}
		return nil
	})
	if err != nil {
		return s, err
	}
	s.arrived = tally.Compare(p.writer)

	series, err := p.metrics.Series(ctx, `{__name__=~"system_.*"}`)
	if err != nil {
		return s, err
	}
	s.series = len(series)
	for _, labels := range series {
		if !slices.ContainsFunc(wantLabels, func(name string) bool { return labels[name] == "" }) {
			s.labelled++
			s.example = labels
		}
	}
	return s, nil
}

// missing says what has not arrived.
func (s state) missing() error {
	var errs []error
	if !s.arrived.Exact() {
		errs = append(errs, errors.New(s.arrived.String()))
	}
	if s.read == 0 || s.rows != s.read {
		errs = append(errs, fmt.Errorf("the agent has read %d records, and %d rows are in VictoriaLogs", s.read, s.rows))
	}
	if s.labelled < wantSeries {
		errs = append(errs, fmt.Errorf("%d of at least %d host metric series bear all of %s", s.labelled, wantSeries, strings.Join(wantLabels, ", ")))
	}
	return errors.Join(errs...)
}

func (s state) show() {
	say("")
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	row := func(what string, value any, note string) { _, _ = fmt.Fprintf(w, "  %s\t%v\t%s\n", what, value, note) }
	row("lines written", s.written, "by the demo")
	row("records read", s.read, "by the agent, log files of this machine included")
	row("records in Kafka", s.recordsInKafka, logsTopic)
	row("rows in VictoriaLogs", s.rows, s.stream)
	row("  of the demo", s.arrived.Found, fmt.Sprintf("distinct; %d lost, %d twice", s.arrived.Lost, s.arrived.Duplicates))
	row("data points in Kafka", s.pointsInKafka, metricsTopic)
	row("series in VictoriaMetrics", s.series, "host metrics of this machine")
	row("  with all labels", s.labelled, strings.Join(wantLabels, ", "))
	if s.example != nil {
		pairs := make([]string, 0, len(wantLabels))
		for _, name := range wantLabels {
			pairs = append(pairs, fmt.Sprintf("%s=%q", name, s.example[name]))
		}
		row("  one of them", s.example["__name__"], "{"+strings.Join(pairs, ",")+"}")
	}
	_ = w.Flush()
	say("")
}
