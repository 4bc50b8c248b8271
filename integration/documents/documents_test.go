// Package documents holds what the documents print to what the binary does: their
// blocks of YAML are validated, and the metrics, settings and files that they name
// exist.
package documents

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/breakwater-otel/breakwater/integration/harness"
)

// guides are the documents of which every block of YAML has to say what it is.
var guides = []string{
	"README.md", "docs/backends.md", "docs/decisions.md", "docs/delivery.md", "docs/install.md", "docs/limits.md",
	"docs/lossless.md", "docs/migration.md", "docs/operations.md", "docs/sources.md",
}

// block is a piece of YAML, and what the comment above it says.
type block struct {
	line   int
	mark   string // validate, refused, no
	rest   string
	source string
}

var mark = regexp.MustCompile(`^<!-- (validate|refused|not of the collector):? ?(.*?) ?-->$`)

// blocks returns those of a document.
func blocks(t *testing.T, document string) []block {
	text, err := os.ReadFile(filepath.Join(root(t), document))
	require.NoError(t, err)
	var found []block
	var open *block
	lines := strings.Split(string(text), "\n")
	for i, line := range lines {
		switch {
		case open == nil && strings.HasPrefix(line, "```yaml"):
			open = &block{line: i + 1}
			if match := mark.FindStringSubmatch(lines[max(i-1, 0)]); match != nil {
				open.mark, open.rest = match[1], match[2]
			}
		case open != nil && line == "```":
			found, open = append(found, *open), nil
		case open != nil:
			open.source += line + "\n"
		}
	}
	require.Nil(t, open, "%s: a block without an end", document)
	return found
}

func root(t *testing.T) string {
	path, err := harness.Root()
	require.NoError(t, err)
	return path
}

// TestYAML validates each block as its comment says: `validate` with the files that it is merged over, or `refused` with
// the codes of the lossless check that it has to be refused for.
func TestYAML(t *testing.T) {
	checked := 0
	for _, document := range guides {
		for _, b := range blocks(t, document) {
			place := fmt.Sprintf("%s:%d", document, b.line)
			switch b.mark {
			case "":
				t.Errorf("%s: the line above the block must be <!-- validate: FILES -->, <!-- refused: CODES --> or <!-- not of the collector -->", place)
			case "validate":
				checked++
				t.Run(place, func(t *testing.T) {
					t.Parallel()
					result := validate(t, b.source, strings.Fields(b.rest)...)
					assert.Zero(t, result.ExitCode, result.Output)
				})
			case "refused":
				checked++
				t.Run(place, func(t *testing.T) {
					t.Parallel()
					codes := strings.Fields(b.rest)
					require.NotEmpty(t, codes)
					result := validate(t, b.source)
					assert.NotZero(t, result.ExitCode, result.Output)
					assert.ElementsMatch(t, codes, unique(code.FindAllString(result.Output, -1)), result.Output)
				})
			}
		}
	}
	assert.GreaterOrEqual(t, checked, 4)
}

var code = regexp.MustCompile(`BW\d{3}`)

func unique(all []string) []string {
	seen := map[string]bool{}
	var once []string
	for _, text := range all {
		if !seen[text] {
			seen[text] = true
			once = append(once, text)
		}
	}
	return once
}

// validate runs `breakwater validate` on a block that is merged over files.
func validate(t *testing.T, source string, files ...string) harness.RunResult {
	path := filepath.Join(t.TempDir(), "block.yaml")
	require.NoError(t, os.WriteFile(path, []byte(source), 0o600))
	b, err := harness.NewBreakwater(harness.BreakwaterOptions{Dir: t.TempDir()})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, b.Close()) })
	args := []string{"validate"}
	for _, file := range append(files, path) {
		args = append(args, "--config="+file)
	}
	result, err := b.Run(t.Context(), args...)
	require.NoError(t, err)
	return result
}

