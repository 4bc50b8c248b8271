package victorialogsexporter

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/valyala/fastjson"
	"github.com/zeebo/xxh3"
)

// parsedRow is a row as a line of /insert/jsonline or an answer to a query has it.
type parsedRow struct {
	time   int64 // nanoseconds since the epoch
	fields []textField
}

type textField struct{ name, text string }

var errNoTime = errors.New("the row has no _time")

// parseRow reads a row. Its texts are bytes as they are in the line, also where they are not UTF-8, which encoding/json
// would replace. They are valid until the parser's next use.
func parseRow(parser *fastjson.Parser, line []byte) (parsedRow, error) {
	value, err := parser.ParseBytes(line)
	if err != nil {
		return parsedRow{}, fmt.Errorf("cannot parse a row: %w", shorten(err))
	}
	object, err := value.Object()
	if err != nil {
		return parsedRow{}, errors.New("a row is not a JSON object")
	}
	var row parsedRow
	timeErr := errNoTime
	object.Visit(func(key []byte, value *fastjson.Value) {
		text := textOfJSON(value)
		if string(key) == "_time" {
			row.time, timeErr = parseTime(text)
			return
		}
		if text != "" {
			row.fields = append(row.fields, textField{name: string(key), text: text})
		}
	})
	return row, timeErr
}

// shorten keeps a parser's message, which quotes the row, out of errors: records do not belong there.
func shorten(err error) error {
	text, _, _ := strings.Cut(err.Error(), ";")
	const enough = 80
	if len(text) > enough {
		text = text[:enough]
	}
	return errors.New(strings.ToValidUTF8(text, "\uFFFD"))
}

func textOfJSON(value *fastjson.Value) string {
	if value.Type() == fastjson.TypeString {
		return string(value.GetStringBytes())
	}
	return string(value.MarshalTo(nil))
}

// parseTime reads nanoseconds since the epoch or RFC 3339.
func parseTime(text string) (int64, error) {
	if ns, err := strconv.ParseInt(text, 10, 64); err == nil {
		return ns, nil
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return 0, errors.New("the row's _time is neither an integer nor RFC 3339")
	}
	return t.UnixNano(), nil
}

// stream returns the values of the fields in a list of names, as the header has it.
func (row *parsedRow) stream(names string) string {
	var values strings.Builder
	for name := range strings.SplitSeq(names, ",") {
		for _, f := range row.fields {
			if f.name == name {
				_, _ = fmt.Fprintf(&values, "%q=%q,", f.name, f.text)
			}
		}
	}
	return values.String()
}

// rowKey is the hash of a row's fields, and of its time.
type rowKey [16]byte

// key returns the key of the row, without the fields of the given names. It is the same for a row that was clamped and
// one that was not.
func (row *parsedRow) key(withTime bool, without func(name string) bool) rowKey {
	own := strconv.FormatInt(row.time, 10)
	fields := slices.DeleteFunc(row.fields, func(f textField) bool {
		if f.name != originalTimeField {
			return without(f.name)
		}
		own = f.text
		if t, err := parseTime(f.text); err == nil {
			own = strconv.FormatInt(t, 10)
		}
		return true
	})
	slices.SortFunc(fields, func(a, b textField) int { return strings.Compare(a.name, b.name) })
	var hasher xxh3.Hasher
	var length [8]byte
	write := func(text string) {
		binary.LittleEndian.PutUint64(length[:], uint64(len(text)))
		_, _ = hasher.Write(length[:])
		_, _ = hasher.WriteString(text)
	}
	for _, f := range fields {
		write(f.name)
		write(f.text)
	}
	if withTime {
		write(own)
	}
	return hasher.Sum128().Bytes()
}
