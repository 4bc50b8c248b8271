package main

import (
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/kafka/configkafka"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/confighttp"
	"go.opentelemetry.io/collector/config/confignet"
	"go.opentelemetry.io/collector/config/configopaque"
	"go.opentelemetry.io/collector/config/configretry"
	"go.opentelemetry.io/collector/config/configtls"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/exporter/exporterhelper"
)

// setting is a row of a table.
type setting struct {
	path     string // with :: between its parts
	typ      string
	value    string // the default
	meaning  string
	sharedBy reflect.Type // the group of upstream settings that stands here
}

// section has the settings of a component, or of a group of upstream's.
type section struct {
	title    string
	kind     string // of a component
	dir      string // of a component, below components
	settings []setting
	// squashed are groups whose settings stand among those of the section, or among those below one of them.
	squashed []squashed
}

type squashed struct {
	path  string // empty: of the section itself
	group reflect.Type
}

// book has all sections. Groups of settings that upstream defines are sections of their own, in which several components
// meet; what a component has another default for is a row of the component.
type book struct {
	comments   *comments
	components []section
	groups     map[reflect.Type]*section
	order      []reflect.Type
	missing    []string
}

func newBook(c *comments) *book { return &book{comments: c, groups: map[reflect.Type]*section{}} }

// groupDefaults are what upstream's groups begin with; others begin with the zero value.
var groupDefaults = map[reflect.Type]any{
	reflect.TypeFor[confighttp.ClientConfig]():         confighttp.NewDefaultClientConfig(),
	reflect.TypeFor[configretry.BackOffConfig]():       configretry.NewDefaultBackOffConfig(),
	reflect.TypeFor[configkafka.ClientConfig]():        configkafka.NewDefaultClientConfig(),
	reflect.TypeFor[configkafka.ConsumerConfig]():      configkafka.NewDefaultConsumerConfig(),
	reflect.TypeFor[configkafka.ProducerConfig]():      configkafka.NewDefaultProducerConfig(),
	reflect.TypeFor[configkafka.MetadataConfig]():      configkafka.NewDefaultMetadataConfig(),
	reflect.TypeFor[confignet.AddrConfig]():            confignet.NewDefaultAddrConfig(),
	reflect.TypeFor[configtls.ClientConfig]():          configtls.NewDefaultClientConfig(),
	reflect.TypeFor[configtls.ServerConfig]():          configtls.NewDefaultServerConfig(),
	reflect.TypeFor[exporterhelper.TimeoutConfig]():    exporterhelper.NewDefaultTimeoutConfig(),
	reflect.TypeFor[exporterhelper.QueueBatchConfig](): exporterhelper.NewDefaultQueueConfig(),
}

func (b *book) addComponent(f factory) {
	config := reflect.ValueOf(f.CreateDefaultConfig()).Elem()
	kind, _, _ := strings.Cut(f.dir, "/")
	s := section{title: f.Type().String() + " " + kind, kind: kind, dir: f.dir}
	b.addStruct(&s, "", config)
	b.components = append(b.components, s)
}

// addStruct adds the fields of a struct below a path.
func (b *book) addStruct(s *section, path string, v reflect.Value) {
	for i := range v.NumField() {
		field := v.Type().Field(i)
		key, options, _ := strings.Cut(field.Tag.Get("mapstructure"), ",")
		if !field.IsExported() || key == "-" || strings.Contains(options, "remain") {
			continue
		}
		value := v.Field(i)
		if strings.Contains(options, "squash") {
			inner, _ := unwrap(value)
			if ours(inner.Type()) {
				b.addStruct(s, path, inner)
				continue
			}
			b.group(inner.Type())
			s.squashed = append(s.squashed, squashed{path, inner.Type()})
			b.addOverrides(s, path, inner)
			continue
		}
		if key == "" {
			key = strings.ToLower(field.Name)
		}
		b.addField(s, join(path, key), v.Type(), field, value)
	}
}

