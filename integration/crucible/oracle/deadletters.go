package oracle

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/breakwater-otel/breakwater/integration/harness"
)

// reasonHeader is the header of a dead letter in a topic that says why it is there.
const reasonHeader = "breakwater.dead_letter.reason"

// DeadLetterTopic is a topic of dead letters. One that does not exist has none.
type DeadLetterTopic struct {
	Kafka *harness.KafkaClient
	Topic string
}

// Name returns what it is called in errors.
func (d DeadLetterTopic) Name() string { return "dead letters of " + d.Topic }

// Count returns the number of messages.
func (d DeadLetterTopic) Count(ctx context.Context) (int64, error) {
	n, err := d.Kafka.Count(ctx, d.Topic)
	if errors.Is(err, kerr.UnknownTopicOrPartition) {
		return 0, nil
	}
	return n, err
}

// Each reads every message.
func (d DeadLetterTopic) Each(ctx context.Context, each func(DeadLetter) error) error {
	err := d.Kafka.ConsumeEach(ctx, d.Topic, func(r *kgo.Record) error {
		letter := DeadLetter{Value: r.Value}
		for _, h := range r.Headers {
			if h.Key == reasonHeader {
				letter.Reason = string(h.Value)
			}
		}
		return each(letter)
	})
	if errors.Is(err, kerr.UnknownTopicOrPartition) {
		return nil
	}
	return err
}

// DeadLetterFiles are files of dead letters: an object of JSON a line, with the reason and the value in base64. A last
// line without an end is not yet written.
type DeadLetterFiles struct{ Glob string }

// Name returns what it is called in errors.
func (d DeadLetterFiles) Name() string { return "dead letters in " + d.Glob }

// Count returns the number of lines.
func (d DeadLetterFiles) Count(ctx context.Context) (int64, error) {
	var n int64
	err := d.Each(ctx, func(DeadLetter) error { n++; return nil })
	return n, err
}

// Each reads every line.
func (d DeadLetterFiles) Each(ctx context.Context, each func(DeadLetter) error) error {
	paths, err := filepath.Glob(d.Glob)
	if err != nil {
		return err
	}
	for _, path := range paths {
		if err := eachLetter(ctx, path, each); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	return nil
}

func eachLetter(ctx context.Context, path string, each func(DeadLetter) error) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	for reader := bufio.NewReaderSize(file, 64<<10); ctx.Err() == nil; {
		line, err := reader.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		var letter DeadLetter // its fields are those of the line
		if err := json.Unmarshal(line, &letter); err != nil {
			return err
		}
		if err := each(letter); err != nil {
			return err
		}
	}
	return ctx.Err()
}
