package crucible

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/breakwater-otel/breakwater/integration/crucible/load"
	"github.com/breakwater-otel/breakwater/integration/crucible/oracle"
	"github.com/breakwater-otel/breakwater/integration/crucible/report"
)

func TestLedgerIsHeldAgainstTheOracle(t *testing.T) {
	f := foundOf(oracle.Report{Writers: []oracle.WriterReport{
		{Kind: load.KindFile, Written: 100, Stored: 95, Duplicated: 4, Lost: 3, DeadLettered: 2},
		{Kind: load.KindOTLPLogs, Written: 50, Stored: 50},
		{Kind: load.KindFluentBit, Written: 10, Stored: 10, Duplicated: 1},
		{Kind: load.KindOTLPMetrics, Written: 20, Stored: 20},
	}})
	f.rows, f.buried = 95+4+50+11, 2
	agreed := report.Ledger{Group: "g", Stored: 149, DeadLettered: 2, Missing: 3}
	for name, c := range map[string]struct {
		change func(*report.Ledger)
		agrees bool
	}{
		"agreed":                   {func(*report.Ledger) {}, true},
		"copies behind the ledger": {func(l *report.Ledger) { l.Stored = 145 }, true},
		"copies of Kafka":          {func(l *report.Ledger) { l.Stored, l.Duplicated = 139, 10 }, true},
		"too many stored":          {func(l *report.Ledger) { l.Stored++ }, false},
		"too few stored":           {func(l *report.Ledger) { l.Stored = 144 }, false},
		"loss not seen":            {func(l *report.Ledger) { l.Missing = 0 }, false},
		"false alarm":              {func(l *report.Ledger) { l.Missing = 4 }, false},
		"dead letter not seen":     {func(l *report.Ledger) { l.DeadLettered = 1 }, false},
		"dead letter too many":     {func(l *report.Ledger) { l.DeadLettered = 3 }, false},
	} {
		l := agreed
		c.change(&l)
		assert.Equal(t, c.agrees, len(f.holdLogs(l)) == 0, name)
	}
	assert.Empty(t, f.holdMetrics(report.Ledger{Stored: 500}), "the agents have metrics of their own")
	assert.NotEmpty(t, f.holdMetrics(report.Ledger{Stored: 19}))
	assert.NotEmpty(t, f.holdMetrics(report.Ledger{Stored: 500, Missing: 1}))
}
