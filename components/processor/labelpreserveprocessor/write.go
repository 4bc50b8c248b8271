package labelpreserveprocessor

import (
	"strconv"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

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
