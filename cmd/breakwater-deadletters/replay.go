package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/breakwater-otel/breakwater/internal/letters"
)

// maxFlushBytes is how much is produced before it is marked. It is less than a topic
// takes as one batch; a larger message goes alone.
const maxFlushBytes = 512 << 10

// decision says what becomes of a letter.
type decision struct {
	to   string
	skip string // why not
}

// replayer produces letters, and remembers what it has produced.
type replayer struct {
	opts   *options
	from   source
	client *kgo.Client     // nil in a dry run
	marked map[string]bool // before
	done   map[string]bool // in this run

	counts  map[row]*[2]int // letters and records
	pending []pending
	bytes   int
}

// row is a line of the report.
type row struct {
	outcome                    outcome
	why                        string
	reason, signal, source, to string
}

type outcome int

const (
	outcomeReplayed outcome = iota
	outcomeFailed
	outcomeSkipped
)

// pending is a letter that is to be produced.
type pending struct {
	entry  *entry
	id     string
	record *kgo.Record
	row    row
}

func replay(ctx context.Context, opts *options, from source, stdout io.Writer) error {
	marked, err := from.replayed(ctx)
	if err != nil {
		return err
	}
	r := &replayer{opts: opts, from: from, marked: marked, done: map[string]bool{}, counts: map[row]*[2]int{}}
	if opts.yes {
		if r.client, err = newProducer(ctx, opts); err != nil {
			return err
		}
		defer r.client.Close()
	}
	counted, err := from.each(ctx, func(e *entry) error {
		if !opts.selection.matches(e) {
			return nil
		}
		l := &e.letter
		id := l.ID()
		d := r.decide(e, id)
		line := row{why: d.skip, reason: cell(l.Reason), signal: cell(l.Signal), source: cell(l.Topic), to: cell(d.to)}
		switch {
		case d.skip != "":
			line.outcome = outcomeSkipped
			r.count(line, l)
			return nil
		case r.client == nil:
			r.done[id] = true
			r.count(line, l)
			return nil
		default:
			return r.add(ctx, pending{entry: e, id: id, record: letters.Replay(l, d.to), row: line})
		}
	})
	if err == nil {
		err = r.flush(ctx)
	}
	if err != nil {
		return fmt.Errorf("replay stopped; what is marked is not replayed again: %w", err)
	}
	return r.report(stdout, counted)
}

func (r *replayer) count(line row, l *letters.Letter) {
	if r.counts[line] == nil {
		r.counts[line] = &[2]int{}
	}
	r.counts[line][0]++
	r.counts[line][1] += l.Records
}

func (r *replayer) decide(e *entry, id string) decision {
	l := &e.letter
	d := decision{to: r.opts.to}
	if d.to == "" {
		if l.Original() {
			d.to = l.Topic
		} else {
			d.to = r.opts.topicOf[l.Signal]
		}
	}
	switch {
	case r.done[id]:
		d.skip = "copy of another one"
	case r.marked[id] && !r.opts.again:
		d.skip = "replayed before"
	case l.Replays >= r.opts.maxReplays:
		d.skip = fmt.Sprintf("came back %d times (-max-replays %d)", l.Replays, r.opts.maxReplays)
	case d.to == "":
		d.skip = "no topic known (-to)"
	case d.to == r.opts.topic && len(r.opts.files) == 0:
		d.skip = "came from the dead letter topic (-to)"
	}
	return d
}

func (r *replayer) add(ctx context.Context, p pending) error {
	r.done[p.id] = true
	size := len(p.record.Value) + len(p.record.Key)
	if r.bytes > 0 && r.bytes+size > maxFlushBytes {
		if err := r.flush(ctx); err != nil {
			return err
		}
	}
	r.pending = append(r.pending, p)
	r.bytes += size
	return nil
}

// flush produces what has been added, and marks it. A letter that the broker refuses
// stops no other.
func (r *replayer) flush(ctx context.Context) error {
	if len(r.pending) == 0 {
		return nil
	}
	records := make([]*kgo.Record, 0, len(r.pending))
	for _, p := range r.pending {
		records = append(records, p.record)
	}
	failed := produce(ctx, r.client, r.opts.timeout, records)
	var stop error
	var entries []*entry
	var marks []letters.Mark
	for _, p := range r.pending {
		if err := failed[p.record]; err != nil {
			var refusal *kerr.Error
			if !errors.As(err, &refusal) {
				stop = fmt.Errorf("letter %s to topic %s: %w", p.entry.id, p.record.Topic, err)
				continue
			}
			p.row.outcome, p.row.why = outcomeFailed, refusal.Message
			r.count(p.row, &p.entry.letter)
			continue
		}
		entries = append(entries, p.entry)
		marks = append(marks, letters.Mark{
			ID: p.id, To: fmt.Sprintf("%s/%d@%d", p.record.Topic, p.record.Partition, p.record.Offset), Time: time.Now(),
		})
		r.count(p.row, &p.entry.letter)
	}
	r.pending, r.bytes = nil, 0
	if len(marks) > 0 {
		// An interrupt must not come between a message and its mark.
		if err := r.from.mark(context.WithoutCancel(ctx), entries, marks); err != nil {
			stop = errors.Join(stop, fmt.Errorf("letters %s to %s are replayed and not marked: %w", entries[0].id, entries[len(entries)-1].id, err))
		}
	}
	return stop
}

func (r *replayer) report(stdout io.Writer, counted tally) error {
	lines := make([]row, 0, len(r.counts))
	var totals [3]int
	for line, n := range r.counts {
		lines = append(lines, line)
		totals[line.outcome] += n[0]
	}
	slices.SortFunc(lines, func(a, b row) int {
		return cmp.Or(cmp.Compare(a.outcome, b.outcome), cmp.Compare(a.why, b.why), cmp.Compare(a.reason, b.reason),
			cmp.Compare(a.signal, b.signal), cmp.Compare(a.source, b.source), cmp.Compare(a.to, b.to))
	})
	verb := "would be replayed"
	if r.client != nil {
		verb = "replayed"
	}
	table := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	if len(lines) > 0 {
		_, _ = fmt.Fprintln(table, "LETTERS\tRECORDS\tREASON\tSIGNAL\tFROM\tTO\tWHAT")
	}
	for _, line := range lines {
		what := map[outcome]string{
			outcomeReplayed: verb, outcomeFailed: "failed: " + line.why, outcomeSkipped: "skipped: " + line.why,
		}[line.outcome]
		n := r.counts[line]
		_, _ = fmt.Fprintf(table, "%d\t%d\t%s\t%s\t%s\t%s\t%s\n", n[0], n[1], line.reason, line.signal, line.source, line.to, what)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	hint := ""
	if r.client == nil && totals[outcomeReplayed] > 0 {
		hint = "; -yes does it"
	}
	_, err := fmt.Fprintf(stdout, "%d %s, %d skipped%s%s\n", totals[outcomeReplayed], verb, totals[outcomeSkipped], remarks(0, counted), hint)
	if failed := totals[outcomeFailed]; failed > 0 && err == nil {
		err = fmt.Errorf("%d letters are refused where they should go; they are dead letters still", failed)
	}
	return err
}
