package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/twmb/franz-go/pkg/kadm"
)

// A replay that has begun is known to Kafka: beside its group there is one that nobody ever joins, whose offsets are the
// ends of the ranges. So it can go on from anywhere, and with the same ranges.
const planSuffix = ".plan"

// saved is the metadata of the offsets of that group.
type saved struct {
	ID   string `json:"id"`
	From int64  `json:"from"`
	Text string `json:"range"`
}

func savePlan(ctx context.Context, c *cluster, pl *plan) error {
	ends := kadm.Offsets{}
	for _, s := range pl.spans {
		metadata, err := json.Marshal(saved{pl.id, s.from, pl.text})
		if err != nil {
			return err
		}
		ends.Add(kadm.Offset{Topic: pl.topic, Partition: s.partition, At: s.until, LeaderEpoch: -1, Metadata: string(metadata)})
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	if err := c.admin.CommitAllOffsets(ctx, pl.group+planSuffix, ends); err != nil {
		return fmt.Errorf("group %s: %w", pl.group+planSuffix, err)
	}
	return nil
}

// loadPlan returns the replay of this name that has begun, or nil.
func loadPlan(ctx context.Context, c *cluster, topic, name string) (*plan, error) {
	pl := &plan{name: name, group: groupOf(name), topic: topic}
	ends, err := c.commits(ctx, pl.group+planSuffix, topic)
	if err != nil {
		return nil, err
	}
	settled, err := c.commits(ctx, pl.group, topic)
	if err != nil {
		return nil, err
	}
	if len(ends) == 0 {
		if len(settled) > 0 {
			return nil, fmt.Errorf("group %s has offsets and no plan beside it: it is not of this command", pl.group)
		}
		return nil, nil
	}
	for partition, end := range ends {
		var s saved
		if err := json.Unmarshal([]byte(end.Metadata), &s); err != nil {
			return nil, fmt.Errorf("group %s is not of this command: %w", pl.group+planSuffix, err)
		}
		pl.id, pl.text = s.ID, s.Text
		sp := &span{partition: partition, from: s.From, until: end.At, settled: s.From}
		if at, ok := settled[partition]; ok {
			sp.settled = max(sp.settled, at.At)
		}
		pl.spans = append(pl.spans, sp)
	}
	slices.SortFunc(pl.spans, func(a, b *span) int { return cmp.Compare(a.partition, b.partition) })
	return pl, nil
}

// progress asks how far the group has come.
func (pl *plan) progress(ctx context.Context, c *cluster) error {
	commits, err := c.commits(ctx, pl.group, pl.topic)
	if err != nil {
		return err
	}
	for _, s := range pl.spans {
		s.settled = max(s.settled, s.from)
		if at, ok := commits[s.partition]; ok {
			s.settled = max(s.settled, at.At)
		}
	}
	return nil
}

// retained finds what Kafka has deleted of the range since the replay has begun.
func (pl *plan) retained(ctx context.Context, c *cluster) error {
	places, err := c.places(ctx, pl.topic)
	if err != nil {
		return err
	}
	for _, s := range pl.spans {
		next := max(s.from, s.settled)
		if gone := min(places[s.partition].start, s.until); next < gone {
			pl.missing = append(pl.missing, fmt.Sprintf("partition %d: Kafka has deleted offsets %d to %d since the replay has begun, %d of %d messages",
				s.partition, next, gone-1, gone-next, s.messages()))
		}
	}
	return nil
}

// list prints the replays of the source's topic that have begun and are not done.
func list(ctx context.Context, opts *options, stdout io.Writer) error {
	p, c, err := open(ctx, opts)
	if err != nil {
		return err
	}
	defer c.close()
	asking, cancel := context.WithTimeout(ctx, opts.timeout)
	defer cancel()
	groups, err := c.admin.ListGroups(asking)
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	found := 0
	for _, group := range groups.Groups() {
		name, isPlan := strings.CutSuffix(group, planSuffix)
		name, ours := strings.CutPrefix(name, groupPrefix)
		if !isPlan || !ours {
			continue
		}
		pl, err := loadPlan(ctx, c, p.topic, name)
		if err != nil {
			return err
		}
		if pl == nil {
			continue // of another topic
		}
		running, err := c.members(ctx, pl.group)
		if err != nil {
			return err
		}
		state := "interrupted"
		if running > 0 {
			state = "running"
		}
		if found++; found == 1 {
			_, _ = fmt.Fprintln(table, "NAME\tTOPIC\tRANGE\tMESSAGES\tLEFT\tSTATE")
		}
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%d\t%s\n", name, pl.topic, pl.text, pl.messages(), pl.left(), state)
	}
	if found == 0 {
		_, err := fmt.Fprintf(stdout, "no replay of topic %s is under way\n", p.topic)
		return err
	}
	return table.Flush()
}

// discard forgets a replay: the next one of its name begins anew.
func discard(ctx context.Context, opts *options, stdout io.Writer) error {
	p, c, err := open(ctx, opts)
	if err != nil {
		return err
	}
	defer c.close()
	pl, err := loadPlan(ctx, c, p.topic, opts.name)
	switch {
	case err != nil:
		return err
	case pl == nil:
		return fmt.Errorf("no replay %s of topic %s is under way", opts.name, p.topic)
	}
	if running, err := c.members(ctx, pl.group); err != nil || running > 0 {
		return errors.Join(err, fmt.Errorf("replay %s is running", opts.name))
	}
	if err := c.deleteGroups(ctx, pl.group, pl.group+planSuffix); err != nil {
		return err
	}
	_, err = fmt.Fprintf(stdout, "replay %s is forgotten; %d of its %d messages had not been settled\n", pl.name, pl.left(), pl.messages())
	return err
}

// open reads the profile and reaches Kafka.
func open(ctx context.Context, opts *options) (*profile, *cluster, error) {
	p, err := loadProfile(ctx, opts)
	if err != nil {
		return nil, nil, err
	}
	c, err := connect(ctx, p, opts.timeout)
	return p, c, err
}
