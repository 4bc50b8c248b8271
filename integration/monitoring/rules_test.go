package monitoring

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"

	"github.com/breakwater-otel/breakwater/integration/harness"
)

const rulesFile = "monitoring/rules/breakwater.yaml"

// TestRulesOnTheirOwn runs the unit tests of the rules: each alert on series made for it, in the times that it has.
func TestRulesOnTheirOwn(t *testing.T) {
	tool := harness.RequireVMAlert(t).VMAlertTool
	// It has the series on disk, in the directory for temporary files, and leaves lock files in the working directory.
	cmd := exec.CommandContext(t.Context(), tool, "unittest", "-files="+filepath.Join(root(t), "monitoring", "tests", "*.yaml"))
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(), "TMPDIR="+t.TempDir())
	output, err := cmd.CombinedOutput()
	require.NoError(t, err, string(output))
	t.Log(string(output))
}

// A test has minutes for what takes hours. So all times of the rules are divided by timeScale; the expressions and their
// thresholds stay. Ranges have a floor: a new series is found by the next query only after 10 s, because VictoriaMetrics
// keeps for that long which series a filter has matched.
const (
	timeScale     = 120
	shortestRange = 15 * time.Second
)

var (
	times  = regexp.MustCompile(`(\[|offset )(\d+)([smhd])`)
	spans  = regexp.MustCompile(`^(\d+)([smhd])$`)
	oneOfA = map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour, "d": 24 * time.Hour}
)

func scaled(number, unit string, floor time.Duration) string {
	n, err := strconv.Atoi(number)
	if err != nil {
		panic(err) // digits, by the pattern
	}
	return fmt.Sprintf("%dms", max(floor, time.Duration(n)*oneOfA[unit]/timeScale).Milliseconds())
}

// hastyRules writes the rules with times for a test, and returns the file and the names of the alerts.
func hastyRules(t *testing.T) (file string, names []string) {
	text, err := os.ReadFile(filepath.Join(root(t), rulesFile))
	require.NoError(t, err)
	var rules struct {
		Groups []map[string]any `yaml:"groups"`
	}
	require.NoError(t, yaml.Unmarshal(text, &rules))
	for _, group := range rules.Groups {
		group["interval"] = "1s"
		for _, one := range group["rules"].([]any) {
			rule := one.(map[string]any)
			names = append(names, rule["alert"].(string))
			for _, key := range []string{"for", "keep_firing_for"} {
				if value, ok := rule[key].(string); ok {
					parts := spans.FindStringSubmatch(value)
					require.NotNil(t, parts, "%s: %s", rule["alert"], key)
					rule[key] = scaled(parts[1], parts[2], 0)
				}
			}
			rule["expr"] = times.ReplaceAllStringFunc(rule["expr"].(string), func(found string) string {
				parts := times.FindStringSubmatch(found)
				return parts[1] + scaled(parts[2], parts[3], shortestRange)
			})
		}
	}
	text, err = yaml.Marshal(rules)
	require.NoError(t, err)
	file = filepath.Join(t.TempDir(), "rules.yaml")
	require.NoError(t, os.WriteFile(file, text, 0o600))
	return file, names
}

// TestSameVersion holds that rules are evaluated by what belongs to the backend they are tested on.
func TestSameVersion(t *testing.T) {
	version := func(module string) string {
		text, err := os.ReadFile(filepath.Join(root(t), "integration", module, "go.mod"))
		require.NoError(t, err)
		found := regexp.MustCompile(`VictoriaMetrics/VictoriaMetrics (v\S+)`).FindSubmatch(text)
		require.NotNil(t, found)
		return string(found[1])
	}
	assert.Equal(t, version("backends"), version("vmalert"))
}

func root(t *testing.T) string {
	dir, err := harness.Root()
	require.NoError(t, err)
	return dir
}
