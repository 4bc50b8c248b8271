package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const root = "../.."

// sources are read once for all tests.
var sources = newComments(root)

// TestDocument holds that docs/configuration.md is what the code says, and by it that every setting and variable has a
// description.
func TestDocument(t *testing.T) {
	want, err := generate(root)
	require.NoError(t, err)
	have, err := os.ReadFile(filepath.Join(root, document))
	require.NoError(t, err)
	assert.True(t, want == string(have), "%s is not what the code says: run `make generate`", document)
}

func newTestBook(t *testing.T) *book {
	b := newBook(sources)
	for _, f := range factories() {
		b.addComponent(f)
	}
	require.NoError(t, b.finish())
	return b
}

func TestEveryComponent(t *testing.T) {
	var listed []string
	for _, f := range factories() {
		listed = append(listed, f.dir)
	}
	var found []string
	paths, err := filepath.Glob(filepath.Join(root, "components", "*", "*", "metadata.yaml"))
	require.NoError(t, err)
	for _, path := range paths {
		dir, err := filepath.Rel(filepath.Join(root, "components"), filepath.Dir(path))
		require.NoError(t, err)
		found = append(found, filepath.ToSlash(dir))
	}
	assert.ElementsMatch(t, found, listed, "components/*/* and factories()")
}

// TestSettings looks at one setting of each kind.
func TestSettings(t *testing.T) {
	b := newTestBook(t)
	for _, want := range []struct{ component, path, typ, value, meaning string }{
		{"durable_kafka receiver", "max_in_flight_bytes", "integer", "`16777216`", "Bounds what is queued"},
		{"durable_kafka receiver", "merge::linger", "duration", "`200ms`", "How long a request waits"},
		{"durable_kafka receiver", "initial_offset", "text", "`earliest`", ""}, // upstream's field with a default of ours
		{"durable_kafka receiver", "error_backoff::max_elapsed_time", "duration", "`0s`", ""},
		{"durable_kafka receiver", "dead_letter", "section", "off", "Keeps messages"},              // optional
		{"remote_write exporter", "delta", "one of `reject`, `gauge`", "`reject`", "What becomes"}, // a type with constants
		{"victorialogs exporter", "on_violation::past", "text", "`clamp`", "clamp or reject"},
		{"record_file receiver", "storage", "component ID", "not set", "The extension"},                      // a pointer
		{"durability extension", "backends::<name>::flush_window", "duration", "`0s`", "How long after"},     // of a map
		{"label_preserve processor", "labels[]::from[]::source", "text", "none", "One of record"},            // of lists
		{"durable_journal receiver", "linger", "duration", "`200ms`", "`max_batch_records` and"},             // one comment for two
		{"durable_kafka exporter", "producer::required_acks", "integer", "`-1`", ""},                         // a group with a default of ours
		{"dead_letter connector", "primary", "list of pipeline IDs", "none", "The pipelines that get every"}, // a struct that is text
	} {
		var found *setting
		for _, s := range b.components {
			for i := range s.settings {
				if s.title == want.component && s.settings[i].path == want.path {
					found = &s.settings[i]
				}
			}
		}
		if assert.NotNil(t, found, "%s: %s", want.component, want.path) {
			assert.Contains(t, found.typ, want.typ, want.path)
			assert.Equal(t, want.value, found.value, want.path)
			assert.Contains(t, found.meaning, want.meaning, want.path)
		}
	}
}

func TestMissingDescriptionsAreErrors(t *testing.T) {
	b := newTestBook(t)
	b.missing = []string{"x receiver: `y` (…)"}
	assert.ErrorContains(t, b.finish(), "x receiver: `y`")
}

// TestReadmesNameSettings holds that what the README of a component calls a setting is one, in tables whose first column
// is of settings.
func TestReadmesNameSettings(t *testing.T) {
	b := newTestBook(t)
	name := regexp.MustCompile("`([a-z_]+(?:::[a-z_<>]+)*)`")
	for _, s := range b.components {
		text, err := os.ReadFile(filepath.Join(root, "components", s.dir, "README.md"))
		require.NoError(t, err)
		if len(s.settings) > 0 {
			assert.Contains(t, string(text), "docs/configuration.md", "the README of %s names the reference", s.title)
		}
		_, settings, _ := strings.Cut(string(text), "\n## Settings\n")
		settings, _, _ = strings.Cut(settings, "\n## ")
		known := b.names(&s)
		table := false
		for line := range strings.Lines(settings) {
			cells := strings.Split(line, "|")
			if len(cells) < 3 {
				table = false
				continue
			}
			if strings.EqualFold(strings.TrimSpace(cells[1]), "setting") {
				table = true
			}
			if !table {
				continue
			}
			for _, setting := range name.FindAllStringSubmatch(cells[1], -1) {
				// fields::<source>::prefix stands for several.
				parts := strings.Split(setting[1], "::")
				assert.True(t, known[setting[1]] || strings.Contains(setting[1], "<") && known[parts[len(parts)-1]],
					"README of %s: `%s` is no setting", s.title, setting[1])
			}
		}
	}
}

