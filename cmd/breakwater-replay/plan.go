package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// plan is what a replay sends.
type plan struct {
	name, group string
	// id is another one for each replay, also of the same name.
	id    string
	topic string
	text  string // the bounds as they were given
	spans []*span
	// notes are what is good to know, missing what Kafka has deleted of the range.
	notes, missing []string
	// ahead are the partitions of which the live group has not delivered all.
	ahead []string
}

// span is the range of one partition.
type span struct {
	partition   int32
	from, until int64
	// first and last are the times of its first and last message; zero: there is none.
	first, last time.Time
	// settled is the offset up to which an earlier run of the replay has come.
	settled int64
	counts
}

// messages is how many offsets there are: messages, and markers of transactions.
func (s *span) messages() int64 { return max(0, s.until-s.from) }

func (s *span) left() int64 { return max(0, s.until-max(s.from, s.settled)) }

const groupPrefix = "breakwater-replay-"

func groupOf(name string) string { return groupPrefix + name }

func (pl *plan) messages() (n int64) {
	for _, s := range pl.spans {
		n += s.messages()
	}
	return n
}

func (pl *plan) left() (n int64) {
	for _, s := range pl.spans {
		n += s.left()
	}
	return n
}

// newPlan finds the offsets of the range, and what is missing of it.
func newPlan(ctx context.Context, c *cluster, p *profile, opts *options, now time.Time) (*plan, error) {
	pl := &plan{name: opts.name, group: groupOf(opts.name), topic: p.topic, text: opts.bounds.text}
	pl.id = fmt.Sprintf("%s/%d", pl.group, now.UnixNano())
	places, err := c.places(ctx, p.topic)
	if err != nil {
		return nil, err
	}
	if opts.bounds.offsets != nil {
		err = pl.byOffset(opts.bounds.offsets, places)
	} else {
		err = pl.byTime(ctx, c, &opts.bounds, places)
	}
	if err != nil {
		return nil, err
	}
	slices.SortFunc(pl.spans, func(a, b *span) int { return cmp.Compare(a.partition, b.partition) })
	if err := pl.behindLive(ctx, c, p, opts); err != nil {
		return nil, err
	}
	if len(pl.missing) > 0 {
		if kept := c.retention(ctx, p.topic); kept != "" {
			pl.notes = append(pl.notes, fmt.Sprintf("topic %s keeps messages %s", p.topic, kept))
		}
	}
	return pl, pl.times(ctx, c, places)
}

func (pl *plan) byOffset(ranges map[int32]offsets, places map[int32]place) error {
	for _, partition := range slices.Sorted(maps.Keys(ranges)) {
		r := ranges[partition]
		has, ok := places[partition]
		if !ok {
			return fmt.Errorf("-offsets: topic %s has no partition %d", pl.topic, partition)
		}
		if r.until == toEnd {
			r.until = max(has.end, r.first)
		}
		if r.until > has.end {
			return fmt.Errorf("-offsets: partition %d of topic %s ends at offset %d, before %d", partition, pl.topic, has.end-1, r.until-1)
		}
		if gone := min(has.start, r.until); r.first < gone {
			pl.missing = append(pl.missing, fmt.Sprintf("partition %d: Kafka has deleted offsets %d to %d, %d of %d messages", partition, r.first, gone-1, gone-r.first, r.until-r.first))
			r.first = gone
		}
		pl.spans = append(pl.spans, &span{partition: partition, from: r.first, until: r.until})
	}
	return nil
}

func (pl *plan) byTime(ctx context.Context, c *cluster, b *bounds, places map[int32]place) error {
	froms, untils := make(map[int32]int64), make(map[int32]int64)
	var err error
	if !b.from.IsZero() {
		if froms, err = c.after(ctx, pl.topic, b.from); err != nil {
			return err
		}
	}
	if !b.to.IsZero() {
		if untils, err = c.after(ctx, pl.topic, b.to); err != nil {
			return err
		}
	}
	starts := make(map[int32]int64)
	for partition, has := range places {
		s := &span{partition: partition, from: has.start, until: has.end}
		if !b.from.IsZero() {
			s.from = max(froms[partition], has.start)
		}
		if !b.to.IsZero() {
			s.until = min(untils[partition], has.end)
		}
		s.until = max(s.until, s.from)
		pl.spans = append(pl.spans, s)
		if has.start > 0 && s.from == has.start && !b.from.IsZero() {
			starts[partition] = has.start
		}
	}
	return pl.deletedBefore(ctx, c, b, starts, places)
}