func (b *book) addField(s *section, path string, owner reflect.Type, field reflect.StructField, value reflect.Value) {
	inner, absent := unwrap(value)
	row := setting{path: path, meaning: b.meaning(owner, field, inner.Type())}
	if row.meaning == "" {
		b.missing = append(b.missing, fmt.Sprintf("%s: `%s` (%s.%s.%s)", s.title, path, owner.PkgPath(), owner.Name(), field.Name))
	}
	if isLeaf(inner.Type()) {
		row.typ = b.typeName(inner.Type())
		row.value = valueText(inner)
		if absent {
			row.value = "not set"
		}
		s.settings = append(s.settings, row)
		if element, below, ok := elementOf(inner.Type(), path); ok {
			b.addStruct(s, below, element)
		}
		return
	}
	row.typ = "section"
	if absent {
		row.value = "off"
	}
	if ours(inner.Type()) {
		s.settings = append(s.settings, row)
		b.addStruct(s, path, inner)
		return
	}
	b.group(inner.Type())
	row.sharedBy = inner.Type()
	s.settings = append(s.settings, row)
	b.addOverrides(s, path, inner)
}

// group makes the section of a group of upstream's settings, if there is none yet.
func (b *book) group(t reflect.Type) {
	if _, ok := b.groups[t]; ok {
		return
	}
	g := &section{title: t.String()}
	b.groups[t] = g
	b.order = append(b.order, t)
	b.addStruct(g, "", groupDefault(t))
}

func groupDefault(t reflect.Type) reflect.Value {
	if value, ok := groupDefaults[t]; ok {
		return reflect.ValueOf(value)
	}
	return zero(t)
}

// addOverrides adds a row for each setting of a group that has another default here.
func (b *book) addOverrides(s *section, path string, v reflect.Value) {
	var here, there section
	quiet := &book{comments: b.comments, groups: map[reflect.Type]*section{}}
	quiet.flatten(&here, path, v)
	quiet.flatten(&there, path, groupDefault(v.Type()))
	usual := map[string]string{}
	for _, row := range there.settings {
		usual[row.path] = row.value
	}
	for _, row := range here.settings {
		if usual[row.path] != row.value {
			s.settings = append(s.settings, row)
		}
	}
}

// flatten adds all that is below a struct, groups within it included.
func (b *book) flatten(s *section, path string, v reflect.Value) {
	for i := range v.NumField() {
		field := v.Type().Field(i)
		key, options, _ := strings.Cut(field.Tag.Get("mapstructure"), ",")
		if !field.IsExported() || key == "-" || strings.Contains(options, "remain") {
			continue
		}
		inner, absent := unwrap(v.Field(i))
		below := join(path, key)
		switch {
		case strings.Contains(options, "squash"):
			b.flatten(s, path, inner)
		case isLeaf(inner.Type()):
			row := setting{path: below, typ: b.typeName(inner.Type()), value: valueText(inner), meaning: b.meaning(v.Type(), field, inner.Type())}
			if absent {
				row.value = "not set"
			}
			s.settings = append(s.settings, row)
		default:
			b.flatten(s, below, inner)
		}
	}
}

// meaning is what the sources say of a field, or else of its type.
func (b *book) meaning(owner reflect.Type, field reflect.StructField, inner reflect.Type) string {
	if text, ok := descriptions[owner.String()+"."+field.Name]; ok {
		return text
	}
	if c, err := b.comments.of(owner); err == nil && c.fields[owner.Name()+"."+field.Name] != "" {
		text := c.fields[owner.Name()+"."+field.Name]
		if !ours(owner) {
			text = withoutDefault(text)
		}
		return text
	}
	if inner.PkgPath() == "" || !ours(inner) && isLeaf(inner) {
		return ""
	}
	c, err := b.comments.of(inner)
	if err != nil {
		return ""
	}
	return withoutName(c.types[inner.Name()], inner.Name())
}

// defaults are what upstream's comments say of them, which is not true where a component has another one.
var defaults = regexp.MustCompile(`(?i) *\(default[^)]*\)|(?:^| +)(?:the )?default(?:s to| is|:) [^.]*(?:\.|$)`)

func withoutDefault(text string) string {
	return strings.TrimSpace(defaults.ReplaceAllString(text, ""))
}

// finish reports what has no description.
func (b *book) finish() error {
	if len(b.missing) == 0 {
		return nil
	}
	return errors.New("without a description; give the field a comment, or one of upstream's a line in descriptions.go:\n  " +
		strings.Join(b.missing, "\n  "))
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "::" + key
}

func ours(t reflect.Type) bool { return strings.HasPrefix(t.PkgPath(), module+"/") }

func zero(t reflect.Type) reflect.Value { return reflect.New(t).Elem() }

