package main

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// bounds are what was asked for: times, or offsets by partition.
type bounds struct {
	text    string    // as it was given
	from    time.Time // zero: the start of the topic
	to      time.Time // zero: now
	offsets map[int32]offsets
}

// offsets are those of [first, until); until is toEnd where none was given.
type offsets struct{ first, until int64 }

const toEnd = int64(math.MaxInt64)

// none says that no range was given.
func (b *bounds) none() bool { return b.text == "" }

func parseBounds(from, to, ranges string, now time.Time) (bounds, error) {
	if ranges != "" {
		if from != "" || to != "now" {
			return bounds{}, errors.New("-offsets and -from, -to exclude each other")
		}
		parsed, err := parseOffsets(ranges)
		return bounds{text: ranges, offsets: parsed}, err
	}
	if from == "" {
		return bounds{}, errors.New("no range given: -from and -to, or -offsets")
	}
	b := bounds{text: from + " to " + to}
	var err error
	if from != "start" {
		if b.from, err = parseTime("-from", from, now); err != nil {
			return bounds{}, err
		}
	}
	if to != "now" {
		if b.to, err = parseTime("-to", to, now); err != nil {
			return bounds{}, err
		}
	}
	end := b.to
	if end.IsZero() {
		end = now
	}
	if !b.from.Before(end) {
		return bounds{}, errors.New("-from must be before -to, and before now")
	}
	return b, nil
}

// parseTime reads a time, or how long ago it was. Kafka knows milliseconds.
func parseTime(flag, text string, now time.Time) (time.Time, error) {
	if ago, err := time.ParseDuration(text); err == nil {
		if ago < 0 {
			return time.Time{}, fmt.Errorf("%s %s is in the future", flag, text)
		}
		return now.Add(-ago).Truncate(time.Millisecond).UTC(), nil
	}
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return time.Time{}, fmt.Errorf("%s %q must be RFC 3339 (2026-01-02T15:04:05Z) or how long ago (2h30m)", flag, text)
	}
	if !at.Equal(at.Truncate(time.Millisecond)) {
		return time.Time{}, fmt.Errorf("%s %q: the times of messages are milliseconds", flag, text)
	}
	return at.UTC(), nil
}

// parseOffsets reads partition:first-last, comma-separated.
func parseOffsets(text string) (map[int32]offsets, error) {
	parsed := make(map[int32]offsets)
	for _, word := range words(text) {
		fail := fmt.Errorf("-offsets: %q must be partition:first-last or partition:first-", word)
		partitionText, rest, ok := strings.Cut(word, ":")
		firstText, lastText, isRange := strings.Cut(rest, "-")
		partition, partitionErr := strconv.ParseInt(partitionText, 10, 32)
		first, firstErr := strconv.ParseInt(firstText, 10, 64)
		if !ok || !isRange || partitionErr != nil || firstErr != nil || partition < 0 || first < 0 {
			return nil, fail
		}
		r := offsets{first, toEnd}
		if lastText != "" {
			last, err := strconv.ParseInt(lastText, 10, 64)
			if err != nil || last == math.MaxInt64 {
				return nil, fail
			}
			if r.until = last + 1; last < first {
				return nil, fmt.Errorf("-offsets: %q ends before it begins", word)
			}
		}
		if _, twice := parsed[int32(partition)]; twice {
			return nil, fmt.Errorf("-offsets: partition %d is there twice", partition)
		}
		parsed[int32(partition)] = r
	}
	if len(parsed) == 0 {
		return nil, errors.New("-offsets is empty")
	}
	return parsed, nil
}
