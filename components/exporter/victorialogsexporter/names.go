package victorialogsexporter

import (
	"slices"
	"strings"

	"github.com/gobwas/glob"
)

// Fields that this exporter adds to a row.
const (
	// overflowField holds, as a JSON object, the fields that the server would not store as fields of their own.
	overflowField = "overflow_fields"
	// truncatedField holds, as a JSON object, the whole length in bytes of what was cut, by the name of its field.
	truncatedField = "truncated_fields"
	// originalTimeField holds the time of a record whose `_time` was clamped, RFC 3339.
	originalTimeField = "original_time"
	// splitIDField, splitPartField and splitPartsField tell which part, from 1, of how many a row is, and of what.
	splitIDField    = "split_id"
	splitPartField  = "split_part"
	splitPartsField = "split_parts"
)

// reservedPrefix makes an attribute name out of one that has a meaning of its own.
const reservedPrefix = "attributes."

// fixedReservedNames are the field names that VictoriaLogs, which takes an empty name for `_msg`, or this exporter
// gives a meaning of their own.
var fixedReservedNames = map[string]bool{
	"": true, "_msg": true, "_time": true, "_stream": true, "_stream_id": true,
	overflowField: true, truncatedField: true, originalTimeField: true,
	splitIDField: true, splitPartField: true, splitPartsField: true,
}

func reservedNames(config *Config) map[string]bool {
	names := make(map[string]bool, len(fixedReservedNames)+1)
	for name := range fixedReservedNames {
		names[name] = true
	}
	if config.Idempotency.Enabled {
		names[config.Idempotency.Field] = true
	}
	return names
}

// isGlob reports whether the pattern is more than a name: `*` stands for any bytes, `?` for one rune, and all else for
// itself.
func isGlob(pattern string) bool { return strings.ContainsAny(pattern, "*?") }

var globMeta = strings.NewReplacer(`\*`, "*", `\?`, "?")

func compileGlob(pattern string) glob.Glob {
	return glob.MustCompile(globMeta.Replace(glob.QuoteMeta(pattern)))
}

// source is where a field comes from.
type source int

const (
	fromRecord source = iota
	fromBody
	fromScope
	fromResource
	sources
)

// nameRules are the naming settings of a configuration, ready for use. They are read only.
type nameRules struct {
	reserved map[string]bool
	mappings [sources]mapping

	maxNameBytes, maxDepth int // see LimitsConfig

	streams      map[string]bool
	streamGlobs  []glob.Glob
	streamHeader string // the names of streams that are no globs
}

// mapping is a MappingConfig, ready for use.
type mapping struct {
	identity         bool
	prefix           string
	include, exclude []glob.Glob
	rename           map[string]string
}

// newNameRules takes a configuration that has been validated.
func newNameRules(config *Config) *nameRules {
	rules := &nameRules{
		reserved: reservedNames(config), streams: make(map[string]bool),
		maxNameBytes: config.Limits.MaxFieldNameBytes, maxDepth: config.Limits.MaxDepth,
	}
	var exact []string
	for _, name := range config.StreamFields {
		if isGlob(name) {
			rules.streamGlobs = append(rules.streamGlobs, compileGlob(name))
			continue
		}
		rules.streams[name] = true
		exact = append(exact, name)
	}
	rules.streamHeader = strings.Join(exact, ",")
	for from, m := range map[source]MappingConfig{
		fromRecord: config.Fields.Record, fromBody: config.Fields.Body,
		fromScope: config.Fields.Scope, fromResource: config.Fields.Resource,
	} {
		rules.mappings[from] = mapping{
			identity: m.Prefix == "" && len(m.Include) == 0 && len(m.Exclude) == 0 && len(m.Rename) == 0,
			prefix:   m.Prefix,
			include:  compileGlobs(m.Include),
			exclude:  compileGlobs(m.Exclude),
			rename:   m.Rename,
		}
	}
	return rules
}

func compileGlobs(patterns []string) []glob.Glob {
	globs := make([]glob.Glob, 0, len(patterns))
	for _, pattern := range patterns {
		globs = append(globs, compileGlob(pattern))
	}
	return globs
}

func matchAny(globs []glob.Glob, s string) bool {
	return slices.ContainsFunc(globs, func(g glob.Glob) bool { return g.Match(s) })
}

// name returns the field name of a key, and whether the key becomes a field.
func (m *mapping) name(key string) (string, bool) {
	if len(m.include) > 0 && !matchAny(m.include, key) || matchAny(m.exclude, key) {
		return "", false
	}
	if name, ok := m.rename[key]; ok {
		return name, true
	}
	return m.prefix + key, true
}

// maxCachedNames bounds the caches of a namer: attribute keys come from outside.
const maxCachedNames = 4096

// namer answers from its caches what the rules say. It is not safe for concurrent use.
type namer struct {
	rules   *nameRules
	names   [sources]map[string]cachedName
	streams map[string]bool
}

type cachedName struct {
	name string
	keep bool
}

func newNamer(rules *nameRules) namer { return namer{rules: rules, streams: make(map[string]bool)} }

// name returns the field name of a key of a source, and whether the key becomes a field. The result lives as long as
// the key, or longer.
func (n *namer) name(from source, key string) (string, bool) {
	m := &n.rules.mappings[from]
	if m.identity {
		if n.rules.reserved[key] {
			return reservedPrefix + key, true
		}
		return key, true
	}
	if cached, ok := n.names[from][key]; ok {
		return cached.name, cached.keep
	}
	cache := len(key) <= 2*n.rules.maxNameBytes // longer ones are rare, and many of them would be much
	key = strings.Clone(key)
	name, keep := m.name(key)
	if keep && n.rules.reserved[name] {
		name = reservedPrefix + name
	}
	if !cache {
		return name, keep
	}
	if n.names[from] == nil || len(n.names[from]) >= maxCachedNames {
		n.names[from] = make(map[string]cachedName)
	}
	n.names[from][key] = cachedName{name, keep}
	return name, keep
}

// isStream reports whether a field of this name belongs to the stream.
func (n *namer) isStream(name string) bool {
	if n.rules.streams[name] {
		return true
	}
	return len(n.rules.streamGlobs) > 0 && n.isGlobStream(name)
}

// isGlobStream reports whether a glob makes the field one of the stream. A name that cannot be an element of the header
// does not become one.
func (n *namer) isGlobStream(name string) bool {
	if len(name) > n.rules.maxNameBytes {
		return false // it is not going to be the name of a field
	}
	if is, ok := n.streams[name]; ok {
		return is
	}
	is := !n.rules.streams[name] && fitsHeaderList(name) && matchAny(n.rules.streamGlobs, name)
	if len(n.streams) >= maxCachedNames {
		clear(n.streams)
	}
	n.streams[strings.Clone(name)] = is
	return is
}
