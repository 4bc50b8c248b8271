package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/breakwater-otel/breakwater/internal/letters"
)

// entry is a letter and where it is kept.
type entry struct {
	id        string // partition:offset or file:line
	partition int32  // -1 in a file
	offset    int64  // or the line
	path      string // of the file
	letter    letters.Letter
}

// tally is what a source had beside letters.
type tally struct {
	foreign int // records or lines that are no letters
	torn    int // files whose last line is not complete
}

// source is where letters are kept.
type source interface {
	// each visits all letters that are there when it is called, in order.
	each(ctx context.Context, visit func(*entry) error) (tally, error)
	// one returns the letter of this id.
	one(ctx context.Context, id string) (*entry, error)
	// replayed returns the IDs of letters (letters.Letter.ID) that are marked.
	replayed(ctx context.Context) (map[string]bool, error)
	// mark makes marks durable. They are about the entries of the same index.
	mark(ctx context.Context, entries []*entry, marks []letters.Mark) error
	close()
}

func open(ctx context.Context, opts *options) (source, error) {
	if len(opts.files) > 0 {
		return openFiles(opts.files)
	}
	return openTopic(ctx, opts)
}

type topicSource struct {
	brokers []string
	secure  []kgo.Opt
	topic   string
	timeout time.Duration
	client  *kgo.Client // for all but reading
}

func openTopic(ctx context.Context, opts *options) (*topicSource, error) {
	client, err := newProducer(ctx, opts)
	if err != nil {
		return nil, err
	}
	return &topicSource{brokers: opts.brokers, secure: opts.secure, topic: opts.topic, timeout: opts.timeout, client: client}, nil
}

func (s *topicSource) close() { s.client.Close() }

type span struct{ next, end int64 }

// spans returns what the partitions of the topic have.
func (s *topicSource) spans(ctx context.Context) (map[int32]span, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	admin := kadm.NewClient(s.client)
	starts, err := admin.ListStartOffsets(ctx, s.topic)
	if err == nil {
		err = starts.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("topic %s: %w", s.topic, err)
	}
	ends, err := admin.ListEndOffsets(ctx, s.topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("topic %s: %w", s.topic, err)
	}
	found := map[int32]span{}
	ends.Each(func(end kadm.ListedOffset) {
		if start, ok := starts.Lookup(s.topic, end.Partition); ok {
			found[end.Partition] = span{start.Offset, end.Offset}
		}
	})
	return found, nil
}

// scan visits the records of the spans.
func (s *topicSource) scan(ctx context.Context, spans map[int32]span, visit func(*kgo.Record) error) error {
	from := map[int32]kgo.Offset{}
	for partition, sp := range spans {
		if sp.next < sp.end {
			from[partition] = kgo.NewOffset().At(sp.next)
		} else {
			delete(spans, partition)
		}
	}
	if len(from) == 0 {
		return nil
	}
	reader, err := kgo.NewClient(append(s.secure,
		kgo.SeedBrokers(s.brokers...),
		kgo.ClientID(clientID),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{s.topic: from}),
		// Offsets have gaps; a marker of a transaction may be the last one.
		kgo.KeepControlRecords(),
		kgo.FetchMaxBytes(8<<20),
		kgo.FetchMaxPartitionBytes(1<<20),
		kgo.MaxConcurrentFetches(1),
	)...)
	if err != nil {
		return err
	}
	defer reader.Close()
	for len(spans) > 0 {
		fetches, err := s.poll(ctx, reader)
		if err != nil {
			return err
		}
		for i := fetches.RecordIter(); !i.Done(); {
			r := i.Next()
			sp, ok := spans[r.Partition]
			if !ok || r.Offset >= sp.end {
				continue
			}
			if !r.Attrs.IsControl() {
				if err := visit(r); err != nil {
					return err
				}
			}
			if sp.next = r.Offset + 1; sp.next < sp.end {
				spans[r.Partition] = sp
			} else {
				delete(spans, r.Partition)
			}
		}
	}
	return nil
}

func (s *topicSource) poll(ctx context.Context, reader *kgo.Client) (kgo.Fetches, error) {
	waiting, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	fetches := reader.PollFetches(waiting)
	switch err := fetches.Err(); {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.Is(err, context.DeadlineExceeded):
		return nil, fmt.Errorf("topic %s: no records for %s although there are more", s.topic, s.timeout)
	case err != nil:
		return nil, fmt.Errorf("read topic %s: %w", s.topic, err)
	}
	return fetches, nil
}

func (s *topicSource) each(ctx context.Context, visit func(*entry) error) (tally, error) {
	var t tally
	spans, err := s.spans(ctx)
	if err != nil {
		return t, err
	}
	err = s.scan(ctx, spans, func(r *kgo.Record) error {
		if _, isMark := letters.MarkFromRecord(r); isMark {
			return nil
		}
		e, err := entryOf(r)
		if err != nil {
			t.foreign++
			return nil //nolint:nilerr // it is counted, and stops no other
		}
		return visit(e)
	})
	return t, err
}

func entryOf(r *kgo.Record) (*entry, error) {
	l, err := letters.FromRecord(r)
	if err != nil {
		return nil, err
	}
	return &entry{id: fmt.Sprintf("%d:%d", r.Partition, r.Offset), partition: r.Partition, offset: r.Offset, letter: l}, nil
}

