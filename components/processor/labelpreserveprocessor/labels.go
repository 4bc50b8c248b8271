package labelpreserveprocessor

import (
	"fmt"
	"slices"
	"unicode/utf8"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

// labelSet is the configuration for one signal in the form the hot path needs. It does
// not change after start.
type labelSet struct {
	signal string
	labels []label
	keys   keyTable // every name, alias and output name

	maxKeyBytes   int // of an attribute, 0 for no limit
	maxValueBytes int // of a label of a series, 0 for no limit
	maxLabels     int // of a series, 0 for no limit

	overflow      bool // what is evicted is kept in overflowKey
	overflowKey   string
	missingKey    string
	provenanceKey string // "" for none

	repeats bool // a record may be labelled like the one before, see quick

	contexts   []string // the keys of the sources of kind inContext, by source.context
	identities []identity
	rejects    bool // a label is `on_missing: reject`
	events     bool // labels are written to span events
	links      bool // labels are written to span links
}

type label struct {
	name        string
	sources     []source
	fallback    string
	missing     string // on_missing
	conflictKey string // "" when the value that lost is not kept

	at       [writePlaces]bool // is written to this place
	outs     outputs
	keyNames []string // by rank

	recordOutputs uint64 // the bits of the keys on a record, see labelKey.output

	// On the resource of metrics the outputs depend on what exporters derive from them.
	identity     int // the number of the identity that the label is a part of, -1 for none
	identityOuts [identityForms]outputs
}

// outputs are the keys a label leaves under.
type outputs struct {
	names []string
	keys  uint64 // their bits in finding.keys
}

// sourceKind says how a source is asked. The first three are the places of a label
// in the data and index the arrays of a pass.
type sourceKind int

const (
	inRecord sourceKind = iota
	inScope
	inResource
	inContext
	constant
	joined
)

// places is the number of places a label can have in the data, events and links aside.
const places = 3

// Where labels are written to: inRecord, inResource, or one of these.
const (
	toEvent sourceKind = places + iota
	toLink

	writePlaces = places + 2
)

type source struct {
	kind      sourceKind
	key       string // in the data: read this attribute instead of name and aliases
	context   []int  // inContext: numbers of the keys, in their order
	value     string // constant
	labels    []int  // joined
	separator string // joined

	config SourceConfig
}

func newLabelSet(cfg *Config, signal string) *labelSet {
	ls := &labelSet{
		signal:      signal,
		overflow:    cfg.Limits.Overflow == overflowJSON,
		overflowKey: cfg.Limits.OverflowAttribute,
		missingKey:  cfg.MissingAttribute,
	}
	switch signal {
	case signalLogs:
		ls.maxKeyBytes = cfg.Limits.MaxLogKeyBytes
	case signalMetrics:
		ls.maxKeyBytes, ls.maxValueBytes, ls.maxLabels = cfg.Limits.MaxNameBytes, cfg.Limits.MaxValueBytes, cfg.Limits.MaxLabels
	}
	if cfg.Provenance.Enabled {
		ls.provenanceKey = cfg.Provenance.Attribute
	}

	keys := make(map[string]labelKey)
	number := make(map[string]int)
	declared := cfg.labels()
	for d := range declared {
		lc := &declared[d]
		if !lc.isOn(signal) {
			continue
		}
		i := len(ls.labels)
		number[lc.Name] = i
		keys[lc.Name] = labelKey{label: i}
		l := label{name: lc.Name, keyNames: []string{lc.Name}, fallback: lc.Default, missing: lc.missing(), identity: -1}
		addKey := func(key string) uint64 {
			if known, ok := keys[key]; ok && known.label == i {
				return 1 << known.rank
			}
			keys[key] = labelKey{label: i, rank: len(l.keyNames)}
			l.keyNames = append(l.keyNames, key)
			return 1 << (len(l.keyNames) - 1)
		}
		for _, alias := range lc.aliases() {
			addKey(alias)
		}
		if (lc.KeepConflict == nil && cfg.KeepConflicts) || (lc.KeepConflict != nil && *lc.KeepConflict) {
			l.conflictKey = lc.Name + ".conflict"
		}
		outputsOf := func(names []string) outputs {
			out := outputs{names: names}
			for _, name := range names {
				out.keys |= addKey(name)
			}
			return out
		}
		l.outs = outputsOf(lc.outputNames(cfg.OutputForm.of(signal)))
		if signal == signalMetrics {
			l.identify(outputsOf)
		}
		writeTo := lc.WriteTo
		if writeTo == nil {
			writeTo = cfg.WriteTo.of(signal)
		}
		l.at = [writePlaces]bool{
			inRecord:   slices.Contains(writeTo, placeRecord),
			inResource: slices.Contains(writeTo, placeResource),
			toEvent:    signal == signalTraces && slices.Contains(writeTo, placeEvent),
			toLink:     signal == signalTraces && slices.Contains(writeTo, placeLink),
		}
		for _, from := range lc.from(cfg.Precedence) {
			l.sources = append(l.sources, ls.newSource(from, number, append([]string{lc.Name}, lc.aliases()...)))
		}
		ls.rejects = ls.rejects || l.missing == onMissingReject
		ls.events = ls.events || l.at[toEvent]
		ls.links = ls.links || l.at[toLink]
		ls.labels = append(ls.labels, l)
	}
	ls.repeats = len(ls.labels) > 0 && ls.numberOutputs(keys) && ls.provenanceKey == ""
	ls.keys = newKeyTable(keys)
	if signal == signalMetrics {
		ls.identities = newIdentities(keys)
	}
	return ls
}

// numberOutputs gives each key that a record leaves with its bit, and reports whether there
// are few enough of them, and whether nothing but them decides about the labels of a record.
func (ls *labelSet) numberOutputs(keys map[string]labelKey) bool {
	n := 0
	for i := range ls.labels {
		l := &ls.labels[i]
		for _, src := range l.sources {
			if src.kind == inRecord && src.key != "" {
				return false
			}
		}
		for rank, name := range l.keyNames {
			key := keys[name]
			key.output = -1
			if l.at[inRecord] && l.outs.keys&(1<<rank) != 0 {
				key.output = n
				l.recordOutputs |= 1 << n
				n++
			}
			keys[name] = key
		}
	}
	return n <= 64
}

// newSource translates one entry of `from`; number has the labels declared so far, names
// are those of the label.
func (ls *labelSet) newSource(from SourceConfig, number map[string]int, names []string) source {
	src := source{config: from}
	switch from.Source {
	case sourceRecord:
		src.kind, src.key = inRecord, from.Key
	case sourceScope:
		src.kind, src.key = inScope, from.Key
	case sourceResource:
		src.kind, src.key = inResource, from.Key
	case sourceContext:
		src.kind = inContext
		if from.Key != "" {
			names = []string{from.Key}
		}
		for _, name := range names {
			src.context = append(src.context, len(ls.contexts))
			ls.contexts = append(ls.contexts, name)
		}
	case sourceJoin:
		src.kind, src.separator = joined, from.separator()
		for _, name := range from.Labels {
			// A label that this signal does not have has no value on it.
			if other, ok := number[name]; ok {
				src.labels = append(src.labels, other)
			}
		}
	default:
		src.kind = constant
	}
	return src
}

// readConstants gives the sources env, host_name and static their values.
func (ls *labelSet) readConstants(cfg *Config, getenv func(string) string, hostName func() (string, error)) error {
	at := make(map[string]int)
	declared := cfg.labels()
	for d := range declared {
		at[declared[d].Name] = d
	}
	for i := range ls.labels {
		d := at[ls.labels[i].name]
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
					return fmt.Errorf("labels[%d] (%s): source `host_name` in `from[%d]`: %w", d, ls.labels[i].name, j, err)
				}
				src.value = name
			}
			// One such value would make every batch an OTLP message that strict protobuf
			// decoders refuse as a whole, or every series one that the backend drops.
			what := fmt.Sprintf("the value of source `%s` in `from[%d]`", src.config.Source, j)
			if err := declared[d].validateValue(what, src.value, &cfg.Limits); err != nil {
				return fmt.Errorf("labels[%d] (%s): %w", d, ls.labels[i].name, err)
			}
		}
	}
	return nil
}