var (
	metric  = regexp.MustCompile(`\botelcol_((?:receiver|exporter|connector|processor|extension)_[a-z0-9_]+)`)
	target  = regexp.MustCompile(`\]\(([^)#\s]+)(#[^)\s]*)?\)|\]\((#[^)\s]*)\)`)
	heading = regexp.MustCompile(`(?m)^#+ +(.*)$`)
)

// ofUpstream are metrics of the Collector's helpers that guides name.
var ofUpstream = []string{
	"receiver_accepted_log_records", "receiver_refused_log_records", "receiver_accepted_metric_points",
	"exporter_queue_size", "exporter_queue_capacity", "exporter_sent_log_records",
	"exporter_send_failed_log_records", "exporter_enqueue_failed_log_records",
}

// TestMetrics holds that the metrics of guides are declared by a component, or known to be of upstream.
func TestMetrics(t *testing.T) {
	declared := map[string]bool{}
	for _, name := range ofUpstream {
		declared[name] = true
	}
	paths, err := filepath.Glob(filepath.Join(root(t), "components", "*", "*", "metadata.yaml"))
	require.NoError(t, err)
	name := regexp.MustCompile(`(?m)^    ([a-z0-9_]+):$`)
	for _, path := range paths {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		for _, match := range name.FindAllStringSubmatch(string(text), -1) {
			declared[match[1]] = true
		}
	}
	named := 0
	for _, document := range guides {
		text, err := os.ReadFile(filepath.Join(root(t), document))
		require.NoError(t, err)
		for _, match := range metric.FindAllStringSubmatch(spelledOut(string(text)), -1) {
			named++
			known := declared[match[1]]
			for _, suffix := range []string{"_bucket", "_count", "_sum"} {
				known = known || declared[strings.TrimSuffix(match[1], suffix)]
			}
			assert.True(t, known, "%s: no metric otelcol_%s", document, match[1])
		}
	}
	assert.Positive(t, named)
}

var alternatives = regexp.MustCompile(`([a-z0-9_]*)\(([a-z0-9_]+(?:\|[a-z0-9_]+)+)\)([a-z0-9_]*)`)

// spelledOut is a text in which the alternatives of grep's patterns are written out, those within others first.
func spelledOut(text string) string {
	for alternatives.MatchString(text) {
		text = alternatives.ReplaceAllStringFunc(text, func(pattern string) string {
			match := alternatives.FindStringSubmatch(pattern)
			var names []string
			for name := range strings.SplitSeq(match[2], "|") {
				names = append(names, match[1]+name+match[3])
			}
			return strings.Join(names, "|")
		})
	}
	return text
}

func TestSpelledOut(t *testing.T) {
	assert.Equal(t, "^otelcol_a|otelcol_b_c_d|otelcol_b_e_d", spelledOut("^otelcol_(a|b_(c|e)_d)"))
	assert.Equal(t, "no (alternative) here", spelledOut("no (alternative) here"))
}

// TestLinks holds that what guides link to is there: files, and headings in them.
func TestLinks(t *testing.T) {
	for _, document := range append(guides, "docs/configuration.md") {
		text, err := os.ReadFile(filepath.Join(root(t), document))
		require.NoError(t, err)
		for _, match := range target.FindAllStringSubmatch(string(text), -1) {
			file, anchor := match[1], match[2]+match[3]
			if strings.Contains(file, "://") {
				continue
			}
			path := filepath.Join(root(t), document)
			if file != "" {
				path = filepath.Join(root(t), filepath.Dir(document), file)
			}
			if _, err := os.Stat(path); !assert.NoError(t, err, "%s: %s", document, match[0]) || anchor == "" {
				continue
			}
			linked, err := os.ReadFile(path)
			require.NoError(t, err)
			assert.True(t, hasHeading(string(linked), anchor[1:]), "%s: no heading for %s", document, match[0])
		}
	}
}

