package durabilityextension

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"math"
	"strconv"
	"time"
)

// maxMetricsBytes bounds what is read of an answer. A VictoriaMetrics of this line has
// 50 KB, a Loki of many tenants some MB.
const maxMetricsBytes = 8 << 20

// maxLineBytes is the longest line that is looked at; longer ones are passed over.
const maxLineBytes = 16 << 10

// sample is what one answer says of a process.
type sample struct {
	// start is the time of its start in Unix seconds, by its own clock: whole seconds
	// for VictoriaLogs and VictoriaMetrics, of 10 ms for Loki and Prometheus.
	start float64
	// uptime is in whole seconds, rounded down. Loki and Prometheus have none, and 0 here.
	uptime time.Duration
	// flushInterval is its -inmemoryDataFlushInterval, 0 if it does not say.
	flushInterval time.Duration
}

// Why an answer cannot be used.
var (
	errTooLarge   = malformedError("metrics of more than 8 MiB")
	errNoStart    = malformedError("metrics without the start time of the process: not a node of this type")
	errNoUptime   = malformedError("metrics without the uptime of the process: not a node of this type")
	errAmbiguous  = malformedError("metrics with more than one start time: not those of one node")
	errNotANumber = malformedError("metrics with a start time or uptime that is not a number")
)

// malformedError says that an answer is not the metrics of such a node.
type malformedError string

func (err malformedError) Error() string { return string(err) }

// readSample reads the few lines it needs of a metrics page in the Prometheus text
// format.
func readSample(body io.Reader, kind BackendType) (sample, error) {
	startName, uptimeName := "vm_app_start_timestamp", "vm_app_uptime_seconds"
	if !kind.victoria() {
		startName, uptimeName = "process_start_time_seconds", ""
	}
	var s sample
	var starts, uptimes int
	limited := &io.LimitedReader{R: body, N: maxMetricsBytes + 1}
	lines := bufio.NewReaderSize(limited, maxLineBytes)
	for {
		line, err := lines.ReadSlice('\n')
		for errors.Is(err, bufio.ErrBufferFull) {
			line = nil
			_, err = lines.ReadSlice('\n')
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return sample{}, err
		}
		if limited.N == 0 {
			return sample{}, errTooLarge
		}
		if err != nil {
			break // each line ends with a newline: what is left was cut off
		}
		name, labels, value := splitLine(line)
		switch string(name) {
		case "":
		case startName:
			start, ok := number(value)
			if !ok || start == 0 {
				return sample{}, errNotANumber
			}
			if starts++; starts > 1 && start != s.start {
				return sample{}, errAmbiguous
			}
			s.start = start
		case uptimeName:
			uptime, ok := number(value)
			if !ok {
				return sample{}, errNotANumber
			}
			uptimes++
			s.uptime = time.Duration(uptime * float64(time.Second))
		case "flag":
			if kind.victoria() && label(labels, "name") == "inmemoryDataFlushInterval" {
				if d, err := time.ParseDuration(label(labels, "value")); err == nil && d > s.flushInterval {
					s.flushInterval = d
				}
			}
		}
	}
	switch {
	case starts == 0:
		return sample{}, errNoStart
	case uptimeName != "" && uptimes == 0:
		return sample{}, errNoUptime
	}
	return s, nil
}

// splitLine returns the parts of `name{labels} value timestamp`; a comment or an empty
// line has no name.
func splitLine(line []byte) (name, labels, value []byte) {
	line = bytes.TrimSpace(line)
	if len(line) == 0 || line[0] == '#' {
		return nil, nil, nil
	}
	end := bytes.IndexAny(line, "{ \t")
	if end < 0 {
		return nil, nil, nil
	}
	name, rest := line[:end], line[end:]
	if rest[0] == '{' {
		end := closingBrace(rest)
		if end < 0 {
			return nil, nil, nil
		}
		labels, rest = rest[1:end], rest[end+1:]
	}
	if fields := bytes.Fields(rest); len(fields) > 0 {
		value = fields[0]
	}
	return name, labels, value
}

// closingBrace returns the index of the brace that ends the labels, not one in a value.
func closingBrace(s []byte) int {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\' && quoted:
			i++
		case s[i] == '"':
			quoted = !quoted
		case s[i] == '}' && !quoted:
			return i
		}
	}
	return -1
}

// label returns the value of a label, "" if it is not there.
func label(labels []byte, name string) string {
	for len(labels) > 0 {
		eq := bytes.IndexByte(labels, '=')
		if eq < 0 {
			return ""
		}
		key := string(bytes.Trim(labels[:eq], ", \t"))
		labels = bytes.TrimLeft(labels[eq+1:], " \t")
		if len(labels) == 0 || labels[0] != '"' {
			return ""
		}
		end := 1
		for end < len(labels) && labels[end] != '"' {
			if labels[end] == '\\' {
				end++
			}
			end++
		}
		if end >= len(labels) {
			return ""
		}
		if key == name {
			// The escapes of the format are among those of Go.
			value, err := strconv.Unquote(string(labels[:end+1]))
			if err != nil {
				return ""
			}
			return value
		}
		labels = labels[end+1:]
	}
	return ""
}

// maxNumber keeps seconds within what a time.Duration holds.
const maxNumber = float64(math.MaxInt64 / int64(time.Second))

func number(text []byte) (float64, bool) {
	n, err := strconv.ParseFloat(string(text), 64)
	return n, err == nil && n >= 0 && n < maxNumber
}
