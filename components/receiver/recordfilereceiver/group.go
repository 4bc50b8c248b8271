package recordfilereceiver

import (
	"bytes"
	"time"
)

// interleaveWindow is how long a record of one stream stays open while only the other stream of the file goes on. A
// trace is written within it; without a bound, a line of stderr would hold back all of stdout that follows.
const interleaveWindow = 500 * time.Millisecond

// verdict says what a line does to the records before it.
type verdict struct {
	continues bool // it belongs to the open record of its stream
	empty     bool // it belongs to no record
	boundary  bool // every record before it has ended
}

// grouper decides which lines make a record. The same lines give the same verdicts, and after a boundary nothing of what
// was before counts: that is what lets the reader cut a file at any boundary and read on from there after a restart.
type grouper struct {
	tracer tracer
	open   [streamCount]openRecord
}

type openRecord struct {
	active  bool
	partial bool
	trace   traceState
	time    []byte // of its last line
}

// add takes the next line of the file.
func (g *grouper) add(l *line) verdict {
	own := &g.open[l.stream]
	if own.active {
		if own.partial {
			own.partial, own.time = l.partial, l.time
			return verdict{continues: true}
		}
		if next, ok := g.tracer.next(own.trace, l.text); ok {
			own.trace, own.partial, own.time = next, l.partial, l.time
			return verdict{continues: true}
		}
		own.active = false
	}
	v := verdict{boundary: g.otherEnded(l)}
	if v.boundary {
		g.reset()
	}
	if len(l.text) == 0 && !l.partial {
		v.empty = true
		return v
	}
	*own = openRecord{active: true, partial: l.partial, trace: g.tracer.start(l.text), time: l.time}
	return v
}

// otherEnded says whether the record of the other stream cannot go on, as far as l shows.
func (g *grouper) otherEnded(l *line) bool {
	other := g.open[1-l.stream]
	if !other.active {
		return true
	}
	last, now := parseTime(other.time), l.unixNano()
	return last != 0 && now != 0 && now-last > int64(interleaveWindow)
}

func (g *grouper) reset() {
	g.open = [streamCount]openRecord{}
}

// splitter cuts a file into chunks of whole records.
type splitter struct {
	tracer   tracer
	maxBytes int // the longest chunk, and so the longest record
	pool     *decoderPool
}

// split is a bufio.SplitFunc. A chunk is everything up to the last boundary in data. The end of the file is held back: its
// last record may go on. What is held back for longer than the flush period, the reader takes as it is.
func (s *splitter) split(data []byte, _ bool) (int, []byte, error) {
	d := s.pool.get()
	defer s.pool.put(d)
	g := grouper{tracer: s.tracer}
	boundary, start := 0, 0
	for {
		end := bytes.IndexByte(data[start:], '\n')
		if end < 0 {
			break
		}
		l := d.decode(data[start : start+end])
		if v := g.add(&l); v.boundary {
			boundary = start
		}
		start += end + 1
	}
	// Nothing is open: the file ends with an empty line, or the like.
	if !g.open[stdout].active && !g.open[stderr].active {
		boundary = start
	}
	if boundary == 0 && len(data) >= s.maxBytes {
		// A record over the limit: as many of its lines as fit. A line over the limit the reader cuts itself.
		boundary = start
	}
	if boundary == 0 {
		return 0, nil, nil
	}
	return boundary, data[:boundary], nil
}