func (s *topicSource) one(ctx context.Context, id string) (*entry, error) {
	partitionText, offsetText, _ := strings.Cut(id, ":")
	partition, err := strconv.ParseInt(partitionText, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("id %q must be partition:offset", id)
	}
	offset, err := strconv.ParseInt(offsetText, 10, 64)
	if err != nil {
		return nil, fmt.Errorf("id %q must be partition:offset", id)
	}
	spans, err := s.spans(ctx)
	if err != nil {
		return nil, err
	}
	has, ok := spans[int32(partition)]
	if !ok || offset < has.next || offset >= has.end {
		return nil, fmt.Errorf("topic %s has no record %s", s.topic, id)
	}
	var found *entry
	err = s.scan(ctx, map[int32]span{int32(partition): {offset, offset + 1}}, func(r *kgo.Record) error {
		var err error
		found, err = entryOf(r)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("record %s: %w", id, err)
	}
	if found == nil {
		return nil, fmt.Errorf("topic %s has no record %s", s.topic, id)
	}
	return found, nil
}

func (s *topicSource) replayed(ctx context.Context) (map[string]bool, error) {
	marked := map[string]bool{}
	spans, err := s.spans(ctx)
	if err != nil {
		return nil, err
	}
	return marked, s.scan(ctx, spans, func(r *kgo.Record) error {
		if m, isMark := letters.MarkFromRecord(r); isMark {
			marked[m.ID] = true
		}
		return nil
	})
}

func (s *topicSource) mark(ctx context.Context, _ []*entry, marks []letters.Mark) error {
	records := make([]*kgo.Record, 0, len(marks))
	for _, m := range marks {
		records = append(records, letters.MarkRecord(m, s.topic))
	}
	for _, err := range produce(ctx, s.client, s.timeout, records) {
		return fmt.Errorf("mark in topic %s: %w", s.topic, err)
	}
	return nil
}

type fileSource struct{ paths []string }

func openFiles(list []string) (*fileSource, error) {
	s := &fileSource{}
	for _, path := range list {
		info, err := os.Stat(path)
		if err != nil {
			return nil, err
		}
		if !info.IsDir() {
			s.paths = append(s.paths, path)
			continue
		}
		found, err := filepath.Glob(filepath.Join(path, "*"+letters.FileSuffix))
		if err != nil {
			return nil, err
		}
		sort.Strings(found)
		s.paths = append(s.paths, found...)
	}
	return s, nil
}

func (s *fileSource) close() {}

// errFound ends a visit of all letters.
var errFound = errors.New("found")

func (s *fileSource) each(ctx context.Context, visit func(*entry) error) (tally, error) {
	var t tally
	for _, path := range s.paths {
		if err := s.eachOf(ctx, path, &t, visit); err != nil {
			return t, err
		}
	}
	return t, nil
}

func (s *fileSource) eachOf(ctx context.Context, path string, t *tally, visit func(*entry) error) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }() // it is only read
	for lines := letters.NewReader(file); ctx.Err() == nil; {
		l, err := lines.Next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.Is(err, letters.ErrTorn):
			t.torn++
			return nil
		case errors.Is(err, letters.ErrNotLetter):
			t.foreign++
			continue
		case err != nil:
			return fmt.Errorf("%s: %w", path, err)
		}
		e := &entry{id: fmt.Sprintf("%s:%d", filepath.Base(path), lines.Line()), partition: -1, offset: int64(lines.Line()), path: path, letter: l}
		if err := visit(e); err != nil {
			return err
		}
	}
	return ctx.Err()
}

func (s *fileSource) one(ctx context.Context, id string) (*entry, error) {
	var found *entry
	_, err := s.each(ctx, func(e *entry) error {
		if e.id == id {
			found = e
			return errFound
		}
		return nil
	})
	if found != nil {
		return found, nil
	}
	if err != nil {
		return nil, err
	}
	return nil, fmt.Errorf("no letter %s in the files", id)
}

func (s *fileSource) replayed(context.Context) (map[string]bool, error) {
	marked := map[string]bool{}
	seen := map[string]bool{}
	for _, path := range s.paths {
		path = marksOf(path)
		if seen[path] {
			continue
		}
		seen[path] = true
		if err := readMarks(path, marked); err != nil {
			return nil, err
		}
	}
	return marked, nil
}

func marksOf(path string) string { return filepath.Join(filepath.Dir(path), letters.MarksFile) }

func readMarks(path string, marked map[string]bool) error {
	file, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }() // it is only read
	for lines := letters.NewReader(file); ; {
		m, err := lines.NextMark()
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, letters.ErrTorn):
			return nil
		case errors.Is(err, letters.ErrNotMark):
			continue // the rest of a line that was torn
		case err != nil:
			return fmt.Errorf("%s: %w", path, err)
		}
		marked[m.ID] = true
	}
}

func (s *fileSource) mark(_ context.Context, entries []*entry, marks []letters.Mark) error {
	lines := map[string][]byte{}
	for i, m := range marks {
		path := marksOf(entries[i].path)
		var err error
		if lines[path], err = letters.AppendMark(lines[path], m); err != nil {
			return err
		}
	}
	var errs []error
	for path, content := range lines {
		errs = append(errs, appendSynced(path, content))
	}
	return errors.Join(errs...)
}

// appendSynced appends lines to a file. A line that another process was killed in is
// ended first.
func appendSynced(path string, content []byte) error {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	info, err := file.Stat()
	if err == nil && info.Size() > 0 {
		last := make([]byte, 1)
		if _, err = file.ReadAt(last, info.Size()-1); err == nil && last[0] != '\n' {
			content = append([]byte("\n"), content...)
		}
	}
	if err == nil {
		_, err = file.Write(content)
	}
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return err
	}
	directory, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(directory.Sync(), directory.Close())
}
