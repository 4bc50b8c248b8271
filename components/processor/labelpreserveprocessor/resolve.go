package labelpreserveprocessor

import "go.opentelemetry.io/collector/pdata/pcommon"

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
