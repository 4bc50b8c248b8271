package labelpreserveprocessor

import (
	"context"
	"encoding/binary"
	"slices"
	"strconv"
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

// resolve sets values from what is at hand. Labels are resolved in their order, so that
// a join finds the values of those above.
func (p *pass) resolve() {
	for i := range p.labels {
		p.values[i], p.chosen[i] = p.valueOf(i)
	}
}

func (p *pass) valueOf(i int) (string, int) {
	l := &p.labels[i]
	for j := range l.sources {
		if value := p.valueFrom(i, &l.sources[j]); value != "" {
			return value, j
		}
	}
	if l.fallback != "" {
		return l.fallback, fromDefault
	}
	return "", fromNowhere
}

func (p *pass) valueFrom(i int, src *source) string {
	switch src.kind {
	case constant:
		return src.value
	case joined:
		return p.join(i, src)
	case inContext:
		for _, key := range src.context {
			if p.contexts[key] != "" {
				return p.contexts[key]
			}
		}
		return ""
	default:
		if src.key == "" {
			return p.found[src.kind][i].value
		}
		return valueUnder(p.attrs[src.kind], src.key)
	}
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

// mayPass reports whether the record at hand has all labels that it must have, and counts it
// if it has not.
func (p *pass) mayPass() bool {
	for i, value := range p.values {
		if value == "" && p.labels[i].missing == onMissingReject {
			p.counts.rejected[i]++
			return false
		}
	}
	return true
}

// compare sets the losers of the record at hand and cuts what is too long.
func (p *pass) compare() {
	for i, value := range p.values {
		p.losers[i], p.cut[i] = "", false
		if value == "" {
			p.everywhere[i] = false
			continue
		}
		p.losers[i] = p.truncate(p.loser(i))
		p.values[i] = p.truncate(value)
		p.cut[i] = len(p.values[i]) < len(value)
	}
}

// tally adds the labels of the record at hand to the counts.
func (p *pass) tally() {
	for i, value := range p.values {
		if value == "" {
			p.counts.missing[i]++
			continue
		}
		if p.chosen[i] == fromDefault {
			p.counts.defaulted[i]++
		}
		if p.losers[i] != "" {
			p.counts.conflicts[i]++
		}
		if p.cut[i] {
			p.counts.truncated[i]++
		}
	}
}

// loser returns the value of label i that lost against the one it has, "" for none: that
// of the first source that has another value, or else of the first place that has.
func (p *pass) loser(i int) string {
	value := p.values[i]
	conflict := false
	for place := range p.found {
		f := &p.found[place][i]
		conflict = conflict || f.other != "" || (f.value != "" && f.value != value)
	}
	for j := range p.labels[i].sources {
		if src := &p.labels[i].sources[j]; src.kind == inContext {
			other := p.valueFrom(i, src)
			conflict = conflict || (other != "" && other != value)
		}
	}
	if !conflict {
		return ""
	}
	for j := range p.labels[i].sources {
		src := &p.labels[i].sources[j]
		switch {
		case src.kind == inContext:
			if other := p.valueFrom(i, src); other != "" && other != value {
				return other
			}
		case src.kind < places && src.key == "":
			if other := p.found[src.kind][i].unlike(value); other != "" {
				return other
			}
		}
	}
	for place := range p.found {
		if other := p.found[place][i].unlike(value); other != "" {
			return other
		}
	}
	return ""
}

// unlike returns the first value that is not this one.
func (f *finding) unlike(value string) string {
	if f.value != value {
		return f.value
	}
	return f.other
}

// write puts the labels that have a value into attrs, each under its output names alone,
// and removes what is empty of those that have none. Labels that are not written to this
// place are removed from it, so that no exporter prefers what is there. found is what find
// says of attrs; forms are the identityForms of a resource of metrics.
func (p *pass) write(attrs pcommon.Map, found []finding, values []string, place sourceKind, forms []identityForm) {
	added, removes := 0, false
	for i, value := range values {
		f := &found[i]
		switch {
		case value == "":
			removes = removes || f.empty
		case !p.labels[i].at[place]:
			removes = removes || f.entries > 0
		case !f.inPlace(value, p.outputs(i, forms)):
			added += len(p.outputs(i, forms).names)
			removes = removes || f.entries > 0
		}
	}
	if removes {
		attrs.RemoveIf(func(k string, v pcommon.Value) bool {
			key, ok := p.keys.get(k)
			if !ok {
				return false
			}
			i := key.label
			switch value := values[i]; {
			case value == "":
				return isEmpty(v)
			case !p.labels[i].at[place]:
				return true
			default:
				return !found[i].inPlace(value, p.outputs(i, forms))
			}
		})
	}
	if added == 0 {
		return
	}
	attrs.EnsureCapacity(attrs.Len() + added)
	for i, value := range values {
		if value == "" || !p.labels[i].at[place] {
			continue
		}
		out := p.outputs(i, forms)
		if found[i].inPlace(value, out) {
			continue
		}
		for _, name := range out.names {
			p.shared.put(attrs, name, i, value)
		}
	}
}

// outputs returns the keys label i leaves under.
func (p *pass) outputs(i int, forms []identityForm) *outputs {
	l := &p.labels[i]
	if forms == nil || l.identity < 0 {
		return &l.outs
	}
	return &l.identityOuts[forms[l.identity]]
}

// annotate writes what the configuration wants to be said about the labels of the record.
func (p *pass) annotate(attrs pcommon.Map) {
	marked := p.buf[:0]
	for i, value := range p.values {
		l := &p.labels[i]
		if value == "" {
			if l.missing == onMissingMark {
				if len(marked) > 0 {
					marked = append(marked, ',')
				}
				marked = append(marked, l.name...)
			}
			continue
		}
		if l.conflictKey != "" && p.losers[i] != "" {
			attrs.PutStr(l.conflictKey, p.losers[i])
		}
	}
	if len(marked) > 0 {
		attrs.PutStr(p.missingKey, string(marked))
	}
	p.buf = marked[:0]
	if p.provenanceKey == "" {
		return
	}
	// What an earlier processor on the way has written says more than what this one sees.
	if earlier, ok := attrs.Get(p.provenanceKey); !ok || isEmpty(earlier) {
		attrs.PutStr(p.provenanceKey, p.provenance())
	}
}

// provenance returns `label=source:key` of each label that has a value, with commas between.
func (p *pass) provenance() string {
	var b strings.Builder
	for i, value := range p.values {
		if value == "" {
			continue
		}
		if b.Len() > 0 {
			b.WriteByte(',')
		}
		l := &p.labels[i]
		b.WriteString(l.name)
		b.WriteByte('=')
		if p.chosen[i] == fromDefault {
			b.WriteString(onMissingDefault)
			continue
		}
		src := &l.sources[p.chosen[i]]
		b.WriteString(src.config.Source)
		key := src.config.Key
		if key == "" && src.kind < places {
			key = l.keyNames[p.found[src.kind][i].rank]
		}
		if key != "" {
			b.WriteByte(':')
			b.WriteString(key)
		}
	}
	return b.String()
}

// group returns the group of the record at hand, a new one when its resource must be
// another one: by its labels, and by how many attributes it must leave out.
func (p *pass) group(evicted int) int {
	for i := range p.labels {
		if p.labels[i].at[inResource] {
			p.key[i] = p.values[i]
		}
	}
	if last := &p.key[len(p.labels)]; evicted == 0 {
		*last = ""
	} else {
		*last = strconv.Itoa(evicted)
	}
	if p.last == rejected || !slices.Equal(p.key, p.tuple(p.last)) {
		p.last = p.findGroup()
	}
	return p.last
}

func (p *pass) findGroup() int {
	if len(p.tuples) == 0 {
		p.tuples = append(p.tuples, p.key...)
		return 0
	}
	if slices.Equal(p.key, p.tuple(0)) {
		return 0
	}
	p.buf = p.buf[:0]
	for _, value := range p.key {
		// The length keeps ("a", "bc") apart from ("ab", "c").
		p.buf = binary.AppendUvarint(p.buf, uint64(len(value)))
		p.buf = append(p.buf, value...)
	}
	if g, ok := p.index[string(p.buf)]; ok {
		return g
	}
	g := p.groups()
	p.index[string(p.buf)] = g
	p.tuples = append(p.tuples, p.key...)
	return g
}

// groups returns how many resources the records that are not rejected need.
func (p *pass) groups() int {
	return len(p.tuples) / len(p.key)
}

// mustSplit reports whether records leave the resource at hand.
func (p *pass) mustSplit() bool {
	return p.groups() > 1 || p.rejectedHere > 0
}

// tuple returns what the resource of a group has: the values of its labels, and last how
// many attributes it must leave out.
func (p *pass) tuple(group int) []string {
	n := len(p.key)
	return p.tuples[group*n : (group+1)*n]
}

// resourceValues returns the values of the labels of a group for write. A label that is not
// written to the resource counts as having one, so that it is removed there, if all records
// have it.
func (p *pass) resourceValues(values []string) []string {
	copy(p.onResource, values)
	for i := range p.labels {
		if !p.labels[i].at[inResource] && p.everywhere[i] {
			p.onResource[i] = p.labels[i].name
		}
	}
	return p.onResource
}

// writeResource writes the labels of a group to the attributes of its resource, which
// are those of openResource or a copy.
func (p *pass) writeResource(attrs pcommon.Map, group int) {
	tuple := p.tuple(group)
	values, evicted := tuple[:len(p.labels)], tuple[len(p.labels)]
	var forms []identityForm
	if len(p.identities) > 0 {
		var all [2]identityForm
		forms = all[:len(p.identities)]
		for i := range p.identities {
			forms[i] = p.identities[i].form(p.labelSet, attrs, values)
		}
	}
	p.write(attrs, p.found[inResource], p.resourceValues(values), inResource, forms)
	for i := range forms {
		if forms[i] == withoutIdentity && p.identities[i].keyLabel < 0 {
			p.identities[i].hide(attrs)
		}
	}
	if evicted != "" {
		n, _ := strconv.Atoi(evicted) // written by group
		p.budget.evictFromResource(attrs, n)
	}
}

// cleanScope removes from the attributes of a scope the labels that have a value, because
// its records or the resource hold them, and those that are empty.
func (p *pass) cleanScope(attrs pcommon.Map, group int) {
	values := p.resourceValues(p.tuple(group)[:len(p.labels)])
	attrs.RemoveIf(func(k string, v pcommon.Value) bool {
		key, ok := p.keys.get(k)
		return ok && (isEmpty(v) || values[key.label] != "")
	})
}
