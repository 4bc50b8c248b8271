package ledger

import (
	"encoding/binary"
	"errors"
	"slices"
	"sort"
)

// span is the numbers [first, end).
type span struct{ first, end uint64 }

// set is a set of numbers: spans in order, which neither overlap nor touch.
type set []span

// add puts the numbers [first, end) in, and returns how many of them are new.
func (s *set) add(first, end uint64) (added uint64) {
	if first >= end {
		return 0
	}
	spans := *s
	from := sort.Search(len(spans), func(i int) bool { return spans[i].end >= first })
	to, covered := from, uint64(0)
	joined := span{first, end}
	for ; to < len(spans) && spans[to].first <= end; to++ {
		if lo, hi := max(spans[to].first, first), min(spans[to].end, end); lo < hi {
			covered += hi - lo
		}
		joined.first, joined.end = min(joined.first, spans[to].first), max(joined.end, spans[to].end)
	}
	if to == from+1 {
		spans[from] = joined // the common case: the last span grows
	} else {
		*s = slices.Replace(spans, from, to, joined)
	}
	return end - first - covered
}

// union puts all of another set in.
func (s *set) union(other set) {
	for _, o := range other {
		s.add(o.first, o.end)
	}
}

func (s set) count() (n uint64) {
	for _, o := range s {
		n += o.end - o.first
	}
	return n
}

// end is the one behind the largest number, or 0.
func (s set) end() uint64 {
	if len(s) == 0 {
		return 0
	}
	return s[len(s)-1].end
}

// gaps returns what of [first, end) is in neither of the two.
func gaps(first, end uint64, have, void set) set {
	var out set
	at := first
	for at < end {
		covered := at
		next := end
		for _, s := range []set{have, void} {
			i := sort.Search(len(s), func(i int) bool { return s[i].end > at })
			if i == len(s) {
				continue
			}
			if s[i].first <= at {
				covered = max(covered, s[i].end)
			} else {
				next = min(next, s[i].first)
			}
		}
		if covered > at {
			at = covered
			continue
		}
		out.add(at, next)
		at = next
	}
	return out
}

// encode writes the set as the distances between its bounds.
func (s set) encode() []byte {
	var to []byte
	at := uint64(0)
	for _, o := range s {
		to = binary.AppendUvarint(to, o.first-at)
		to = binary.AppendUvarint(to, o.end-o.first)
		at = o.end
	}
	return to
}

var errSet = errors.New("not a set of numbers")

// parseSet reads what encode wrote. Whatever it returns without an error is in order.
func parseSet(b []byte) (set, error) {
	var s set
	at := uint64(0)
	for len(b) > 0 {
		skip, n := binary.Uvarint(b)
		if n <= 0 {
			return nil, errSet
		}
		length, m := binary.Uvarint(b[n:])
		if m <= 0 {
			return nil, errSet
		}
		b = b[n+m:]
		first := at + skip
		end := first + length
		if first < at || end <= first {
			return nil, errSet
		}
		s.add(first, end)
		at = end
	}
	return s, nil
}
