package lossless

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/collector/confmap"
)

// settings is a section of the effective configuration. What is not in it is the zero value: the Collector leaves out
// what is empty.
type settings map[string]any

func sectionOf(conf *confmap.Conf, path string) settings {
	s, _ := conf.Get(path).(map[string]any)
	return s
}

// at returns the value below the keys, nil when there is none.
func (s settings) at(path ...string) any {
	var value any = map[string]any(s)
	for _, key := range path {
		section, ok := value.(map[string]any)
		if !ok {
			return nil
		}
		value = section[key]
	}
	return value
}

func (s settings) has(path ...string) bool { return s.at(path...) != nil }

func (s settings) section(path ...string) settings {
	section, _ := s.at(path...).(map[string]any)
	return section
}

func (s settings) text(path ...string) string {
	value := s.at(path...)
	if value == nil {
		return ""
	}
	return fmt.Sprint(value)
}

// inBytes says whether a size of a queue or batch is one of bytes. exporterhelper's sizer gets lost when the effective
// configuration is made (it is a struct that only its pointer can marshal); then a size of at least that many is.
func (s settings) inBytes(size, least int64) bool {
	if sizer, ok := s["sizer"].(string); ok {
		return sizer == "bytes"
	}
	return size >= least
}

func (s settings) yes(path ...string) bool {
	value, _ := s.at(path...).(bool)
	return value
}

func (s settings) duration(path ...string) time.Duration {
	if text, ok := s.at(path...).(string); ok {
		d, _ := time.ParseDuration(text)
		return d
	}
	return time.Duration(s.number(path...))
}

// number returns 0 for what is none. Numbers have types of their own (configkafka.RequiredAcks).
func (s settings) number(path ...string) int64 {
	value := reflect.ValueOf(s.at(path...))
	switch {
	case value.CanInt():
		return value.Int()
	case value.CanUint():
		return int64(value.Uint())
	case value.CanFloat():
		return int64(value.Float())
	}
	return 0
}

// list returns the texts of a list, none for what is no list.
func (s settings) list(path ...string) []string {
	value := reflect.ValueOf(s.at(path...))
	if value.Kind() != reflect.Slice {
		return nil
	}
	texts := make([]string, 0, value.Len())
	for i := range value.Len() {
		texts = append(texts, fmt.Sprint(value.Index(i).Interface()))
	}
	return texts
}

// sections returns the maps of a list of maps.
func (s settings) sections(path ...string) []settings {
	list, _ := s.at(path...).([]any)
	var all []settings
	for _, v := range list {
		if m, ok := v.(map[string]any); ok {
			all = append(all, m)
		}
	}
	return all
}

func (s settings) keys() []string { return slices.Sorted(maps.Keys(s)) }

// typeOf returns the type of a component by its ID. Underscores go: upstream renames types (filelog is file_log now) and
// takes both.
func typeOf(id string) string {
	kind, _, _ := strings.Cut(id, "/")
	return strings.ReplaceAll(strings.TrimSpace(kind), "_", "")
}

func isType(id string, types ...string) bool { return slices.Contains(types, typeOf(id)) }
