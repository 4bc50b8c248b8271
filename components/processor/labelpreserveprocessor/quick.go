package labelpreserveprocessor

import (
	"math/bits"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

// quick is what is known of the record before, for the next one: almost always it is of the
// same resource and scope and has the same labels, or lacks the same and gets the same. The
// result is that of the long way, which a test holds.
type quick struct {
	known bool // there is one, of this resource and scope, and its values are those of the pass

	plain   bool   // it had no keys of labels but those in had, and these as they should leave
	had     uint64 // the keys it had, by labelKey.output
	outputs uint64 // the keys that a record with these values leaves with
	// What the resource, the scope and the context say is what the record says, so that one
	// that has its labels in place has no conflict and needs no note.
	agrees  bool
	checked bool // agrees is set

	evicted int // how many attributes the resource leaves out for it
}

// remember keeps what record has found out about the record at hand.
func (p *pass) remember(evicted int) {
	q := &p.quick
	q.known, q.checked, q.evicted = p.repeats, false, evicted
	if !q.known {
		return
	}
	q.plain, q.had, q.outputs = true, 0, 0
	for i := range p.labels {
		l, f := &p.labels[i], &p.found[inRecord][i]
		if p.values[i] != "" {
			q.outputs |= l.recordOutputs
		}
		switch {
		case f.entries == 0:
		case p.values[i] != "" && l.at[inRecord] && f.inPlace(p.values[i], &l.outs):
			q.had |= l.recordOutputs
		default:
			q.plain = false
		}
	}
}

// likeLast labels the record at hand like the one before if it is like it, and reports
// whether it is.
func (p *pass) likeLast(attrs pcommon.Map, reserved int) bool {
	q := &p.quick
	if !q.known {
		return false
	}
	var has uint64
	for k, v := range attrs.All() {
		if p.keys.mayHave(k) {
			if key, ok := p.keys.get(k); ok {
				if key.output < 0 || has&(1<<key.output) != 0 ||
					v.Type() != pcommon.ValueTypeStr || v.Str() != p.values[key.label] {
					return false
				}
				has |= 1 << key.output
				continue
			}
		}
		if p.isOversize(k, v) {
			return false
		}
	}
	switch {
	case has == q.had && q.plain:
		p.tally()
		if has != q.outputs {
			p.writeMissing(attrs, has)
		}
		p.annotate(attrs)
	case has == q.outputs && p.inAgreement():
		for i, value := range p.values {
			if value == "" {
				p.counts.missing[i]++
			}
		}
	default:
		return false
	}
	// The eviction of the record before was for its attributes, not for those of this one.
	p.oversize[inRecord] = false
	if evicted := p.budget.keep(p, attrs, reserved); evicted != q.evicted {
		q.evicted = evicted
		p.group(evicted)
	}
	p.groupOf = append(p.groupOf, p.last)
	return true
}

// inAgreement sets quick.agrees once.
func (p *pass) inAgreement() bool {
	q := &p.quick
	if q.checked {
		return q.agrees
	}
	q.checked, q.agrees = true, true
	for i, value := range p.values {
		l := &p.labels[i]
		if value == "" {
			q.agrees = q.agrees && l.missing != onMissingMark
			continue
		}
		for _, place := range []sourceKind{inScope, inResource} {
			q.agrees = q.agrees && p.found[place][i].unlike(value) == ""
		}
		for j := range l.sources {
			if src := &l.sources[j]; src.kind == inContext {
				other := p.valueFrom(i, src)
				q.agrees = q.agrees && (other == "" || other == value)
			}
		}
		// A label that leaves no key on the record says nothing of the next one there.
		q.agrees = q.agrees && (l.recordOutputs != 0 || p.found[inRecord][i].entries == 0)
		// One that was cut stands for any value that begins like it.
		q.agrees = q.agrees && (p.maxValueBytes == 0 || len(value) < p.maxValueBytes-4)
	}
	return q.agrees
}

// writeMissing writes the labels that a record has none of the keys of.
func (p *pass) writeMissing(attrs pcommon.Map, has uint64) {
	attrs.EnsureCapacity(attrs.Len() + bits.OnesCount64(p.quick.outputs&^has))
	for i, value := range p.values {
		l := &p.labels[i]
		if value == "" || l.recordOutputs&^has == 0 {
			continue
		}
		for _, name := range l.outs.names {
			p.shared.put(attrs, name, i, value)
		}
	}
}
