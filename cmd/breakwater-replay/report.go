package main

import (
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"
	"time"
)

// report prints what is to be sent.
func (pl *plan) report(stdout io.Writer, p *profile, goesOn bool) error {
	if goesOn {
		_, _ = fmt.Fprintf(stdout, "goes on with replay %s of topic %s, %s: %d of %d messages are settled\n", pl.name, pl.topic, pl.text, pl.messages()-pl.left(), pl.messages())
	} else {
		_, _ = fmt.Fprintf(stdout, "replay %s of topic %s, %s, as group %s\n", pl.name, pl.topic, pl.text, pl.group)
	}
	total := &span{from: 0, until: pl.left()}
	total.exact = true
	table := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "PARTITION\tFIRST OFFSET\tLAST OFFSET\tMESSAGES\tBYTES\tRECORDS\tFIRST TIME\tLAST TIME")
	for _, s := range pl.spans {
		if s.left() == 0 {
			_, _ = fmt.Fprintf(table, "%d\t-\t-\t0\t0\t0\t-\t-\n", s.partition)
			continue
		}
		_, _ = fmt.Fprintf(table, "%d\t%d\t%d\t%d\t%s\t%s\t%s\t%s\n", s.partition, max(s.from, s.settled), s.until-1, s.sendable(), s.bytesText(), s.recordsText(p),
			timeText(s.first), timeText(s.last))
		total.add(s)
	}
	_, _ = fmt.Fprintf(table, "total\t\t\t%d\t%s\t%s\t%s\t%s\n", total.read, total.bytesText(), total.recordsText(p), timeText(total.first), timeText(total.last))
	if err := table.Flush(); err != nil {
		return err
	}
	for _, group := range []struct {
		word  string
		lines []string
	}{{"missing", pl.missing}, {"not delivered by the live group yet", pl.ahead}, {"note", pl.notes}} {
		for _, line := range group.lines {
			if _, err := fmt.Fprintf(stdout, "%s: %s\n", group.word, line); err != nil {
				return err
			}
		}
	}
	return nil
}

// sendable is how many messages are to be sent: exactly, where they were read, and else what there are offsets of.
func (s *span) sendable() int64 {
	if s.exact {
		return s.read
	}
	return s.left()
}

// add adds a span to the total, in which read is that of sendable.
func (s *span) add(other *span) {
	s.read += other.sendable()
	s.exact = s.exact && other.exact
	s.records += other.records
	s.broken += other.broken
	if other.bytes < 0 || s.bytes < 0 {
		s.bytes = -1
	} else {
		s.bytes += other.bytes
	}
	if !other.first.IsZero() && (s.first.IsZero() || other.first.Before(s.first)) {
		s.first = other.first
	}
	if other.last.After(s.last) {
		s.last = other.last
	}
}

func (s *span) bytesText() string {
	switch {
	case s.bytes < 0:
		return "?"
	case s.exact:
		return strconv.FormatInt(s.bytes, 10)
	}
	return fmt.Sprintf("~%d on disk", s.bytes)
}

func (s *span) recordsText(p *profile) string {
	switch {
	case !s.exact || p.counter() == nil:
		return "?"
	case s.broken > 0:
		return fmt.Sprintf("%d and %d messages undecodable", s.records, s.broken)
	}
	return strconv.FormatInt(s.records, 10)
}

func timeText(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return stamp(t)
}

// summary prints what became of the replay, by the metrics of the consumer of this run.
func (pl *plan) summary(stdout io.Writer, p *profile, last samples) error {
	table := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	line := func(what string, n int64, remark string) { _, _ = fmt.Fprintf(table, "%s\t%d\t%s\n", what, n, remark) }
	line("messages settled", pl.messages()-pl.left(), fmt.Sprintf("of %d", pl.messages()))
	line("messages read", last.int("receiver_durable_kafka_delivered_messages")+last.int("receiver_durable_kafka_dead_letters"), "in this run, those that were read again included")
	for _, id := range p.reachedExporters() {
		switch typeOf(id) {
		case "dead_letter_store":
		case "victorialogs":
			line("rows stored", last.int("exporter_victorialogs_sent_records"), id)
			line("rows already there", last.int("exporter_victorialogs_present_records"), id+": found by asking, and not sent")
		case "remote_write":
			line("data points sent", last.int("exporter_remote_write_sent_data_points"), id+": the backend counts those that it has once")
		default:
			n := last.int("exporter_sent_log_records "+id) + last.int("exporter_sent_metric_points "+id) + last.int("exporter_sent_spans "+id)
			line("records sent", n, id)
		}
	}
	line("records dead-lettered", last.int("connector_dead_letter_records"), "refused by a backend")
	line("messages dead-lettered", last.int("receiver_durable_kafka_dead_letters"), "undecodable")
	return table.Flush()
}