// finding is what one attribute map says about one label.
type finding struct {
	value     string // the first non-empty one under the name, else under the aliases in their order
	other     string // the first one after it that is different, "" for none
	rank      int    // of the key that has value
	otherRank int    // of the key that has other
	entries   int    // number of attributes under the name or an alias
	keys      uint64 // of what is a string with this value: one bit for each rank
	empty     bool   // one of the attributes is empty
	odd       bool   // one of them is empty, no string, or has another value
}

// inPlace reports whether the map holds value as it should leave: a string attribute
// under each key of out, and nothing else of the label.
func (f *finding) inPlace(value string, out *outputs) bool {
	return f.entries == len(out.names) && f.keys == out.keys && !f.odd && f.value == value
}

// find looks for all labels in attrs in one walk; it overwrites into. It reports whether
// an attribute is over the limits of a key or a value.
func (ls *labelSet) find(attrs pcommon.Map, into []finding) bool {
	clear(into)
	oversize := false
	for k, v := range attrs.All() {
		key, ok := ls.keys.get(k)
		if !ok {
			oversize = oversize || ls.isOversize(k, v)
			continue
		}
		into[key.label].add(key.rank, v)
	}
	return oversize
}

// add takes one more attribute of the label.
func (f *finding) add(rank int, v pcommon.Value) {
	f.entries++
	if isEmpty(v) {
		f.empty, f.odd = true, true
		return
	}
	value := ""
	if v.Type() == pcommon.ValueTypeStr {
		value = v.Str()
	} else {
		value = v.AsString()
		f.odd = true
		if value == "" {
			return
		}
	}
	switch {
	case f.value == "":
		f.value, f.rank = value, rank
	case f.value == value:
		f.rank = min(f.rank, rank)
	case rank < f.rank:
		if f.other == "" || f.rank < f.otherRank || f.other == value {
			f.other, f.otherRank = f.value, f.rank
		}
		f.value, f.rank, f.odd = value, rank, true
	default:
		if f.other == "" || rank < f.otherRank {
			f.other, f.otherRank = value, rank
		}
		f.odd = true
	}
	f.keys |= 1 << rank
}

// isOversize reports whether an attribute that is no label is over the limits of a backend.
func (ls *labelSet) isOversize(key string, v pcommon.Value) bool {
	if ls.maxKeyBytes > 0 && len(key) > ls.maxKeyBytes {
		return key != ls.overflowKey && key != ls.missingKey
	}
	if ls.maxValueBytes == 0 {
		return false
	}
	switch v.Type() {
	case pcommon.ValueTypeStr:
		return len(v.Str()) > ls.maxValueBytes
	case pcommon.ValueTypeMap, pcommon.ValueTypeSlice, pcommon.ValueTypeBytes:
		return len(v.AsString()) > ls.maxValueBytes
	default:
		return false
	}
}

// truncate cuts a value of a label to what a backend stores, between two runes.
func (ls *labelSet) truncate(value string) string {
	if ls.maxValueBytes == 0 || len(value) <= ls.maxValueBytes {
		return value
	}
	end := ls.maxValueBytes
	for end > ls.maxValueBytes-utf8.UTFMax && !utf8.RuneStart(value[end]) {
		end--
	}
	return value[:end]
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
