package labelpreserveprocessor

import (
	"encoding/binary"
	"slices"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

// pass is the work on one batch, one resource after the other: openResource, then for
// each scope openScope and resolveRecords, then closeResource. From there on groups
// says whether the resource must be split, and finish writes the resource.
type pass struct {
	*labelSet

	// What is at hand in each place, indexed by sourceKind.
	attrs [places]pcommon.Map
	found [places][]finding

	values []string // of the labels of the record at hand, "" for none
	joins  []string // the last value each label got from a join, to build it only once
	buf    []byte

	// The records of a resource whose labels have the same values form a group.
	tuples  []string       // the values of group 0, then those of group 1, and so on
	groupOf []int          // the group of each record, in the order of the records
	last    int            // the group of the last record
	index   map[string]int // the groups but group 0 by their values

	conflicts []int64 // records, by label
	missing   []int64 // records, by label
}

// none stands for the attributes of a place that does not exist. It is never written to.
var none = pcommon.NewMap()

func newPass(ls *labelSet) *pass {
	n := len(ls.labels)
	p := &pass{
		labelSet:  ls,
		values:    make([]string, n),
		joins:     make([]string, n),
		index:     make(map[string]int),
		conflicts: make([]int64, n),
		missing:   make([]int64, n),
	}
	for place := range p.found {
		p.found[place] = make([]finding, n)
	}
	p.reset()
	return p
}

// reset forgets the counts and lets go of the data.
func (p *pass) reset() {
	for place := range p.attrs {
		p.open(sourceKind(place), none)
	}
	clear(p.values)
	clear(p.tuples)
	clear(p.conflicts)
	clear(p.missing)
}

func (p *pass) open(place sourceKind, attrs pcommon.Map) {
	p.attrs[place] = attrs
	p.find(attrs, p.found[place])
}

func (p *pass) openResource(attrs pcommon.Map) {
	p.open(inResource, attrs)
	p.tuples = p.tuples[:0]
	p.groupOf = p.groupOf[:0]
	clear(p.index)
}

func (p *pass) openScope(attrs pcommon.Map) {
	p.open(inScope, attrs)
}

// record is what a log record, a span and the data points have in common.
type record[R any] interface {
	Attributes() pcommon.Map
	MoveTo(R)
}

// recordSlice is what their slices have in common.
type recordSlice[R any] interface {
	Len() int
	At(int) R
	AppendEmpty() R
	RemoveIf(func(R) bool)
}

// resolveRecords resolves the labels of each record, writes them to it and assigns it
// to a group.
func resolveRecords[S recordSlice[R], R record[R]](p *pass, records S) {
	for i := range records.Len() {
		attrs := records.At(i).Attributes()
		p.open(inRecord, attrs)
		p.resolve()
		p.count()
		p.write(attrs, p.found[inRecord], p.values)
		p.groupOf = append(p.groupOf, p.group())
	}
}

// closeResource ends the records of a resource. A resource without any gets its labels
// from the sources that need neither record nor scope.
func (p *pass) closeResource() {
	if len(p.groupOf) > 0 {
		return
	}
	p.open(inRecord, none)
	p.open(inScope, none)
	p.resolve()
	p.tuples = append(p.tuples, p.values...)
}

// resolve sets values from what is at hand. Labels are resolved in their order, so that
// a join finds the values of those above.
func (p *pass) resolve() {
	for i := range p.labels {
		p.values[i] = p.valueOf(i)
	}
}

func (p *pass) valueOf(i int) string {
	l := &p.labels[i]
	for j := range l.sources {
		var value string
		switch src := &l.sources[j]; {
		case src.kind == constant:
			value = src.value
		case src.kind == joined:
			value = p.join(i, src)
		case src.key == "":
			value = p.found[src.kind][i].value
		default:
			value = valueUnder(p.attrs[src.kind], src.key)
		}
		if value != "" {
			return value
		}
	}
	return l.fallback
}

// valueUnder returns the first non-empty value under key: OTLP does not keep a sender from
// using a key twice.
func valueUnder(attrs pcommon.Map, key string) string {
	for k, v := range attrs.All() {
		if k != key {
			continue
		}
		if value := v.AsString(); value != "" {
			return value
		}
	}
	return ""
}

// join returns the values of the labels of src put together.
func (p *pass) join(i int, src *source) string {
	p.buf = p.buf[:0]
	for _, other := range src.labels {
		value := p.values[other]
		if value == "" {
			continue
		}
		if len(p.buf) > 0 {
			p.buf = append(p.buf, src.separator...)
		}
		p.buf = append(p.buf, value...)
	}
	if string(p.buf) != p.joins[i] {
		p.joins[i] = string(p.buf)
	}
	return p.joins[i]
}

// count adds the labels of the record at hand to the counts.
func (p *pass) count() {
	for i, value := range p.values {
		if value == "" {
			p.missing[i]++
			continue
		}
		for place := range p.found {
			if f := &p.found[place][i]; f.differ || (f.value != "" && f.value != value) {
				p.conflicts[i]++
				break
			}
		}
	}
}

// group returns the group that values belong to, a new one when they are new.
func (p *pass) group() int {
	if len(p.groupOf) > 0 && slices.Equal(p.values, p.tuple(p.last)) {
		return p.last
	}
	p.last = p.findGroup()
	return p.last
}

func (p *pass) findGroup() int {
	if len(p.groupOf) == 0 {
		p.tuples = append(p.tuples, p.values...)
		return 0
	}
	if slices.Equal(p.values, p.tuple(0)) {
		return 0
	}
	p.buf = p.buf[:0]
	for _, value := range p.values {
		// The length keeps ("a", "bc") apart from ("ab", "c").
		p.buf = binary.AppendUvarint(p.buf, uint64(len(value)))
		p.buf = append(p.buf, value...)
	}
	if g, ok := p.index[string(p.buf)]; ok {
		return g
	}
	g := p.groups()
	p.index[string(p.buf)] = g
	p.tuples = append(p.tuples, p.values...)
	return g
}

// groups returns how many resources the resource at hand must become.
func (p *pass) groups() int {
	return len(p.tuples) / len(p.labels)
}

// tuple returns the values of a group.
func (p *pass) tuple(group int) []string {
	n := len(p.labels)
	return p.tuples[group*n : (group+1)*n]
}

// writeResource writes the labels of a group to the attributes of its resource, which
// are those of openResource or a copy.
func (p *pass) writeResource(attrs pcommon.Map, group int) {
	p.write(attrs, p.found[inResource], p.tuple(group))
}

// cleanScope cleans the attributes of a scope of the group.
func (p *pass) cleanScope(attrs pcommon.Map, group int) {
	p.clean(attrs, p.tuple(group))
}