// deletedBefore finds what is missing of a range of times: in partitions that begin within the range, and that had
// messages before.
func (pl *plan) deletedBefore(ctx context.Context, c *cluster, b *bounds, starts map[int32]int64, places map[int32]place) error {
	firsts, err := c.firsts(ctx, pl.topic, starts, places)
	if err != nil {
		return err
	}
	for _, partition := range slices.Sorted(maps.Keys(starts)) {
		upTo := b.to
		if first := firsts[partition]; first != nil && (upTo.IsZero() || first.Timestamp.Before(upTo)) {
			upTo = first.Timestamp
		}
		text := "now"
		if !upTo.IsZero() {
			if !b.from.Before(upTo) {
				continue
			}
			text = stamp(upTo)
		}
		pl.missing = append(pl.missing, fmt.Sprintf("partition %d: Kafka has deleted everything before offset %d, and with it what there was from %s until %s",
			partition, starts[partition], stamp(b.from), text))
	}
	return nil
}

// behindLive keeps the range to what the live group has settled: what it has not, it will deliver itself.
func (pl *plan) behindLive(ctx context.Context, c *cluster, p *profile, opts *options) error {
	live, err := c.commits(ctx, p.config.GroupID, p.topic)
	if err != nil {
		return err
	}
	if len(live) == 0 {
		pl.notes = append(pl.notes, fmt.Sprintf("group %s has committed nothing of topic %s", p.config.GroupID, p.topic))
		return nil
	}
	open := opts.bounds.offsets == nil && opts.bounds.to.IsZero()
	for _, s := range pl.spans {
		settled := live[s.partition].At
		if s.until <= settled || s.messages() == 0 {
			continue
		}
		if open && !opts.ahead {
			s.until = max(settled, s.from)
			continue
		}
		pl.ahead = append(pl.ahead, fmt.Sprintf("partition %d: offsets %d to %d", s.partition, max(settled, s.from), s.until-1))
	}
	if open && !opts.ahead {
		pl.notes = append(pl.notes, fmt.Sprintf("it ends where group %s has settled, which delivers the rest itself", p.config.GroupID))
	}
	return nil
}

// times finds what times the spans really cover.
func (pl *plan) times(ctx context.Context, c *cluster, places map[int32]place) error {
	firsts, lasts := make(map[int32]int64), make(map[int32]int64)
	for _, s := range pl.spans {
		if s.messages() > 0 {
			firsts[s.partition], lasts[s.partition] = s.from, s.until-1
		}
	}
	first, err := c.firsts(ctx, pl.topic, firsts, places)
	if err != nil {
		return err
	}
	last, err := c.firsts(ctx, pl.topic, lasts, places)
	if err != nil {
		return err
	}
	for _, s := range pl.spans {
		if r := first[s.partition]; r != nil {
			s.first = r.Timestamp
		}
		if r := last[s.partition]; r != nil {
			s.last = r.Timestamp
		}
	}
	return nil
}

// backends says what the backends will not store as it is, because it is older than they look back.
func (pl *plan) backends(ctx context.Context, c *cluster, p *profile, now time.Time) error {
	for _, exporter := range p.exporters {
		// The exporters leave a minute for clocks that differ.
		edge := now.Add(-exporter.maxPast + time.Minute)
		if !slices.ContainsFunc(pl.spans, func(s *span) bool { return !s.first.IsZero() && s.first.Before(edge) }) {
			continue
		}
		offsets, err := c.after(ctx, pl.topic, edge)
		if err != nil {
			return err
		}
		var old int64
		for _, s := range pl.spans {
			old += max(0, min(offsets[s.partition], s.until)-max(s.from, s.settled))
		}
		what := "go to the dead letters"
		if exporter.clamps {
			what = "are stored with the time of sending, and theirs in original_time, also where they had been stored before and the backend has deleted them since"
		}
		if old > 0 {
			pl.notes = append(pl.notes, fmt.Sprintf("%d messages are older than %s, the retention of the backend of %s (`limits::max_past`): records as old %s", old, exporter.maxPast, exporter.id, what))
		}
	}
	return nil
}

// refusal is why the plan must not be run as it is.
func (pl *plan) refusal(p *profile, opts *options) error {
	switch {
	case slices.Contains(p.groups, pl.group):
		return fmt.Errorf("group %s is that of the live consumer", pl.group)
	case len(pl.missing) > 0 && !opts.allowMissing:
		return errors.New("a part of the range is not there any more; -allow-missing goes on with the rest")
	case len(pl.ahead) > 0 && !opts.ahead:
		return fmt.Errorf("group %s has not settled all of the range, and would store the rest again: wait for it, or give -ahead if the replay goes into another backend", p.config.GroupID)
	}
	return nil
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z07:00") }
