package labelpreserveprocessor

import (
	"fmt"
	"unicode/utf8"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

// labelSet is the configuration in the form the hot path needs. It does not change
// after start.
type labelSet struct {
	labels []label
	keys   map[string]labelKey // every name and alias
}

type label struct {
	name     string
	sources  []source
	fallback string
}

// labelKey says which label an attribute key stands for.
type labelKey struct {
	label int
	rank  int // 0 is the name, 1 the first alias
}

// sourceKind says how a source is asked. The first three are the places of a label
// in the data and index the arrays of a pass.
type sourceKind int

const (
	inRecord sourceKind = iota
	inScope
	inResource
	constant
	joined
)

// places is the number of places a label can have in the data.
const places = 3

type source struct {
	kind      sourceKind
	key       string // in the data: read this attribute instead of name and aliases
	value     string // constant
	labels    []int  // joined
	separator string // joined

	config SourceConfig
}

func newLabelSet(cfg *Config) *labelSet {
	ls := &labelSet{keys: make(map[string]labelKey)}
	number := make(map[string]int, len(cfg.Labels))
	for i := range cfg.Labels {
		declared := &cfg.Labels[i]
		number[declared.Name] = i
		ls.keys[declared.Name] = labelKey{label: i}
		for j, alias := range declared.aliases() {
			ls.keys[alias] = labelKey{label: i, rank: j + 1}
		}
		l := label{name: declared.Name, fallback: declared.Default}
		for _, from := range declared.from() {
			l.sources = append(l.sources, newSource(from, number))
		}
		ls.labels = append(ls.labels, l)
	}
	return ls
}

// newSource translates one entry of `from`; number has the labels declared so far.
func newSource(from SourceConfig, number map[string]int) source {
	src := source{config: from}
	switch from.Source {
	case sourceRecord:
		src.kind, src.key = inRecord, from.Key
	case sourceScope:
		src.kind, src.key = inScope, from.Key
	case sourceResource:
		src.kind, src.key = inResource, from.Key
	case sourceJoin:
		src.kind, src.separator = joined, from.separator()
		for _, name := range from.Labels {
			src.labels = append(src.labels, number[name])
		}
	default:
		src.kind = constant
	}
	return src
}

// readConstants gives the sources env, host_name and static their values.
func (ls *labelSet) readConstants(getenv func(string) string, hostName func() (string, error)) error {
	for i := range ls.labels {
		for j := range ls.labels[i].sources {
			src := &ls.labels[i].sources[j]
			switch src.config.Source {
			case sourceStatic:
				src.value = src.config.Value
			case sourceEnv:
				src.value = getenv(src.config.Key)
			case sourceHostName:
				name, err := hostName()
				if err != nil {
					return fmt.Errorf("labels[%d] (%s): source `host_name` in `from[%d]`: %w", i, ls.labels[i].name, j, err)
				}
				src.value = name
			}
			// One such value would make every batch an OTLP message that strict
			// protobuf decoders refuse as a whole.
			if !utf8.ValidString(src.value) {
				return fmt.Errorf("labels[%d] (%s): the value of source `%s` in `from[%d]` is not valid UTF-8",
					i, ls.labels[i].name, src.config.Source, j)
			}
		}
	}
	return nil
}

// finding is what one attribute map says about one label.
type finding struct {
	value    string // the first non-empty one under the name, else under the aliases in their order
	rank     int    // of the key that has value
	isString bool   // value was a string attribute, not converted to one
	entries  int    // number of attributes under the name or an alias
	empty    bool   // one of them is empty
	differ   bool   // two of them have different non-empty values
}

// inPlace reports whether the map holds value as it should leave: a single string
// attribute under the name.
func (f *finding) inPlace(value string) bool {
	return f.entries == 1 && f.rank == 0 && f.isString && f.value == value
}

// find looks for all labels in attrs in one walk; it overwrites into.
func (ls *labelSet) find(attrs pcommon.Map, into []finding) {
	clear(into)
	for k, v := range attrs.All() {
		key, ok := ls.keys[k]
		if !ok {
			continue
		}
		f := &into[key.label]
		f.entries++
		if isEmpty(v) {
			f.empty = true
			continue
		}
		value := v.AsString()
		if f.value == "" || key.rank < f.rank {
			f.differ = f.differ || (f.value != "" && f.value != value)
			f.value, f.rank, f.isString = value, key.rank, v.Type() == pcommon.ValueTypeStr
			continue
		}
		f.differ = f.differ || f.value != value
	}
}

// write puts the labels that have a value into attrs, each under its name alone, and
// removes what is empty of those that have none. found is what find says of attrs.
func (ls *labelSet) write(attrs pcommon.Map, found []finding, values []string) {
	added, removes := 0, false
	for i, value := range values {
		f := &found[i]
		switch {
		case value == "":
			removes = removes || f.empty
		case !f.inPlace(value):
			added++
			removes = removes || f.entries > 0
		}
	}
	if removes {
		attrs.RemoveIf(func(k string, v pcommon.Value) bool {
			key, ok := ls.keys[k]
			if !ok {
				return false
			}
			if values[key.label] == "" {
				return isEmpty(v)
			}
			return !found[key.label].inPlace(values[key.label])
		})
	}
	if added == 0 {
		return
	}
	attrs.EnsureCapacity(attrs.Len() + added)
	for i, value := range values {
		if value != "" && !found[i].inPlace(value) {
			attrs.PutStr(ls.labels[i].name, value)
		}
	}
}

// clean removes from the attributes of a scope the labels that have a value, because
// its records and the resource hold them, and those that are empty.
func (ls *labelSet) clean(attrs pcommon.Map, values []string) {
	attrs.RemoveIf(func(k string, v pcommon.Value) bool {
		key, ok := ls.keys[k]
		return ok && (isEmpty(v) || values[key.label] != "")
	})
}

func isEmpty(v pcommon.Value) bool {
	switch v.Type() {
	case pcommon.ValueTypeEmpty:
		return true
	case pcommon.ValueTypeStr:
		return v.Str() == ""
	case pcommon.ValueTypeBytes:
		return v.Bytes().Len() == 0
	default:
		return false
	}
}
