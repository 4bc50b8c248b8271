package report

import (
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/breakwater-otel/breakwater/integration/crucible/oracle"
	"github.com/breakwater-otel/breakwater/integration/harness"
	"github.com/breakwater-otel/breakwater/integration/plot"
)

var update = flag.Bool("update", false, "write the golden files")

// good is the result of a case that holds, with an outage from 8 s to 14 s.
func good() Result {
	r := Result{
		Case: "consumer-kill", About: "SIGKILL of both consumers.", Profile: "breakwater", Seed: 7,
		Faults:   []Window{{"SIGKILL consumer-1", 8, 14}, {"SIGKILL consumer-2", 10, 14}, {"reset agent-1 → broker-2", 17, 17}},
		Started:  time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		Duration: 31500 * time.Millisecond, Recovery: 3250 * time.Millisecond,
		Audits: []oracle.Report{{Writers: []oracle.WriterReport{
			{Writer: "file-1", Kind: "file", Written: 12000, Stored: 11990, DeadLettered: 10, DeadByReason: map[string]int64{"refused": 10}},
			{Writer: "otlp-1", Kind: "otlp logs", Written: 2000, Stored: 2000, Duplicated: 3, DuplicatedSeqs: []harness.SeqRange{{First: 5, Last: 7}}},
		}}},
		PeakRSS: map[string]int64{"consumer-1": 212_400_000, "consumer-2": 198_000_000, "agent-1": 96_000_000, "broker-1": 512_000_000},
	}
	written, stored := 0.0, 0.0
	for s := 0.0; s <= 30; s += 0.5 {
		rate := 580 + 60*math.Sin(s)
		if s > 24 {
			rate = 0
		}
		written += rate / 2
		switch {
		case s < 8:
			stored = written - 300
		case s < 14:
			stored += 8 * (11 - min(s, 11))
		default:
			stored = min(written, stored+900)
		}
		r.Series = append(r.Series, Point{s, int64(written), int64(max(0, stored)), int64(written - max(0, stored))})
	}
	return r
}

// bad is one with losses.
func bad() Result {
	r := good()
	r.Case, r.About = "victorialogs-kill", "SIGKILL of VictoriaLogs, three times."
	r.Notes = []string{"Loss of packets is emulated."}
	lost := oracle.WriterReport{Writer: "file-2", Kind: "file", Written: 9000, Stored: 5999, Lost: 3001}
	for i := range int64(60) {
		lost.LostSeqs = append(lost.LostSeqs, harness.SeqRange{First: 100 * i, Last: 100*i + 49})
	}
	lost.LostSeqs = append(lost.LostSeqs, harness.SeqRange{First: 7000, Last: 7000})
	r.Audits[0].Writers = append(r.Audits[0].Writers, lost)
	r.Recovery = -1
	return r
}

var known = []KnownLoss{{
	Name: "unsynced", Case: "victorialogs-kill", Profile: "breakwater", Cause: "a 2xx | is not durable",
	Where: "VictoriaLogs, lib/logstorage", Numbers: []Number{Lost},
}}

func document() Document {
	d := Document{
		Title: "Crucible", Intro: "What is lost.\n", Known: known,
		Results: []Result{good(), bad(), {Case: "broker-kill", Profile: "breakwater", Seed: 7, Error: "kafka did not start"}},
	}
	for i := range d.Results {
		d.Results[i].Judge(known)
	}
	return d
}

