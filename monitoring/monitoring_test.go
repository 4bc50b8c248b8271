package monitoring

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/promql/parser"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"
)

var update = flag.Bool("update", false, "write the files of dashboards/ anew")

// uids are in links and bookmarks, and in what others have provisioned. They do not change.
var uids = []string{
	"breakwater-overview", "breakwater-agents", "breakwater-kafka", "breakwater-consumer", "breakwater-backends", "breakwater-ledger",
}

// TestDashboardsAreWritten holds that the files are those of the panels here, and that there are no others.
func TestDashboardsAreWritten(t *testing.T) {
	var names, have []string
	for _, d := range Dashboards() {
		names = append(names, d.UID)
		want, err := d.JSON()
		require.NoError(t, err)
		file := filepath.Join("dashboards", d.UID+".json")
		if *update {
			require.NoError(t, os.WriteFile(file, want, 0o644)) //nolint:gosec // everybody may read a dashboard
		}
		got, err := os.ReadFile(file)
		require.NoError(t, err, "run `make dashboards`")
		assert.Equal(t, string(want), string(got), "run `make dashboards`")
	}
	assert.Equal(t, uids, names)
	files, err := filepath.Glob("dashboards/*.json")
	require.NoError(t, err)
	for _, file := range files {
		have = append(have, strings.TrimSuffix(filepath.Base(file), ".json"))
	}
	assert.ElementsMatch(t, uids, have)
}

func TestPanels(t *testing.T) {
	titles := map[string]bool{}
	for _, d := range Dashboards() {
		assert.NotEmpty(t, d.Description, d.UID)
		titles[d.Title] = true
		panels := map[string]bool{}
		for _, row := range d.Rows {
			assert.NotEmpty(t, row.Title, d.UID)
			for _, p := range row.Panels {
				name := d.UID + ": " + row.Title + ": " + p.Title
				assert.False(t, panels[name], "%s twice", name)
				panels[name] = true
				// A sentence each, not a word.
				assert.Greater(t, len(p.Means), 20, name)
				assert.Greater(t, len(p.Do), 20, name)
				assert.True(t, strings.HasSuffix(p.Means, ".") && strings.HasSuffix(p.Do, "."), name)
				assert.NotEmpty(t, p.Unit, name)
				assert.Contains(t, []Kind{Graph, Number}, p.Kind, name)
				assert.NotEmpty(t, p.Queries, name)
				legends := map[string]bool{}
				for _, q := range p.Queries {
					assert.NotEmpty(t, q.Legend, name)
					assert.False(t, legends[q.Legend], "%s: two lines have the legend %s", name, q.Legend)
					legends[q.Legend] = true
					parse(t, name, q.Expr)
				}
			}
		}
		for _, v := range d.Variables {
			parse(t, d.UID+": $"+v.Name, v.Of)
		}
	}
	assert.Len(t, titles, len(uids))
}

type rule struct {
	Alert, Expr, For string
	KeepFiringFor    string `yaml:"keep_firing_for"`
	Labels           map[string]string
	Annotations      map[string]string
}

func rules(t *testing.T) []rule {
	text, err := os.ReadFile("rules/breakwater.yaml")
	require.NoError(t, err)
	var file struct {
		Groups []struct {
			Name, Interval string
			Rules          []rule
		}
	}
	decoder := yaml.NewDecoder(strings.NewReader(string(text)))
	decoder.KnownFields(true)
	require.NoError(t, decoder.Decode(&file))
	var all []rule
	for _, g := range file.Groups {
		assert.NotEmpty(t, g.Interval, g.Name)
		all = append(all, g.Rules...)
	}
	require.NotEmpty(t, all)
	return all
}

// TestRules holds that each alert says how bad it is, what it means and what to do, in the rule and in the guide, and is
// in the unit tests as one that fires.
func TestRules(t *testing.T) {
	guide, err := os.ReadFile("../docs/monitoring.md")
	require.NoError(t, err)
	fires, clears := unitTests(t)
	seen := map[string]bool{}
	for _, r := range rules(t) {
		assert.Regexp(t, `^Breakwater[A-Z]\w+$`, r.Alert)
		assert.False(t, seen[r.Alert], "%s twice", r.Alert)
		seen[r.Alert] = true
		assert.Contains(t, []string{"critical", "warning", "info", "none"}, r.Labels["severity"], r.Alert)
		assert.NotEmpty(t, r.Annotations["summary"], r.Alert)
		assert.Greater(t, len(r.Annotations["description"]), 40, r.Alert)
		assert.Equal(t, "https://github.com/breakwater-otel/breakwater/blob/main/docs/monitoring.md#"+strings.ToLower(r.Alert),
			r.Annotations["runbook_url"])
		assert.Contains(t, string(guide), "\n### "+r.Alert+"\n", "docs/monitoring.md")
		assert.True(t, fires[r.Alert], "tests/breakwater.yaml has to see %s fire", r.Alert)
		// The one that tells that alerting works.
		assert.Equal(t, r.Alert != "BreakwaterWatchdog", clears[r.Alert], "tests/breakwater.yaml has to see %s clear", r.Alert)
		parse(t, r.Alert, r.Expr)
	}
	for _, heading := range regexp.MustCompile(`(?m)^### (Breakwater\w+)$`).FindAllStringSubmatch(string(guide), -1) {
		assert.True(t, seen[heading[1]], "docs/monitoring.md has %s, which is no alert", heading[1])
	}
}