// names are the settings of a section and of the groups in it, and their last parts, by which tables may call them.
func (b *book) names(s *section) map[string]bool {
	names := map[string]bool{}
	var add func(prefix string, s *section)
	add = func(prefix string, s *section) {
		for _, row := range s.settings {
			path := join(prefix, row.path)
			names[path] = true
			parts := strings.Split(path, "::")
			names[strings.TrimSuffix(parts[len(parts)-1], "[]")] = true
			names[strings.Join(parts[:len(parts)-1], "::")] = true // an element of a map
			if row.sharedBy != nil {
				add(path, b.groups[row.sharedBy])
			}
		}
		for _, of := range s.squashed {
			below := prefix
			if of.path != "" {
				below = join(prefix, of.path)
			}
			add(below, b.groups[of.group])
		}
	}
	add("", s)
	return names
}

func TestOutsideVariables(t *testing.T) {
	for _, v := range outside {
		path := filepath.Join(root, v.source)
		info, err := os.Stat(path)
		require.NoError(t, err)
		paths := []string{path}
		if info.IsDir() {
			paths, err = filepath.Glob(filepath.Join(path, "*.go"))
			require.NoError(t, err)
		}
		var text string
		for _, p := range paths {
			data, err := os.ReadFile(p)
			require.NoError(t, err)
			text += string(data)
		}
		assert.Contains(t, text, v.name, v.source)
	}
}

func TestComments(t *testing.T) {
	keys := map[string]string{"From": "from", "MaxBytes": "max_bytes", "KeepConflicts": "keep_conflicts"}
	for text, want := range map[string]string{
		"From is where it begins.":                        "Where it begins.",
		"From of all":                                     "From of all",
		"From lists the sources, MaxBytes of them.":       "Lists the sources, `max_bytes` of them.",
		"From and MaxBytes bound it. From is no less.":    "`from` and `max_bytes` bound it. From is no less.",
		"From is Config.KeepConflicts for this label.":    "`keep_conflicts` for this label.",
		"What is under way. A word that begins otherwise": "What is under way. A word that begins otherwise",
	} {
		assert.Equal(t, want, withKeys(text, "From", keys), text)
	}
}

func TestVariables(t *testing.T) {
	places, err := readEnvironment(root)
	require.NoError(t, err)
	find := func(place int, name string) *variable {
		for i, v := range places[place].variables {
			if v.name == name {
				return &places[place].variables[i]
			}
		}
		t.Fatalf("no %s", name)
		return nil
	}
	health := find(0, "HEALTH_ENDPOINT")
	assert.Equal(t, []string{"127.0.0.1:13133", "127.0.0.1:13134"}, health.defaults)
	assert.Equal(t, []string{"agent.yaml", "standalone.yaml"}, health.files["127.0.0.1:13133"])
	assert.Equal(t, []string{""}, find(0, "SITE_NAME").defaults, "read by label_preserve")
	assert.Equal(t, []string{"java,python,go,node"}, find(1, "LOG_MULTILINE").defaults)
	assert.Contains(t, find(3, "KAFKA_SASL_PASSWORD_FILE").meaning, "password")
	assert.Contains(t, find(0, "LOKI_FLUSH_WINDOW").meaning, "](backends.md#after-a-kill)")
	_, err = readEnvironment(t.TempDir())
	assert.Error(t, err)
}

// TestDescriptionsAreNeeded holds that no description outlives its field, or a comment of upstream's.
func TestDescriptionsAreNeeded(t *testing.T) {
	kept := descriptions
	t.Cleanup(func() { descriptions = kept })
	descriptions = map[string]string{}
	b := newBook(sources)
	for _, f := range factories() {
		b.addComponent(f)
	}
	missing := strings.Join(b.missing, "\n")
	for name := range kept {
		_, field, _ := strings.Cut(name, ".")
		assert.Contains(t, missing, "."+field+")", name)
	}
}

func TestWithoutDefault(t *testing.T) {
	for text, want := range map[string]string{
		`Bytes to fetch (default "10").`:       "Bytes to fetch.",
		"Sets it. Default is 0 (unlimited).":   "Sets it.",
		"The name. Defaults to otel. Required": "The name. Required",
		"The default behaviour stays.":         "The default behaviour stays.",
	} {
		assert.Equal(t, want, withoutDefault(text))
	}
}
