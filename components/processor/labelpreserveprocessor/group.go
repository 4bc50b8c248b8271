package labelpreserveprocessor

import (
	"encoding/binary"
	"slices"
	"strconv"
)

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

// tuple returns what the resource of a group has: the values of its labels, and last how
// many attributes it must leave out.
func (p *pass) tuple(group int) []string {
	n := len(p.key)
	return p.tuples[group*n : (group+1)*n]
}