// unitTests are the alerts that tests/breakwater.yaml sees fire, and clear after they have.
func unitTests(t *testing.T) (fires, clears map[string]bool) {
	text, err := os.ReadFile("tests/breakwater.yaml")
	require.NoError(t, err)
	var file struct {
		Tests []struct {
			Checks []struct {
				Expr    string `yaml:"expr"`
				Samples []any  `yaml:"exp_samples"`
			} `yaml:"metricsql_expr_test"`
		}
	}
	require.NoError(t, yaml.Unmarshal(text, &file))
	fires, clears = map[string]bool{}, map[string]bool{}
	name := regexp.MustCompile(`^ALERTS\{alertname="(\w+)",alertstate="firing"\}$`)
	for _, test := range file.Tests {
		for _, check := range test.Checks {
			found := name.FindStringSubmatch(check.Expr)
			require.NotNil(t, found, check.Expr)
			if len(check.Samples) > 0 {
				fires[found[1]] = true
			} else if fires[found[1]] {
				clears[found[1]] = true
			}
		}
	}
	return fires, clears
}

// TestMetricsExist holds that panels and alerts are made of metrics that there are: ours, by the metadata of the
// components, and those of others that a running pipeline had in VictoriaMetrics (testdata/metrics.txt, which
// `go test ./monitoring -update` of the integration tests writes).
func TestMetricsExist(t *testing.T) {
	recorded, err := os.ReadFile("testdata/metrics.txt")
	require.NoError(t, err)
	there := map[string]bool{}
	for name := range strings.FieldsSeq(string(recorded)) {
		if !strings.HasPrefix(name, "#") {
			there[name] = true
		}
	}
	for name := range ourMetrics(t) {
		there[name] = true
	}
	used := map[string]string{}
	note := func(where, expr string) {
		for _, name := range metricNames(t, where, expr) {
			used[name] = where
		}
	}
	for _, d := range Dashboards() {
		for _, p := range d.Panels() {
			for _, q := range p.Queries {
				note(d.UID+": "+p.Title, q.Expr)
			}
		}
		for _, v := range d.Variables {
			note(d.UID, v.Of)
		}
	}
	for _, r := range rules(t) {
		note(r.Alert, r.Expr)
	}
	require.Greater(t, len(used), 50)
	for name, where := range used {
		assert.True(t, there[name], "%s: there is no metric %s", where, name)
	}
}

// ourMetrics are the names that the metrics of our components have in the backend. A counter has _total there, and no
// unit is added, because what is scraped does not say one.
func ourMetrics(t *testing.T) map[string]bool {
	files, err := filepath.Glob("../components/*/*/metadata.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	names := map[string]bool{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		var metadata struct {
			Telemetry struct {
				Metrics map[string]struct {
					Sum       *struct{ Monotonic bool }
					Histogram *struct{}
				}
			}
		}
		require.NoError(t, yaml.Unmarshal(text, &metadata), file)
		for name, m := range metadata.Telemetry.Metrics {
			name = "otelcol_" + name
			switch {
			case m.Histogram != nil:
				for _, suffix := range []string{"_bucket", "_sum", "_count"} {
					names[name+suffix] = true
				}
			case m.Sum != nil && m.Sum.Monotonic:
				names[name+"_total"] = true
			default:
				names[name] = true
			}
		}
	}
	return names
}

// variables are what Grafana puts in the place of its variables.
var variables = strings.NewReplacer("$__rate_interval", "1m", "$site", ".*", "$host", ".*")

func parse(t *testing.T, where, expr string) parser.Expr {
	parsed, err := parser.NewParser(parser.Options{}).ParseExpr(variables.Replace(expr))
	require.NoError(t, err, "%s: %s", where, expr)
	return parsed
}

// metricNames returns the names of all series that an expression selects. A pattern of names has to be a list of them.
func metricNames(t *testing.T, where, expr string) []string {
	var names []string
	parser.Inspect(parse(t, where, expr), func(node parser.Node, _ []parser.Node) error {
		selector, ok := node.(*parser.VectorSelector)
		if !ok {
			return nil
		}
		if selector.Name != "" {
			names = append(names, selector.Name)
			return nil
		}
		for _, matcher := range selector.LabelMatchers {
			if matcher.Name == "__name__" {
				names = append(names, alternatives(matcher.Value)...)
			}
		}
		return nil
	})
	// Written by vmalert itself.
	names = slices.DeleteFunc(names, func(name string) bool { return name == "ALERTS" })
	if len(names) == 0 && !strings.Contains(expr, "ALERTS") && !strings.Contains(expr, "vector(1)") {
		assert.Fail(t, "no metric", "%s: %s", where, expr)
	}
	return names
}

// alternatives expands a|b and x_(a|b)_y.
func alternatives(pattern string) []string {
	open, end := strings.Index(pattern, "("), strings.Index(pattern, ")")
	if open < 0 {
		return strings.Split(pattern, "|")
	}
	var names []string
	for middle := range strings.SplitSeq(pattern[open+1:end], "|") {
		names = append(names, pattern[:open]+middle+pattern[end+1:])
	}
	return names
}