// unwrap returns what a pointer or a configoptional.Optional holds, or would hold when it is in the configuration, and
// whether it is absent.
func unwrap(v reflect.Value) (inner reflect.Value, absent bool) {
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			inner, _ = unwrap(zero(v.Type().Elem()))
			return inner, true
		}
		return unwrap(v.Elem())
	}
	if _, optional := v.Type().MethodByName("HasValue"); !optional {
		return v, false
	}
	absent = !v.MethodByName("HasValue").Call(nil)[0].Bool()
	copied := reflect.New(v.Type())
	copied.Elem().Set(v)
	inner, _ = unwrap(copied.MethodByName("GetOrInsertDefault").Call(nil)[0])
	return inner, absent
}

// isLeaf reports whether a value of the type is written as a scalar, a list or a map.
func isLeaf(t reflect.Type) bool {
	return t.Kind() != reflect.Struct || t.NumField() == 0 || reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]())
}

// elementOf returns what a list or a map of structs has in it, with its defaults, and the path of it.
func elementOf(t reflect.Type, path string) (element reflect.Value, below string, ok bool) {
	if t == reflect.TypeFor[configopaque.MapList]() || t.Kind() != reflect.Slice && t.Kind() != reflect.Map || isLeaf(t.Elem()) {
		return reflect.Value{}, "", false
	}
	pointer := reflect.New(t.Elem())
	if u, custom := pointer.Interface().(confmap.Unmarshaler); custom {
		_ = u.Unmarshal(confmap.New()) // of nothing: its defaults
	}
	if t.Kind() == reflect.Map {
		return pointer.Elem(), path + "::<name>", true
	}
	return pointer.Elem(), path + "[]", true
}

// typeName is the type as somebody knows it who writes YAML.
func (b *book) typeName(t reflect.Type) string {
	switch {
	case t == reflect.TypeFor[time.Duration]():
		return "duration"
	case t == reflect.TypeFor[component.ID]():
		return "component ID"
	case t == reflect.TypeFor[configopaque.String]():
		return "text, secret"
	case t == reflect.TypeFor[configopaque.MapList]():
		return "map of texts, secret"
	}
	switch t.Kind() {
	case reflect.Bool:
		return "boolean"
	case reflect.Float32, reflect.Float64:
		return "number"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64, reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return "integer"
	case reflect.String:
		return b.textName(t)
	case reflect.Slice:
		return "list of " + plural(b.typeName(t.Elem()))
	case reflect.Map:
		return "map of " + plural(b.typeName(t.Elem()))
	case reflect.Struct:
		if _, id := t.MethodByName("Signal"); id {
			return "pipeline ID"
		}
		if reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()) {
			return "text"
		}
		return "section"
	default:
		return "any"
	}
}

// partly are types of which each setting takes some of the constants, as its comment says.
var partly = map[string]bool{"victorialogsexporter.Action": true}

// textName names the values of a text that has a type with constants.
func (b *book) textName(t reflect.Type) string {
	if t.PkgPath() == "" || partly[t.String()] {
		return "text"
	}
	c, err := b.comments.of(t)
	if err != nil {
		return "text"
	}
	var values []string
	for _, value := range c.values[t.Name()] {
		if value != "" && !slices.Contains(values, "`"+value+"`") {
			values = append(values, "`"+value+"`")
		}
	}
	if len(values) < 2 {
		return "text"
	}
	return "one of " + strings.Join(values, ", ")
}

func plural(name string) string {
	if strings.HasPrefix(name, "one of") || name == "any" {
		return name
	}
	name, secret := strings.CutSuffix(name, ", secret")
	if secret {
		return name + "s, secret"
	}
	return name + "s"
}

// valueText is a default as it is written in YAML.
func valueText(v reflect.Value) string {
	switch value := v.Interface().(type) {
	case time.Duration:
		return "`" + durationText(value) + "`"
	case configopaque.String, configopaque.MapList:
		return "none" // no default is a secret, and no secret is a default
	case encoding.TextMarshaler:
		text, err := value.MarshalText()
		if err != nil || len(text) == 0 {
			return "none"
		}
		return "`" + string(text) + "`"
	}
	switch v.Kind() {
	case reflect.Slice, reflect.Map:
		if v.Len() == 0 {
			return "none"
		}
		return "`" + strings.ReplaceAll(fmt.Sprint(v.Interface()), " ", ", ") + "`"
	case reflect.Struct, reflect.Interface:
		return "none"
	case reflect.String:
		if v.Len() == 0 {
			return "none"
		}
	}
	return fmt.Sprintf("`%v`", v.Interface())
}

// durationText leaves out what is zero: 11m, not 11m0s.
func durationText(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
