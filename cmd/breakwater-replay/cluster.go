package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// cluster is Kafka as the command asks it.
type cluster struct {
	options []kgo.Opt
	client  *kgo.Client
	admin   *kadm.Client
	timeout time.Duration
}

func connect(ctx context.Context, p *profile, timeout time.Duration) (*cluster, error) {
	opts, err := p.clientOptions(ctx)
	if err != nil {
		return nil, err
	}
	opts = append(opts, kgo.DialTimeout(min(5*time.Second, timeout)))
	client, err := kgo.NewClient(opts...)
	if err != nil {
		return nil, err
	}
	c := &cluster{options: opts, client: client, admin: kadm.NewClient(client), timeout: timeout}
	if err := c.reach(ctx); err != nil {
		client.Close()
		return nil, fmt.Errorf("cannot reach Kafka at %s: %w", strings.Join(p.config.Brokers, ", "), err)
	}
	return c, nil
}

func (c *cluster) close() { c.client.Close() }

// reach waits until a broker answers. It returns the last failure, which says more than that time is up.
func (c *cluster) reach(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	var last error
	for {
		err := c.client.Ping(ctx)
		if err == nil {
			return nil
		}
		if last == nil || ctx.Err() == nil {
			last = err
		}
		select {
		case <-ctx.Done():
			return last
		case <-time.After(250 * time.Millisecond):
		}
	}
}

// place is where a partition begins and ends.
type place struct{ start, end int64 }

func (c *cluster) places(ctx context.Context, topic string) (map[int32]place, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	starts, err := c.admin.ListStartOffsets(ctx, topic)
	if err == nil {
		err = starts.Error()
	}
	var ends kadm.ListedOffsets
	if err == nil {
		if ends, err = c.admin.ListEndOffsets(ctx, topic); err == nil {
			err = ends.Error()
		}
	}
	if err != nil {
		return nil, fmt.Errorf("topic %s: %w", topic, err)
	}
	found := make(map[int32]place)
	ends.Each(func(end kadm.ListedOffset) {
		if start, ok := starts.Lookup(topic, end.Partition); ok {
			found[end.Partition] = place{start.Offset, end.Offset}
		}
	})
	if len(found) == 0 {
		return nil, fmt.Errorf("topic %s has no partition", topic)
	}
	return found, nil
}

// after returns the first offset of each partition with a message at or after the time, or its end.
func (c *cluster) after(ctx context.Context, topic string, at time.Time) (map[int32]int64, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	listed, err := c.admin.ListOffsetsAfterMilli(ctx, at.UnixMilli(), topic)
	if err == nil {
		err = listed.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("topic %s: %w", topic, err)
	}
	found := make(map[int32]int64)
	listed.Each(func(o kadm.ListedOffset) { found[o.Partition] = o.Offset })
	return found, nil
}

// commits returns what a group has committed of a topic, with the metadata. It is empty for a group that there is not.
func (c *cluster) commits(ctx context.Context, group, topic string) (map[int32]kadm.Offset, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	found := make(map[int32]kadm.Offset)
	responses, err := c.admin.FetchOffsets(ctx, group)
	if errors.Is(err, kerr.GroupIDNotFound) {
		return found, nil
	}
	if err == nil {
		err = responses.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("group %s: %w", group, err)
	}
	responses.Each(func(o kadm.OffsetResponse) {
		if o.Topic == topic && o.At >= 0 {
			found[o.Partition] = o.Offset
		}
	})
	return found, nil
}

// members returns how many members a group has.
func (c *cluster) members(ctx context.Context, group string) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	described, err := c.admin.DescribeGroups(ctx, group)
	if err != nil {
		return 0, fmt.Errorf("group %s: %w", group, err)
	}
	one := described[group]
	if one.Err != nil && !errors.Is(one.Err, kerr.GroupIDNotFound) {
		return 0, fmt.Errorf("group %s: %w", group, one.Err)
	}
	return len(one.Members), nil
}