func TestJudge(t *testing.T) {
	with := func(change func(*oracle.WriterReport)) Result {
		r := good()
		change(&r.Audits[0].Writers[0])
		return r
	}
	forbidding := func(r Result, n ...Number) Result { r.Forbids = n; return r }
	unsynced := KnownLoss{Name: "unsynced", Case: "consumer-kill", Profile: "breakwater", Numbers: []Number{Lost, Retimed}}
	copies := KnownLoss{Name: "copies", Case: "consumer-kill", Profile: "breakwater", Numbers: []Number{Duplicated}}
	elsewhere := unsynced
	elsewhere.Case = "another"
	rival := unsynced
	rival.Profile = "upstream"
	failed := good()
	failed.Error = "no ports"
	nothing := good()
	nothing.Audits = []oracle.Report{{}}

	tests := map[string]struct {
		result   Result
		known    []KnownLoss
		verdict  Verdict
		expected string
		why      []string
	}{
		"holds":                        {good(), nil, Holds, "holds", nil},
		"holds, others have losses":    {good(), []KnownLoss{elsewhere, rival}, Holds, "holds", nil},
		"lost":                         {with(func(w *oracle.WriterReport) { w.Lost = 2 }), nil, Fails, "holds", []string{"2 lost"}},
		"corrupted":                    {with(func(w *oracle.WriterReport) { w.Corrupted = 2 }), nil, Fails, "holds", []string{"2 corrupted"}},
		"corrupted copies":             {with(func(w *oracle.WriterReport) { w.CorruptedCopies = 3 }), nil, Fails, "holds", []string{"3 corrupted"}},
		"mislabelled":                  {with(func(w *oracle.WriterReport) { w.Mislabelled = 1 }), nil, Fails, "holds", []string{"1 mislabelled"}},
		"retimed":                      {with(func(w *oracle.WriterReport) { w.Retimed = 1 }), nil, Fails, "holds", []string{"1 retimed"}},
		"unwritten":                    {with(func(w *oracle.WriterReport) { w.Unwritten = 1 }), nil, Fails, "holds", []string{"1 unwritten"}},
		"out of order":                 {with(func(w *oracle.WriterReport) { w.OutOfOrder = 1 }), nil, Holds, "holds", nil},
		"duplicates are forbidden":     {forbidding(good(), Duplicated), nil, Fails, "holds", []string{"3 duplicated"}},
		"dead letters are forbidden":   {forbidding(good(), DeadLettered), nil, Fails, "holds", []string{"10 dead-lettered"}},
		"known":                        {with(func(w *oracle.WriterReport) { w.Lost = 2 }), []KnownLoss{unsynced}, KnownFailure, "unsynced", []string{"2 lost (known: unsynced)"}},
		"known, and something else":    {with(func(w *oracle.WriterReport) { w.Lost, w.Unwritten = 2, 1 }), []KnownLoss{unsynced}, Fails, "unsynced", []string{"2 lost (known: unsynced)", "1 unwritten"}},
		"known, by another profile":    {with(func(w *oracle.WriterReport) { w.Lost = 2 }), []KnownLoss{rival}, Fails, "holds", []string{"2 lost"}},
		"known, and holds":             {good(), []KnownLoss{unsynced}, Stale, "unsynced", []string{`the known loss "unsynced" did not happen: take it from the list`}},
		"one of two known holds":       {with(func(w *oracle.WriterReport) { w.Lost = 2 }), []KnownLoss{unsynced, {Name: "x", Case: "consumer-kill", Profile: "breakwater", Numbers: []Number{Corrupted}}}, Stale, "unsynced, x", []string{"2 lost (known: unsynced)", `the known loss "x" did not happen: take it from the list`}},
		"fails and stale":              {with(func(w *oracle.WriterReport) { w.Corrupted = 1 }), []KnownLoss{unsynced}, Fails, "unsynced", []string{"1 corrupted", `the known loss "unsynced" did not happen: take it from the list`}},
		"known copies where forbidden": {forbidding(good(), Duplicated), []KnownLoss{copies}, KnownFailure, "copies", []string{"3 duplicated (known: copies)"}},
		"could not run":                {failed, []KnownLoss{unsynced}, Fails, "unsynced", []string{"no ports"}},
		"nothing written":              {nothing, nil, Fails, "holds", []string{"nothing was written"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := test.result
			r.Verdict, r.Why = "before", []string{"before"}
			r.Judge(test.known)
			assert.Equal(t, test.verdict, r.Verdict)
			assert.Equal(t, test.expected, r.Expected)
			assert.Equal(t, test.why, r.Why)
			assert.Equal(t, test.verdict == Holds || test.verdict == KnownFailure, r.Verdict.OK())
		})
	}
}