// figures are the cells of the table in README that compares, and where its figures were measured: a row of a table, by what
// it begins with, behind a line of the document.
var figures = []struct{ row, ours, other, document, behind string }{
	{"VictoriaLogs killed three times", "victorialogs-kill", "", "docs/crucible.md", "# Crucible"},
	{"VictoriaLogs killed three times", "", "victorialogs-kill", "docs/crucible.md", "## upstream"},
	{"VictoriaMetrics killed three times", "victoriametrics-kill", "", "docs/crucible.md", "# Crucible"},
	{"VictoriaMetrics killed three times", "", "victoriametrics-kill", "docs/crucible.md", "## upstream"},
	{"consumer: CPU a record, OTLP", "ours:", "rival:", "docs/benchmarks.md", "<!-- bench:compare begin -->"},
	{"consumer: peak memory", "ours:", "rival:", "docs/benchmarks.md", "<!-- bench:compare begin -->"},
	{"VictoriaLogs: CPU a row", "ours:", "rival:", "docs/benchmarks.md", "<!-- bench:compare begin -->"},
	{"drain of a backlog", "ours:", "rival:", "docs/benchmarks.md", "<!-- bench:compare begin -->"},
	{"consumer: CPU a record, Fluent Bit's JSON", "ours:", "rival:", "docs/benchmarks.md", "<!-- bench:fluentbit begin -->"},
	{"VictoriaLogs away for 10 min", "worst", "", "docs/benchmarks.md", "<!-- bench:outage begin -->"},
}

// figure is a number as a cell has it, with its unit.
var figure = regexp.MustCompile(`[0-9][0-9.,]*[0-9]?(?: (?:µs|MB|s|k records/s))?`)

// TestFiguresOfREADME holds the figures of README to those of the documents that the benchmarks and the crucible write.
func TestFiguresOfREADME(t *testing.T) {
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join(root(t), name))
		require.NoError(t, err)
		return string(text)
	}
	readme := read("README.md")
	for _, f := range figures {
		_, text, ok := strings.Cut(read(f.document), f.behind+"\n")
		require.True(t, ok, "%s has no line %q", f.document, f.behind)
		said := tableRow(readme, f.row)
		require.NotNil(t, said, "README has no row %q", f.row)
		for column, row := range map[int]string{1: f.ours, 2: f.other} {
			if row == "" {
				continue
			}
			measured := tableRow(text, row)
			require.NotNil(t, measured, "%s has no row %q behind %q", f.document, row, f.behind)
			numbers := figure.FindAllString(said[column], -1)
			require.NotEmpty(t, numbers, "README has no figure for %q in column %d", f.row, column)
			for _, number := range numbers {
				found := slices.ContainsFunc(measured, func(cell string) bool {
					return cell == number || strings.HasPrefix(cell, number+" ")
				})
				assert.True(t, found, "README has %s for %q; %s has %v", number, f.row, f.document, measured)
			}
		}
	}
}

// tableRow returns the cells of the first row of a table whose first cell begins so.
func tableRow(text, first string) []string {
	for line := range strings.Lines(text) {
		if cells, ok := strings.CutPrefix(line, "| "+first); ok {
			all := strings.Split(strings.TrimSuffix(strings.TrimSpace(first+cells), "|"), "|")
			for i := range all {
				all[i] = strings.TrimSpace(all[i])
			}
			return all
		}
	}
	return nil
}

// hasHeading reports whether a heading has the anchor that GitHub makes of it.
func hasHeading(text, anchor string) bool {
	for _, match := range heading.FindAllStringSubmatch(text, -1) {
		var made strings.Builder
		for _, r := range strings.ToLower(match[1]) {
			switch {
			case r == ' ':
				made.WriteByte('-')
			case r == '-' || r == '_' || r >= 'a' && r <= 'z' || r >= '0' && r <= '9':
				made.WriteRune(r)
			}
		}
		if made.String() == anchor {
			return true
		}
	}
	return false
}
