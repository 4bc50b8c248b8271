package labelpreserveprocessor

import (
	"context"
	"strings"

	"go.opentelemetry.io/collector/client"
	"go.opentelemetry.io/collector/pdata/pcommon"
)

// pass is the work on one batch, one resource after the other: openResource, then for
// each scope openScope and record for each record, then closeResource. From there on
// groups says whether the resource must be split, and the finish functions write the
// resource.
type pass struct {
	*labelSet

	// What is at hand in each place, indexed by sourceKind.
	attrs    [places]pcommon.Map
	found    [places][]finding
	oversize [places]bool
	inner    []finding // of a span event or link

	values   []string // of the labels of the record at hand, "" for none
	cut      []bool   // the values that are not whole
	losers   []string // what each value won against, "" for nothing
	chosen   []int    // the source of each value, by number; fromDefault or fromNowhere
	joins    []string // the last value each label got from a join, to build it only once
	contexts []string // of the batch, by source.context
	shared   sharedValues
	buf      []byte

	budget budget
	quick  quick

	// The records of a resource whose resource must have the same labels form a group.
	tuples  []string       // what the resource of group 0 has, then that of group 1, and so on; see key
	key     []string       // that of the record at hand
	groupOf []int          // the group of each record, in the order of the records, or rejected
	last    int            // the group of the last record that is in one
	index   map[string]int // the groups but group 0 by their values

	rejectedHere int      // records of the resource at hand
	everywhere   []bool   // every record of the resource at hand has the label
	onResource   []string // see resourceValues

	counts counts
}

// counts are what a batch adds to the counters.
type counts struct {
	conflicts []int64 // records, by label
	defaulted []int64 // records, by label
	missing   []int64 // records, by label
	rejected  []int64 // records, by the first label they lack
	truncated []int64 // records, by label
	evicted   [evictionKinds]int64
}

// rejected stands for the group of a record that lacks a label it must have.
const rejected = -1

// Values of pass.chosen that are no source.
const (
	fromDefault = -1
	fromNowhere = -2
)

// none stands for the attributes of a place that does not exist. It is never written to.
var none = pcommon.NewMap()

func newPass(ls *labelSet, shared sharedValues) *pass {
	n := len(ls.labels)
	p := &pass{
		labelSet: ls,
		inner:    make([]finding, n),
		values:   make([]string, n),
		losers:   make([]string, n),
		cut:      make([]bool, n),
		chosen:   make([]int, n),
		joins:    make([]string, n),
		contexts: make([]string, len(ls.contexts)),
		shared:   shared,
		key:      make([]string, n+1),

		everywhere: make([]bool, n),
		onResource: make([]string, n),

		index: make(map[string]int),
		counts: counts{
			conflicts: make([]int64, n),
			defaulted: make([]int64, n),
			missing:   make([]int64, n),
			rejected:  make([]int64, n),
			truncated: make([]int64, n),
		},
	}
	for place := range p.found {
		p.found[place] = make([]finding, n)
	}
	p.reset()
	return p
}

// begin takes what the context of the batch says.
func (p *pass) begin(ctx context.Context) {
	if len(p.contexts) == 0 {
		return
	}
	metadata := client.FromContext(ctx).Metadata
	for i, key := range p.labelSet.contexts {
		p.contexts[i] = ""
		for _, value := range metadata.Get(key) {
			if value != "" {
				// A header may hold any bytes, an attribute may not: see readConstants.
				p.contexts[i] = strings.ToValidUTF8(value, "\ufffd")
				break
			}
		}
	}
}

// reset forgets the counts and lets go of the data.
func (p *pass) reset() {
	for place := range p.attrs {
		p.attrs[place] = none
		clear(p.found[place])
	}
	clear(p.inner)
	clear(p.values)
	clear(p.losers)
	clear(p.contexts)
	clear(p.onResource)
	clear(p.key)
	clear(p.tuples)
	p.budget.reset()
	clear(p.counts.conflicts)
	clear(p.counts.defaulted)
	clear(p.counts.missing)
	clear(p.counts.rejected)
	clear(p.counts.truncated)
	clear(p.counts.evicted[:])
}

func (p *pass) open(place sourceKind, attrs pcommon.Map) {
	p.attrs[place] = attrs
	p.oversize[place] = p.find(attrs, p.found[place])
}

func (p *pass) openResource(attrs pcommon.Map) {
	p.open(inResource, attrs)
	p.budget.open(p)
	p.tuples = p.tuples[:0]
	p.groupOf = p.groupOf[:0]
	p.last = rejected
	p.rejectedHere = 0
	p.quick.known = false
	for i := range p.everywhere {
		p.everywhere[i] = true
	}
	clear(p.index)
}

func (p *pass) openScope(attrs pcommon.Map) {
	p.open(inScope, attrs)
	p.quick.known = false
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

// resolveRecords labels each record. reserved is how many labels their series have beside
// their attributes.
func resolveRecords[S recordSlice[R], R record[R]](p *pass, records S, reserved int) {
	for i := range records.Len() {
		p.record(records.At(i).Attributes(), reserved)
	}
}

// record resolves the labels of a record, writes them to it and assigns it to a group. A
// record that is rejected stays as it is, and record reports false.
func (p *pass) record(attrs pcommon.Map, reserved int) bool {
	if p.likeLast(attrs, reserved) {
		return true
	}
	p.open(inRecord, attrs)
	p.resolve()
	if !p.mayPass() {
		p.quick.known = false
		p.groupOf = append(p.groupOf, rejected)
		p.rejectedHere++
		return false
	}
	p.compare()
	p.tally()
	p.write(attrs, p.found[inRecord], p.values, inRecord, nil)
	p.annotate(attrs)
	evicted := p.budget.keep(p, attrs, reserved)
	p.groupOf = append(p.groupOf, p.group(evicted))
	p.remember(evicted)
	return true
}

// within labels a span event or link like its span, which is at hand.
func (p *pass) within(attrs pcommon.Map, place sourceKind) {
	p.find(attrs, p.inner)
	for i, value := range p.values {
		if f := &p.inner[i]; value != "" && (f.other != "" || (f.value != "" && f.value != value)) {
			p.counts.conflicts[i]++
			if l := &p.labels[i]; l.conflictKey != "" {
				loser := f.value
				if loser == value {
					loser = f.other
				}
				attrs.PutStr(l.conflictKey, loser)
			}
		}
	}
	p.write(attrs, p.inner, p.values, place, nil)
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
	for i := range p.values {
		p.values[i] = p.truncate(p.values[i])
		p.everywhere[i] = false
	}
	p.group(0)
}