func TestCheckKnown(t *testing.T) {
	cases := []string{"consumer-kill", "victorialogs-kill"}
	require.NoError(t, CheckKnown(known, cases))
	for message, change := range map[string]func(*KnownLoss){
		`it has no name`:               func(k *KnownLoss) { k.Name = "" },
		`there is no case "x"`:         func(k *KnownLoss) { k.Case = "x" },
		`it does not say why`:          func(k *KnownLoss) { k.Cause = "" },
		`why and where`:                func(k *KnownLoss) { k.Where = "" },
		`it excuses nothing`:           func(k *KnownLoss) { k.Numbers = nil },
		`there is no number "records"`: func(k *KnownLoss) { k.Numbers = []Number{"records"} },
	} {
		k := known[0]
		change(&k)
		require.ErrorContains(t, CheckKnown([]KnownLoss{k}, cases), message)
	}
	require.ErrorContains(t, CheckKnown([]KnownLoss{known[0], known[0]}, cases), "listed twice")
}

func TestRecovery(t *testing.T) {
	at := func(backlogs ...int64) []Point {
		var points []Point
		for i, backlog := range backlogs {
			points = append(points, Point{Seconds: float64(i), Backlog: backlog})
		}
		return points
	}
	fault := Window{From: 2, To: 4}
	for name, test := range map[string]struct {
		series []Point
		want   time.Duration
		ok     bool
	}{
		"at once":          {at(5, 3, 9, 9, 4, 4), 0, true},
		"later":            {at(5, 3, 9, 9, 9, 7, 5, 0), 2 * time.Second, true},
		"a moment is none": {at(5, 3, 9, 9, 9, 0, 9, 9, 4, 4), 4 * time.Second, true},
		"at the very end":  {at(5, 3, 9, 9, 9, 5), time.Second, true},
		"never":            {at(5, 3, 9, 9, 9, 6), 0, false},
		"no samples":       {nil, 0, false},
	} {
		got, ok := Recovery(test.series, fault)
		assert.Equal(t, test.ok, ok, name)
		assert.Equal(t, test.want, got, name)
	}
}

// TestDocument holds the document against golden files, byte for byte.
func TestDocument(t *testing.T) {
	dir := t.TempDir()
	if *update {
		dir = "testdata"
		require.NoError(t, os.RemoveAll(dir))
	}
	require.NoError(t, document().Write(dir, "crucible"))
	for _, name := range []string{
		"crucible.md", "crucible.json", "crucible/breakwater-consumer-kill.svg", "crucible/breakwater-victorialogs-kill.svg",
		"crucible/breakwater-broker-kill.svg",
	} {
		want, err := os.ReadFile(filepath.Join("testdata", name))
		require.NoError(t, err)
		got, err := os.ReadFile(filepath.Join(dir, name))
		require.NoError(t, err)
		assert.Equal(t, string(want), string(got), "%s has changed; look at it and run with -update", name)
	}
}

// TestReadAgain holds that what was read writes the same again, and that one case replaces only itself.
func TestReadAgain(t *testing.T) {
	dir := t.TempDir()
	empty, err := Read(dir, "crucible")
	require.NoError(t, err)
	assert.Empty(t, empty.Results)
	require.NoError(t, document().Write(dir, "crucible"))
	contents := func() map[string]string {
		all := map[string]string{}
		require.NoError(t, filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				text, readErr := os.ReadFile(path)
				require.NoError(t, readErr)
				all[path] = string(text)
			}
			return err
		}))
		return all
	}
	before := contents()
	require.Len(t, before, 5)
	d, err := Read(dir, "crucible")
	require.NoError(t, err)
	require.NoError(t, d.Merge().Write(dir, "crucible"))
	assert.Equal(t, before, contents())

	changed, more, foreign := good(), good(), good()
	changed.Seed = 8
	more.Case = "new"
	foreign.Profile = "upstream"
	merged := d.Merge(changed, more, foreign)
	assert.EqualValues(t, 7, d.Results[0].Seed, "the document itself stays")
	assert.EqualValues(t, 8, merged.Results[0].Seed)
	assert.Len(t, merged.Results, 5)
	assert.Equal(t, "new", merged.Results[3].Case)
	assert.Contains(t, merged.Markdown("crucible"), "## upstream")

	merged.Results = merged.Results[3:]
	require.NoError(t, merged.Write(dir, "crucible"))
	assert.Len(t, contents(), 4, "pictures of cases that are gone are removed")

	merged.Results[1] = merged.Results[0]
	require.ErrorContains(t, merged.Write(dir, "crucible"), "two results")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "crucible.json"), []byte("{"), 0o600))
	_, err = Read(dir, "crucible")
	require.Error(t, err)
}

