// Package componentids finds components in a configuration by their type.
package componentids

import (
	"iter"
	"maps"
	"slices"
	"strings"

	"go.opentelemetry.io/collector/confmap"
)

// OfTypes are the settings of the components of a section, such as `receivers`, that are of one of the types, by their id
// and in its order. Settings are nil where the configuration has none.
func OfTypes(conf *confmap.Conf, section string, types ...string) iter.Seq2[string, map[string]any] {
	all, _ := conf.Get(section).(map[string]any)
	return func(yield func(string, map[string]any) bool) {
		for _, id := range slices.Sorted(maps.Keys(all)) {
			if kind, _, _ := strings.Cut(id, "/"); !slices.Contains(types, kind) {
				continue
			}
			settings, _ := all[id].(map[string]any)
			if !yield(id, settings) {
				return
			}
		}
	}
}