// deleteGroups deletes groups that have no members any more. One that there is not is no error.
func (c *cluster) deleteGroups(ctx context.Context, groups ...string) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	for {
		deleted, err := c.admin.DeleteGroups(ctx, groups...)
		for _, group := range groups {
			if d, ok := deleted[group]; ok && d.Err != nil && !errors.Is(d.Err, kerr.GroupIDNotFound) {
				err = errors.Join(err, fmt.Errorf("group %s cannot be deleted: %w", group, d.Err))
			}
		}
		if err == nil || !errors.Is(err, kerr.NonEmptyGroup) || ctx.Err() != nil {
			return err
		}
		select {
		case <-ctx.Done():
		case <-time.After(500 * time.Millisecond):
		}
	}
}

// sizes returns the bytes on disk of the partitions, of their largest replica. There are none for brokers that do not
// tell.
func (c *cluster) sizes(ctx context.Context, topic string, places map[int32]place) map[int32]int64 {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	var set kadm.TopicsSet
	set.Add(topic, slices.Collect(maps.Keys(places))...)
	sizes := make(map[int32]int64)
	described, err := c.admin.DescribeAllLogDirs(ctx, set)
	if err != nil {
		return nil // an estimate that there is not
	}
	described.Each(func(dir kadm.DescribedLogDir) {
		dir.Topics.Each(func(p kadm.DescribedLogDirPartition) {
			sizes[p.Partition] = max(sizes[p.Partition], p.Size)
		})
	})
	return sizes
}

// retention returns what the topic's retention.ms is, for messages.
func (c *cluster) retention(ctx context.Context, topic string) string {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	configs, err := c.admin.DescribeTopicConfigs(ctx, topic)
	if err != nil || len(configs) != 1 {
		return ""
	}
	for _, config := range configs[0].Configs {
		if config.Key == "retention.ms" && config.Value != nil {
			if ms, err := strconv.ParseInt(*config.Value, 10, 64); err == nil && ms >= 0 {
				return (time.Duration(ms) * time.Millisecond).String()
			}
			return "without end"
		}
	}
	return ""
}

// firsts returns the first message of each partition at or after an offset, if there is one before the end.
func (c *cluster) firsts(ctx context.Context, topic string, from map[int32]int64, ends map[int32]place) (map[int32]*kgo.Record, error) {
	found := make(map[int32]*kgo.Record)
	spans := make(map[int32]offsets)
	for partition, offset := range from {
		if offset < ends[partition].end {
			spans[partition] = offsets{offset, ends[partition].end}
		}
	}
	err := c.scan(ctx, topic, spans, func(r *kgo.Record) bool {
		found[r.Partition] = r
		return false
	})
	return found, err
}

// scan reads the spans. It has enough of a partition when visit returns false.
func (c *cluster) scan(ctx context.Context, topic string, spans map[int32]offsets, visit func(*kgo.Record) bool) error {
	from := make(map[int32]kgo.Offset)
	left := make(map[int32]offsets)
	for partition, span := range spans {
		if span.first < span.until {
			from[partition], left[partition] = kgo.NewOffset().At(span.first), span
		}
	}
	if len(from) == 0 {
		return nil
	}
	reader, err := kgo.NewClient(append(c.options[:len(c.options):len(c.options)],
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: from}),
		// Offsets have gaps; a marker of a transaction may be the last one.
		kgo.KeepControlRecords(),
		kgo.FetchMaxBytes(8<<20),
		kgo.FetchMaxPartitionBytes(1<<20),
	)...)
	if err != nil {
		return err
	}
	defer reader.CloseAllowingRebalance()
	for len(left) > 0 {
		waiting, cancel := context.WithTimeout(ctx, c.timeout)
		fetches := reader.PollFetches(waiting)
		cancel()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		switch err := fetches.Err(); {
		case errors.Is(err, context.DeadlineExceeded):
			return fmt.Errorf("topic %s: no messages for %s although there are more", topic, c.timeout)
		case err != nil:
			return fmt.Errorf("read topic %s: %w", topic, err)
		}
		for i := fetches.RecordIter(); !i.Done(); {
			r := i.Next()
			span, ok := left[r.Partition]
			if !ok {
				continue
			}
			if r.Offset >= span.until || !visit(r) || r.Offset+1 >= span.until {
				delete(left, r.Partition)
				reader.PauseFetchPartitions(map[string][]int32{topic: {r.Partition}})
			}
		}
	}
	return nil
}
