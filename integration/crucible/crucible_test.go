package crucible

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/breakwater-otel/breakwater/integration/crucible/report"
	"github.com/breakwater-otel/breakwater/integration/harness"
)

// TestShortSubset runs the cases that are short on the shipped profiles.
func TestShortSubset(t *testing.T) {
	t.Parallel()
	harness.RequireBackends(t)
	harness.RequireKafka(t)
	profile, err := FindProfile("breakwater")
	require.NoError(t, err)
	cases := slices.DeleteFunc(Cases(), func(c Case) bool { return !c.Short })
	var results []report.Result
	require.NoError(t, Run(t.Context(), Options{
		Cases: cases, Profile: profile, Seed: 1, Lanes: 3, Dir: t.TempDir(), Progress: t.Logf,
		Done: func(r report.Result) { results = append(results, r) },
	}))
	require.Len(t, results, len(cases))
	for _, r := range results {
		assert.Truef(t, r.Verdict.OK(), "%s: %s: %v", r.Case, r.Verdict, r.Why)
		assert.NotEmpty(t, r.Faults, r.Case)
		assert.NotEmpty(t, r.Series, r.Case)
		assert.NotEmpty(t, r.PeakRSS, r.Case)
	}
	t.Log("\n" + report.Table(results))
}
