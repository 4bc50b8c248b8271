package fluentbitencodingextension

import (
	"maps"
	"slices"
	"strconv"
)

// role is what a key at the root of a record says.
type role uint8

const (
	roleAttribute role = iota
	roleTime
	roleMessage
	roleLabel
	roleTag
)

// name is a key. Those with a role are the same for all unmarshalers.
type name struct {
	text string
	role role
	at   int // the position in the setting of the role
}

// layout is the configuration as the unmarshalers need it.
type layout struct {
	*Config
	roles map[string]*name
	tags  []tag
	// labels are the names of the labels, in the order of the setting.
	labels []*name
}

type tag struct{ key, value string }

func newLayout(config *Config) *layout {
	l := &layout{Config: config, roles: make(map[string]*name)}
	for _, list := range []struct {
		role role
		keys []string
	}{{roleTime, config.TimeKeys}, {roleMessage, config.MessageKeys}, {roleLabel, config.Labels}} {
		for at, key := range list.keys {
			n := &name{text: key, role: list.role, at: at}
			l.roles[key] = n
			if list.role == roleLabel {
				l.labels = append(l.labels, n)
			}
		}
	}
	for _, key := range slices.Sorted(maps.Keys(config.Tags)) {
		if value := config.Tags[key]; value != "" {
			l.roles[key] = &name{text: key, role: roleTag, at: len(l.tags)}
			l.tags = append(l.tags, tag{key, value})
		}
	}
	return l
}

// Bounds of what an unmarshaler remembers of the keys it has seen.
const (
	maxKnownNames     = 1024
	maxKnownNameBytes = 256
	maxOrder          = 128
)

// names finds the names of keys, most of which are those of the record before in the same order.
type names struct {
	known map[string]*name
	// order has the names of the record before as far as they are not those of this one; next is where the next one
	// is expected.
	order []*name
	next  int
	// scratch has a joined key.
	scratch []byte
}

func newNames(l *layout) names { return names{known: maps.Clone(l.roles)} }

// expected returns the name of the record before at the place of the next one, or nil.
func (n *names) expected() *name {
	if n.next < len(n.order) {
		return n.order[n.next]
	}
	return nil
}

func (n *names) find(key []byte) *name {
	expected := n.expected()
	at := n.next
	n.next++
	if expected != nil && expected.text == string(key) {
		return expected
	}
	found, ok := n.known[string(key)]
	if !ok {
		found = &name{text: string(key)}
		if len(n.known) >= maxKnownNames || len(key) > maxKnownNameBytes {
			return found
		}
		n.known[found.text] = found
	}
	switch {
	case at < len(n.order):
		n.order[at] = found
	case at == len(n.order) && at < maxOrder:
		n.order = append(n.order, found)
	}
	return found
}

func (n *names) join(prefix, separator string, key []byte) *name {
	n.scratch = append(append(append(n.scratch[:0], prefix...), separator...), key...)
	return n.find(n.scratch)
}

// attribute is a member that becomes an attribute.
type attribute struct {
	name  *name
	value value
}

// uniqueNames gives attributes that have a key in common different ones: two of one key are not allowed in pdata.
type uniqueNames struct {
	// taken has the attribute that each key is of, and next the number that is tried next for a key.
	taken  map[string]holder
	next   map[string]int
	one    []byte
	other  []byte
	number []byte
}

// holder is the attribute that a key is of: its position in the list, and its value.
type holder struct {
	at    int
	value value
}

// owner is the value that a key stands for outside of the list: of a tag, or of a label.
type owner func(n *name) (v value, ok bool)

// linearNames is up to how many attributes comparing each with each costs less than hashing.
const linearNames = 24

// distinct reports whether no two attributes have the same key, and none has one that has an owner.
func (u *uniqueNames) distinct(attributes []attribute, owned owner) bool {
	if len(attributes) > linearNames {
		return false
	}
	for i := range attributes {
		n := attributes[i].name
		if n.role >= roleLabel {
			if _, ok := owned(n); ok {
				return false
			}
		}
		for j := range i {
			if attributes[j].name.text == n.text {
				return false
			}
		}
	}
	return true
}

// resolve renames attributes whose key is another's: an owner's, or that of an attribute before it. What has the same
// value as the other is left out. It reports whether it found the list as it should be.
func (u *uniqueNames) resolve(names *names, attributes []attribute, owned owner) ([]attribute, bool) {
	if u.distinct(attributes, owned) {
		return attributes, true
	}
	// A map stays as large as it once was, and is as slow to clear.
	if u.taken == nil || len(u.taken) > maxKnownNames {
		u.taken, u.next = make(map[string]holder), make(map[string]int)
	}
	clear(u.taken)
	clear(u.next)
	for i, a := range attributes {
		if _, ok := u.taken[a.name.text]; !ok {
			u.taken[a.name.text] = holder{i, a.value}
		}
	}
	unchanged := true
	kept := attributes[:0]
	for i, a := range attributes {
		other, isOwned := owned(a.name)
		of := u.taken[a.name.text]
		if !isOwned {
			other = of.value
		}
		if isOwned || of.at != i {
			unchanged = false
			if u.same(a.value, other) {
				continue
			}
			a.name = u.rename(names, a.name, owned)
			u.taken[a.name.text] = holder{i, a.value}
		}
		kept = append(kept, a)
	}
	clear(attributes[len(kept):])
	return kept, unchanged
}

// rename returns the first name with a number that is free.
func (u *uniqueNames) rename(names *names, of *name, owned owner) *name {
	number := max(u.next[of.text], 2)
	for ; ; number++ {
		u.number = strconv.AppendInt(u.number[:0], int64(number), 10)
		candidate := names.join(of.text, "_", u.number)
		if _, ok := u.taken[candidate.text]; ok {
			continue
		}
		if _, ok := owned(candidate); ok {
			continue
		}
		u.next[of.text] = number + 1
		return candidate
	}
}

// same reports whether two values are the same.
func (u *uniqueNames) same(a, b value) bool {
	if a.kind != b.kind {
		return false
	}
	if a.node == nil {
		return string(a.text) == string(b.text)
	}
	u.one, u.other = a.marshalTo(u.one[:0]), b.marshalTo(u.other[:0])
	return string(u.one) == string(u.other)
}
