package load

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/breakwater-otel/breakwater/integration/harness"
)

// Common is what all writers have. Name is needed; no two writers of a case may have the same.
type Common struct {
	Name string
	Seed uint64
	// Rate is in records a second. 0 is none at all, until SetRate.
	Rate float64
	// Bytes is about how long the random text of a record is; 100 by default.
	Bytes int
	// LargeEvery makes each of that many records one of LargeBytes, 1 MiB by default. 0 makes none.
	LargeEvery int64
	LargeBytes int
	// JumpEvery gives each of that many records a time that is off by the next of Jumps, for writers that give times.
	JumpEvery int64
	Jumps     []time.Duration
	// Labels are in the account. What makes the pipeline give these labels to the records is in the options of the writer.
	Labels map[string]string
}

// PartMarker begins the second and any further piece of a line that was written in pieces, and ends with a space:
// part=writer/number/piece.
const PartMarker = "part="

func (c *Common) check() error {
	switch {
	case c.Name == "":
		return errors.New("a writer needs a name")
	case strings.ContainsAny(c.Name, " /\"\\\n"):
		return fmt.Errorf("writer %q: a name has no space, slash, quote or backslash", c.Name)
	case c.Rate < 0:
		return fmt.Errorf("writer %s: the rate is %v", c.Name, c.Rate)
	case c.JumpEvery > 0 && len(c.Jumps) == 0:
		return fmt.Errorf("writer %s: JumpEvery without Jumps", c.Name)
	}
	if c.Bytes == 0 {
		c.Bytes = 100
	}
	if c.LargeBytes == 0 {
		c.LargeBytes = 1 << 20
	}
	return nil
}

// line returns the whole text of a record.
func (c *Common) line(seq int64) string {
	return c.format(seq, c.payload(seq))
}

func (c *Common) format(seq int64, payload string) string {
	return harness.FormatLine(c.Name, seq, payload)
}

func (c *Common) large(seq int64) bool {
	return c.LargeEvery > 0 && seq%c.LargeEvery == c.LargeEvery-1
}

func (c *Common) payload(seq int64) string {
	n := c.Bytes
	if c.large(seq) {
		n = c.LargeBytes
	}
	payload := randomText(c.Seed, seq, n)
	if seq%8 == 7 {
		// What an encoder may get wrong.
		payload += ` "quoted" C:\dir\new {"k": [1, null]} 100% <a&b> é 日本 🌊	tab`
	}
	return payload
}

// jumped tells by how much the time of a record is off.
func (c *Common) jumped(seq int64) time.Duration {
	if c.JumpEvery == 0 || seq%c.JumpEvery != c.JumpEvery-1 {
		return 0
	}
	return c.Jumps[seq/c.JumpEvery%int64(len(c.Jumps))]
}

// randomText returns n bytes that are the same for the same seed and number.
func randomText(seed uint64, seq int64, n int) string {
	const letters = "abcdefghijklmnopqrstuvwxyz012345 6789 0123456789 ABCDEFGHIJKLMNO"
	text := make([]byte, n)
	// xorshift: the state must not be 0.
	x := (uint64(seq)+1)*0x9e3779b97f4a7c15 ^ seed*0xd1342543de82ef95 | 1
	for i := range text {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		text[i] = letters[x>>58]
	}
	return string(text)
}

// appendFields appends the message and the fields of a JSON object, in order of their names.
func appendFields(dst []byte, text string, fields map[string]string) []byte {
	member := func(name, value string) {
		dst = append(dst, ',')
		dst = append(appendJSON(dst, name), ':')
		dst = appendJSON(dst, value)
	}
	member("log", text)
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		member(name, fields[name])
	}
	return dst
}

// appendJSON does not escape what only matters in HTML, as Docker and Fluent Bit do not.
func appendJSON(dst []byte, text string) []byte {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(text); err != nil {
		panic(err) // a string has a JSON form
	}
	return append(dst, bytes.TrimSuffix(b.Bytes(), []byte("\n"))...)
}
