package labelpreserveprocessor

import (
	"cmp"
	"encoding/json"
	"slices"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

// evictionReason says why an attribute had to go.
type evictionReason int

const (
	tooManyLabels evictionReason = iota
	nameTooLong
	valueTooLong

	evictionReasons = 3
	// evictionKinds are the reasons for what is kept in the overflow attribute, then those
	// for what is dropped.
	evictionKinds = 2 * evictionReasons
)

var evictionReasonNames = [evictionReasons]string{"max_labels", "name_too_long", "value_too_long"}

// budget holds a record, together with the resource at hand, within what the backend stores.
// Declared labels stay. Of the other attributes those of the resource go first, in an order
// that depends on nothing but their keys, so that a series has the same labels in every batch.
type budget struct {
	resource pcommon.Map
	others   int  // attributes of the resource that are no labels
	instance bool // remote write derives `instance` from the resource

	order  []evictable // attributes of the resource that are no labels, the first to go first
	sorted bool        // order is that of the resource at hand
	forced int         // so many of order have to go in any case
	late   int         // so many, the last ones, only after those of the record

	inRecord []evictable
	evicted  []evictable
	taken    map[string]struct{}
	json     []byte
}

// evictable is an attribute that is no label.
type evictable struct {
	key    string
	value  string
	reason evictionReason
}

// mayStay reports whether the attribute is within the limits of its own.
func (e *evictable) mayStay() bool { return e.reason == tooManyLabels }

func (b *budget) reset() {
	b.resource = none
	clear(b.order)
	clear(b.inRecord)
	clear(b.evicted)
}

// open takes the resource at hand of the pass.
func (b *budget) open(p *pass) {
	b.resource, b.sorted, b.forced = p.attrs[inResource], false, 0
	if p.maxLabels == 0 {
		return
	}
	b.others = b.resource.Len()
	for i := range p.found[inResource] {
		b.others -= p.found[inResource][i].entries
	}
	_, b.instance = b.resource.Get("service.instance.id")
}

// keep takes from the record at hand what is too much, and returns how many attributes its
// resource must leave out. reserved is how many labels the series has beside attributes.
func (b *budget) keep(p *pass, attrs pcommon.Map, reserved int) int {
	// The first comparison is for the many records that are far from the limit.
	if !p.oversize[inRecord] && !p.oversize[inResource] &&
		(p.maxLabels == 0 || attrs.Len()+b.resource.Len()+2*len(p.labels)+reserved+2 <= p.maxLabels) {
		return 0
	}
	tooMany := 0
	if p.maxLabels > 0 {
		tooMany = attrs.Len() + b.onResource(p) + reserved + b.derived(p) - p.maxLabels
	}
	if tooMany <= 0 && !p.oversize[inRecord] && !p.oversize[inResource] {
		return 0
	}
	return b.shrink(p, attrs, tooMany)
}

// onResource is how many labels the series has that are on the resource only.
func (b *budget) onResource(p *pass) int {
	n := b.others
	for i := range p.labels {
		l := &p.labels[i]
		switch {
		case p.values[i] == "":
			n += p.found[inResource][i].entries
		case l.at[inResource] && !l.at[inRecord]:
			n += len(l.outs.names)
		}
	}
	return n
}

// derived is how many labels remote write adds, see identity.
func (b *budget) derived(p *pass) int {
	n := 0
	for i := range p.identities {
		id := &p.identities[i]
		if id.target == "instance" && !b.instance {
			continue
		}
		if id.targetLabel < 0 || p.values[id.targetLabel] == "" {
			n++
		}
	}
	return n
}

func (b *budget) shrink(p *pass, attrs pcommon.Map, tooMany int) int {
	if !b.sorted {
		b.order = b.list(p, b.resource, b.order[:0])
		b.forced, b.late, b.sorted = forced(b.order), 0, true
		for i := range b.order {
			if p.rank(&b.order[i]) == 2 {
				b.late++
			}
		}
	}
	b.inRecord = b.list(p, attrs, b.inRecord[:0])
	forcedInRecord := forced(b.inRecord)

	earlier := ""
	there, merges := attrs.Get(p.overflowKey)
	if merges {
		earlier = there.AsString()
	}
	tooMany -= b.forced + forcedInRecord
	if p.overflow && !merges {
		tooMany++ // for the overflow attribute
	}
	take := func(from, upTo int) int {
		n := max(0, min(tooMany, upTo-from))
		tooMany -= n
		return from + n
	}
	fromResource := take(b.forced, len(b.order)-b.late)
	fromRecord := take(forcedInRecord, len(b.inRecord))
	fromResource = take(fromResource, len(b.order))
	if fromResource+fromRecord == 0 {
		return 0
	}

	b.evicted = append(append(b.evicted[:0], b.inRecord[:fromRecord]...), b.order[:fromResource]...)
	if fromRecord > 0 {
		b.remove(attrs, b.inRecord[:fromRecord])
	}
	if text := b.marshal(p, earlier); text != "" {
		attrs.PutStr(p.overflowKey, text)
	}
	return fromResource
}

// list appends the attributes that are no labels, the first to go first: those over a limit
// of their own, then from the last key to the first, and at the very end those that remote
// write derives `job` and `instance` from.
func (b *budget) list(p *pass, attrs pcommon.Map, into []evictable) []evictable {
	for k, v := range attrs.All() {
		if _, isLabel := p.keys.get(k); isLabel || k == p.overflowKey || k == p.missingKey {
			continue
		}
		e := evictable{key: k, value: v.AsString()}
		switch {
		case p.maxKeyBytes > 0 && len(k) > p.maxKeyBytes:
			e.reason = nameTooLong
		case p.maxValueBytes > 0 && len(e.value) > p.maxValueBytes:
			e.reason = valueTooLong
		}
		into = append(into, e)
	}
	slices.SortStableFunc(into, func(x, y evictable) int {
		return cmp.Or(cmp.Compare(p.rank(&x), p.rank(&y)), cmp.Compare(y.key, x.key))
	})
	return into
}

// rank is 0 for what must go, 1 for what may stay, 2 for what stays as long as it can.
func (p *pass) rank(e *evictable) int {
	if !e.mayStay() {
		return 0
	}
	for i := range p.identities {
		if id := &p.identities[i]; e.key == id.key || e.key == id.namespace {
			return 2
		}
	}
	return 1
}

// forced returns how many of the first attributes are over a limit of their own.
func forced(order []evictable) int {
	n := 0
	for n < len(order) && !order[n].mayStay() {
		n++
	}
	return n
}

func (b *budget) remove(attrs pcommon.Map, evicted []evictable) {
	if b.taken == nil {
		b.taken = make(map[string]struct{})
	}
	clear(b.taken)
	for i := range evicted {
		b.taken[evicted[i].key] = struct{}{}
	}
	attrs.RemoveIf(func(key string, _ pcommon.Value) bool {
		_, gone := b.taken[key]
		return gone
	})
	clear(b.taken)
}

// evictFromResource removes the first n attributes of the order from a resource, which is the
// one at hand or a copy.
func (b *budget) evictFromResource(attrs pcommon.Map, n int) {
	b.remove(attrs, b.order[:n])
}

// marshal returns what is evicted as a JSON object, after what an earlier processor has
// evicted, and counts what is in it and what is not.
func (b *budget) marshal(p *pass, earlier string) string {
	slices.SortStableFunc(b.evicted, func(x, y evictable) int { return cmp.Compare(x.key, y.key) })
	b.json = append(b.json[:0], '{')
	if n := len(earlier); n > 2 && earlier[0] == '{' && earlier[n-1] == '}' {
		b.json = append(b.json[:0], earlier[:n-1]...)
	}
	for i := range b.evicted {
		e := &b.evicted[i]
		kind := int(e.reason)
		if !b.add(p, i) {
			kind += evictionReasons
		}
		p.counts.evicted[kind]++
	}
	if len(b.json) == 1 {
		return ""
	}
	return string(append(b.json, '}'))
}

// add puts number i of what is evicted into the JSON object, unless it does not fit, or one of
// the same key is there, which comes from the record.
func (b *budget) add(p *pass, i int) bool {
	e := &b.evicted[i]
	if !p.overflow || (i > 0 && b.evicted[i-1].key == e.key) {
		return false
	}
	// A string always has a JSON form.
	key, _ := json.Marshal(e.key)
	value, _ := json.Marshal(e.value)
	if p.maxValueBytes > 0 && len(b.json)+len(key)+len(value)+3 > p.maxValueBytes {
		return false
	}
	if len(b.json) > 1 {
		b.json = append(b.json, ',')
	}
	b.json = append(append(append(b.json, key...), ':'), value...)
	return true
}