func TestTable(t *testing.T) {
	d := document()
	lines := strings.Split(strings.TrimSpace(Table(d.Results)), "\n")
	require.Len(t, lines, 5)
	assert.Equal(t, "| consumer-kill | 14,000 | 0 | 3 | 10 | 3.2 s | agent 96 MB, consumer 212 MB | holds |", lines[2])
	assert.Equal(t, "| victorialogs-kill | 23,000 | 3,001 | 3 | 10 | never | agent 96 MB, consumer 212 MB | known loss |", lines[3])
	assert.Equal(t, "| broker-kill | 0 | 0 | 0 | 0 |  |  | **fails**; kafka did not start |", lines[4])
}

func TestSVGIsXML(t *testing.T) {
	odd := good()
	odd.Case = `<&"'>` + strings.Repeat("x", 200)
	for i := range 30 {
		odd.Faults = append(odd.Faults, Window{Name: fmt.Sprintf("fault <%d>", i), From: float64(i), To: float64(i)})
	}
	long := good()
	for i := range 5000 {
		last := long.Series[len(long.Series)-1]
		long.Series = append(long.Series, Point{last.Seconds + 0.5, last.Written + 10, last.Stored + int64(i%3), 50})
	}
	for _, r := range []Result{good(), bad(), odd, long, {Case: "empty"}, {Case: "one", Series: []Point{{Seconds: 1}}}} {
		picture := SVG(r)
		assert.Less(t, len(picture), 40_000)
		assert.NotContains(t, picture, "NaN")
		assert.NotContains(t, picture, "Inf")
		for decoder := xml.NewDecoder(strings.NewReader(picture)); ; {
			if _, err := decoder.Token(); errors.Is(err, io.EOF) {
				break
			} else {
				require.NoError(t, err)
			}
		}
	}
}

func TestRateIsOverASecond(t *testing.T) {
	var series []Point
	for i := range 21 {
		// All of it falls on every other sample.
		series = append(series, Point{Seconds: float64(i) / 2, Written: int64(i/2) * 100, Stored: int64(i/2) * 50})
	}
	rates, last := rate(series)
	assert.Equal(t, 10.0, last)
	for _, p := range rates.written[2:] {
		assert.Equal(t, 100.0, p.Y, p.X)
	}
	for _, p := range rates.stored[2:] {
		assert.Equal(t, 50.0, p.Y, p.X)
	}
}

func TestTicks(t *testing.T) {
	for highest, want := range map[float64][]float64{
		1: {0, 0.5, 1}, 10: {0, 5, 10}, 31.5: {0, 10, 20, 30}, 640: {0, 200, 400, 600}, 12345: {0, 5000, 10000},
	} {
		assert.Equal(t, want, plot.Ticks(highest, 4))
	}
	assert.Equal(t, []string{"0", "500", "10 k", "12.5 k", "2 M"}, []string{plot.Amount(0), plot.Amount(500), plot.Amount(1e4), plot.Amount(12500), plot.Amount(2e6)})
	assert.Equal(t, "1,234,567 999 -1,000", thousands(1234567)+" "+thousands(999)+" "+thousands(-1000))
}
