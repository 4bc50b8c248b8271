package oracle

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/breakwater-otel/breakwater/integration/crucible/load"
	"github.com/breakwater-otel/breakwater/integration/harness"
)

// rows is a backend that has what it is told.
type rows []Found

func (rows) Name() string { return "rows" }

func (r rows) Count(context.Context) (int64, error) { return int64(len(r)), nil }

func (r rows) Each(_ context.Context, each func(Found) error) error {
	for _, f := range r {
		if err := each(f); err != nil {
			return err
		}
	}
	return nil
}

type letters []DeadLetter

func (letters) Name() string { return "letters" }

func (l letters) Count(context.Context) (int64, error) { return int64(len(l)), nil }

func (l letters) Each(_ context.Context, each func(DeadLetter) error) error {
	for _, d := range l {
		if err := each(d); err != nil {
			return err
		}
	}
	return nil
}

var (
	base   = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	labels = map[string]string{"env": "test", "host_name": "edge-7"}
)

// lines is the account of a writer of n lines.
func lines(name string, n int64) load.Account {
	return load.Account{
		Writer: name, Kind: load.KindFile, Next: n, Written: n, Labels: labels,
		Record: func(seq int64) load.Record {
			return load.Record{Text: harness.FormatLine(name, seq, fmt.Sprintf("payload %d sum=zz é", seq*7919))}
		},
	}
}

// otlpLogs is that of a writer whose records have times.
func otlpLogs(name string, n int64) load.Account {
	a := lines(name, n)
	a.Kind = load.KindOTLPLogs
	text := a.Record
	a.Record = func(seq int64) load.Record {
		return load.Record{Text: text(seq).Text, Time: base.Add(time.Duration(seq) * time.Millisecond)}
	}
	return a
}

// samples are the accounts of a writer of samples that is stopped before it was started, with n written.
func samples(t *testing.T, name string, n int64) []load.Account {
	w, err := load.NewOTLPMetrics(load.OTLPOptions{
		Common: load.Common{Name: name, Labels: labels}, BaseURL: "http://unused", Base: base, Step: 100 * time.Millisecond,
	})
	require.NoError(t, err)
	accounts, err := w.Stop(t.Context())
	require.NoError(t, err)
	for i := range accounts {
		accounts[i].Next, accounts[i].Written = n, n
	}
	return accounts
}

// stored is what a backend has that has everything.
func stored(accounts ...load.Account) rows {
	var all rows
	for _, a := range accounts {
		for seq := range a.Next {
			record := a.Record(seq)
			f := Found{Text: record.Text, Time: record.Time, Labels: a.Labels}
			if f.Time.IsZero() {
				f.Time = base.Add(time.Duration(seq) * time.Millisecond)
			}
			if a.Metric != "" {
				f.Metric, f.Value = a.Metric, record.Value
				f.Labels = maps.Clone(a.Labels)
				f.Labels["__name__"] = a.Metric
				f.Labels[load.WriterLabel] = strings.TrimSuffix(a.Writer, load.CounterSuffix)
			}
			all = append(all, f)
		}
	}
	return all
}

func check(t *testing.T, accounts []load.Account, store rows, dead ...DeadLetter) Report {
	t.Helper()
	report, err := Check(t.Context(), accounts, []Source{store}, []DeadLetters{letters(dead)})
	require.NoError(t, err)
	for _, w := range report.Writers {
		assert.Equal(t, w.Written, w.Stored+w.DeadLettered+w.Corrupted+w.Lost, w.Writer)
	}
	return report
}

func all(a load.Account) WriterReport {
	return WriterReport{Writer: a.Writer, Kind: a.Kind, Written: a.Written, Stored: a.Written}
}

func one(seq int64) []harness.SeqRange { return []harness.SeqRange{{First: seq, Last: seq}} }

func relabel(f Found, name, value string) Found {
	f.Labels = maps.Clone(f.Labels)
	f.Labels[name] = value
	return f
}

// TestExactly does one thing behind the oracle's back and expects that very thing, and nothing else.
func TestExactly(t *testing.T) {
	a, b := lines("a", 100), otlpLogs("b", 50)
	metrics := samples(t, "m", 40)
	accounts := append([]load.Account{a, b}, metrics...)
	full := stored(accounts...)
	const atB, atM, atC = 100, 150, 190 // where b, the gauge and the counter begin
	otlp := func(texts ...string) []byte { return otlpLetter(t, texts...) }
	text := func(seq int64) string { return a.Record(seq).Text }

	tests := map[string]struct {
		change func(rows) rows
		dead   []DeadLetter
		want   func(a, b, gauge, counter *WriterReport)
		// foreign is how many rows belong to none.
		foreign int64
		ok      bool
	}{
		"nothing": {ok: true},
		"another order of reading": {
			change: func(r rows) rows { slices.Reverse(r); return r },
			ok:     true,
		},
		"removed": {
			change: func(r rows) rows { return slices.Concat(r[:10], r[13:99], r[100:]) },
			want: func(a, _, _, _ *WriterReport) {
				a.Stored, a.Lost = 96, 4
				a.LostSeqs = []harness.SeqRange{{First: 10, Last: 12}, {First: 99, Last: 99}}
			},
		},
		"doubled": {
			change: func(r rows) rows { return append(r, r[7], r[7], r[8], r[atB]) },
			want: func(a, b, _, _ *WriterReport) {
				a.Duplicated, a.DuplicatedSeqs = 3, []harness.SeqRange{{First: 7, Last: 8}}
				b.Duplicated, b.DuplicatedSeqs = 1, one(0)
			},
			ok: true,
		},
		"corrupted payload": {
			change: func(r rows) rows { r[5].Text = strings.Replace(r[5].Text, "payload", "pay oad", 1); return r },
			want: func(a, _, _, _ *WriterReport) {
				a.Stored, a.Corrupted, a.CorruptedSeqs, a.CorruptedCopies = 99, 1, one(5), 1
			},
		},
		"forged payload with the right checksum": {
			change: func(r rows) rows { r[5].Text = harness.FormatLine("a", 5, "payload"); return r },
			want: func(a, _, _, _ *WriterReport) {
				a.Stored, a.Corrupted, a.CorruptedSeqs, a.CorruptedCopies = 99, 1, one(5), 1
			},
		},
		"cut": {
			change: func(r rows) rows { r[5].Text = r[5].Text[:len(r[5].Text)-4]; return r },
			want: func(a, _, _, _ *WriterReport) {
				a.Stored, a.Corrupted, a.CorruptedSeqs, a.CorruptedCopies = 99, 1, one(5), 1
			},
		},
		"something behind the checksum": {
			change: func(r rows) rows { r[5].Text += "x"; return r },
			want: func(a, _, _, _ *WriterReport) {
				a.Stored, a.Corrupted, a.CorruptedSeqs, a.CorruptedCopies = 99, 1, one(5), 1
			},
		},
		"replacement character": {
			change: func(r rows) rows { r[5].Text = strings.Replace(r[5].Text, "é", "\uFFFD", 1); return r },
			want: func(a, _, _, _ *WriterReport) {
				a.Stored, a.Corrupted, a.CorruptedSeqs, a.CorruptedCopies = 99, 1, one(5), 1
			},
		},
		"corrupted number": {
			change: func(r rows) rows { r[5].Text = strings.Replace(r[5].Text, "seq=5", "seq=x", 1); return r },
			want: func(a, _, _, _ *WriterReport) {
				// Nobody can tell which it was.
				a.Stored, a.Lost, a.LostSeqs, a.CorruptedCopies = 99, 1, one(5), 1
			},
		},
		"a corrupted copy beside the whole one": {
			change: func(r rows) rows {
				f := r[5]
				f.Text = strings.Replace(f.Text, "payload", "paiload", 1)
				return append(r, f)
			},
			want: func(a, _, _, _ *WriterReport) { a.CorruptedCopies = 1 },
		},
		"relabelled": {
			change: func(r rows) rows {
				r[3] = relabel(r[3], "env", "prod")
				r[4] = relabel(relabel(r[4], "host_name", ""), "env", "prod")
				return r
			},
			want: func(a, _, _, _ *WriterReport) {
				a.Mislabelled = 2
				a.LabelExamples = []LabelMismatch{
					{Seq: 3, Label: "env", Want: "test", Got: "prod"}, {Seq: 4, Label: "env", Want: "test", Got: "prod"},
				}
			},
		},
		"another label": {
			change: func(r rows) rows { r[3] = relabel(r[3], "filename", "x.log"); return r },
			ok:     true,
		},
		"another time": {
			change: func(r rows) rows { r[atB+1].Time = r[atB+1].Time.Add(time.Microsecond); return r },
			want:   func(_, b, _, _ *WriterReport) { b.Retimed = 1 },
		},
		"out of order": {
			change: func(r rows) rows {
				r[20].Time, r[21].Time = r[21].Time, r[20].Time
				r[30].Time = r[0].Time
				r[41].Time = r[40].Time
				return r
			},
			want: func(a, _, _, _ *WriterReport) { a.OutOfOrder = 2 },
			ok:   true,
		},
		"never written": {
			change: func(r rows) rows { return append(r, Found{Text: harness.FormatLine("a", 100, "x"), Labels: labels}) },
			want:   func(a, _, _, _ *WriterReport) { a.Unwritten = 1 },
		},
		"of nobody": {
			change: func(r rows) rows {
				return append(r, Found{Text: "hello"}, Found{Text: harness.FormatLine("z", 1, "x")}, Found{Metric: "up", Labels: labels})
			},
			foreign: 3, ok: true,
		},
		"wrapped": {
			change: func(r rows) rows {
				r[0].Text = `{"log":"` + text(0) + `\n","stream":"stdout","time":"2026-01-02T03:04:05.000000001Z"}`
				r[1].Text = "2026-01-02T03:04:05.000000001Z stderr F " + text(1)
				r[2].Text = `{"@timestamp":"2026-01-02T03:04:05.000000001Z","log":"` + text(2) + `"}`
				r[3].Text += "\n"
				return r
			},
			ok: true,
		},
		"dead-lettered": {
			change: func(r rows) rows { return r[6:] },
			dead: []DeadLetter{
				{"refused", otlp(text(0), text(1))},
				{"undecodable", []byte(`{"@timestamp":"x","log":"` + text(2) + `","a":"b"}`)},
				{"undecodable", append([]byte("\x00\xff junk"), text(3)+"\x00 more "+text(4)+"!"...)},
				{"refused", []byte(text(5))},
			},
			want: func(a, _, _, _ *WriterReport) {
				a.Stored, a.DeadLettered = 94, 6
				a.DeadByReason = map[string]int64{"refused": 3, "undecodable": 3}
			},
			ok: true,
		},
		"stored and dead-lettered, and twice dead-lettered": {
			change: func(r rows) rows { return r[1:] },
			dead:   []DeadLetter{{"refused", otlp(text(0), text(1))}, {"refused", otlp(text(0))}},
			want: func(a, _, _, _ *WriterReport) {
				a.Stored, a.DeadLettered, a.DeadByReason = 99, 1, map[string]int64{"refused": 1}
				a.Duplicated, a.DuplicatedSeqs = 2, []harness.SeqRange{{First: 0, Last: 1}}
			},
			ok: true,
		},
		"corrupted in a dead letter": {
			change: func(r rows) rows { return r[1:] },
			dead:   []DeadLetter{{"undecodable", []byte("\x00" + text(0)[:len(text(0))-1])}},
			want: func(a, _, _, _ *WriterReport) {
				a.Stored, a.Corrupted, a.CorruptedSeqs, a.CorruptedCopies = 99, 1, one(0), 1
			},
		},
		"a dead letter of nobody": {dead: []DeadLetter{{"undecodable", []byte("hello")}}, foreign: 1, ok: true},
		"samples removed": {
			change: func(r rows) rows { return slices.Concat(r[:atM+3], r[atM+4:atC+39]) },
			want: func(_, _, gauge, counter *WriterReport) {
				gauge.Stored, gauge.Lost, gauge.LostSeqs = 39, 1, one(3)
				counter.Stored, counter.Lost, counter.LostSeqs = 39, 1, one(39)
			},
		},
		"samples doubled": {
			change: func(r rows) rows { return append(r, r[atC+1]) },
			want:   func(_, _, _, counter *WriterReport) { counter.Duplicated, counter.DuplicatedSeqs = 1, one(1) },
			ok:     true,
		},
		"sample with another value": {
			change: func(r rows) rows { r[atM+2].Value++; return r },
			want: func(_, _, gauge, _ *WriterReport) {
				gauge.Stored, gauge.Corrupted, gauge.CorruptedSeqs, gauge.CorruptedCopies = 39, 1, one(2), 1
			},
		},
		"sample between two": {
			change: func(r rows) rows { r[atM+2].Time = r[atM+2].Time.Add(time.Millisecond); return r },
			want: func(_, _, gauge, _ *WriterReport) {
				gauge.Stored, gauge.Lost, gauge.LostSeqs, gauge.Unwritten = 39, 1, one(2), 1
			},
		},
		"sample relabelled": {
			change: func(r rows) rows { r[atC] = relabel(r[atC], "host_name", "edge-8"); return r },
			want: func(_, _, _, counter *WriterReport) {
				counter.Mislabelled = 1
				counter.LabelExamples = []LabelMismatch{{Seq: 0, Label: "host_name", Want: "edge-7", Got: "edge-8"}}
			},
		},
		"samples dead-lettered": {
			change: func(r rows) rows { return append(r[:atM], r[atM+1:atC+39]...) },
			dead:   []DeadLetter{{"refused", metricsLetter(t, metrics, map[int]int64{0: 0, 1: 39})}},
			want: func(_, _, gauge, counter *WriterReport) {
				for _, w := range []*WriterReport{gauge, counter} {
					w.Stored, w.DeadLettered, w.DeadByReason = 39, 1, map[string]int64{"refused": 1}
				}
			},
			ok: true,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			store := slices.Clone(full)
			if test.change != nil {
				store = test.change(store)
			}
			report := check(t, accounts, store, test.dead...)
			var want []WriterReport
			for _, account := range accounts {
				want = append(want, all(account))
			}
			if test.want != nil {
				test.want(&want[0], &want[1], &want[2], &want[3])
			}
			assert.Equal(t, want, report.Writers)
			assert.Equal(t, test.foreign, report.Foreign)
			assert.Len(t, report.ForeignExamples, int(test.foreign))
			assert.Equal(t, test.ok, report.Err() == nil, report.Err())
		})
	}
}

func otlpLetter(t *testing.T, texts ...string) []byte {
	logs := plog.NewLogs()
	records := logs.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords()
	for i, text := range texts {
		body := records.AppendEmpty().Body()
		if i%2 == 1 {
			body.SetEmptyMap().PutStr("log", text)
		} else {
			body.SetStr(text)
		}
	}
	value, err := (&plog.ProtoMarshaler{}).MarshalLogs(logs)
	require.NoError(t, err)
	return value
}

// metricsLetter has one sample each of the given accounts.
func metricsLetter(t *testing.T, accounts []load.Account, seqs map[int]int64) []byte {
	metrics := pmetric.NewMetrics()
	scope := metrics.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty()
	for i, account := range accounts {
		metric := scope.Metrics().AppendEmpty()
		metric.SetName(strings.TrimSuffix(account.Metric, "_total"))
		var p pmetric.NumberDataPoint
		if i == 0 {
			p = metric.SetEmptyGauge().DataPoints().AppendEmpty()
		} else {
			p = metric.SetEmptySum().DataPoints().AppendEmpty()
		}
		record := account.Record(seqs[i])
		p.SetTimestamp(pcommon.NewTimestampFromTime(record.Time))
		p.SetDoubleValue(record.Value)
		p.Attributes().PutStr(load.WriterLabel, "m")
	}
	value, err := (&pmetric.ProtoMarshaler{}).MarshalMetrics(metrics)
	require.NoError(t, err)
	return value
}

func TestAnEmptyLabelMustBeMissing(t *testing.T) {
	a := lines("a", 2)
	a.Labels = map[string]string{"service_name": ""}
	store := stored(a)
	store[0].Labels = map[string]string{"env": "test"}
	store[1].Labels = map[string]string{"service_name": "x"}
	report := check(t, []load.Account{a}, store)
	assert.Equal(t, []LabelMismatch{{Seq: 1, Label: "service_name", Want: "", Got: "x"}}, report.Writers[0].LabelExamples)
}

// TestWhatWasNotAcknowledged holds the difference between what was refused, what stayed without an answer and what the
// writer pushed twice.
func TestWhatWasNotAcknowledged(t *testing.T) {
	a := lines("a", 10)
	a.Written = 5
	a.Refused = []harness.SeqRange{{First: 1, Last: 2}}
	a.Unanswered = []harness.SeqRange{{First: 7, Last: 9}}
	a.Resent = one(5)
	full := stored(a)

	// 2 was refused and is there; 7 is there and 8 twice, which may be; 5 is there twice by the writer, 4 is not.
	store := rows{full[0], full[2], full[3], full[5], full[5], full[6], full[7], full[8], full[8]}
	report := check(t, []load.Account{a}, store, DeadLetter{"refused", []byte(full[4].Text)}, DeadLetter{"refused", []byte(full[9].Text)})
	assert.Equal(t, []WriterReport{{
		Writer: "a", Kind: load.KindFile, Written: 5, Stored: 4, DeadLettered: 1, DeadByReason: map[string]int64{"refused": 1},
		ResentCopies: 2, Unwritten: 1,
	}}, report.Writers)
}

func TestPieces(t *testing.T) {
	w, err := load.NewFiles(load.FilesOptions{
		Common: load.Common{Name: "cri"}, Dir: t.TempDir(), Format: load.CRI, PartialEvery: 2,
	})
	require.NoError(t, err)
	accounts, err := w.Stop(t.Context())
	require.NoError(t, err)
	a := accounts[0]
	a.Next, a.Written = 6, 6
	piece := func(seq int64, i int) Found {
		return Found{Text: "2026-01-02T03:04:05.000000001Z stdout P " + a.Parts(seq)[i], Time: base.Add(time.Duration(seq))}
	}
	whole := func(seq int64) Found { return Found{Text: a.Record(seq).Text, Time: base.Add(time.Duration(seq))} }

	report := check(t, accountsOf(a), rows{whole(0), piece(1, 1), piece(1, 0), whole(2), whole(3), whole(4), piece(5, 0), piece(5, 1)})
	assert.Equal(t, all(a), report.Writers[0], "in pieces, in any order, or joined")

	report = check(t, accountsOf(a), rows{whole(0), piece(1, 0), whole(2), piece(3, 1), whole(4), whole(5)})
	want := all(a)
	want.Stored, want.Corrupted, want.CorruptedSeqs = 4, 2, []harness.SeqRange{{First: 1, Last: 1}, {First: 3, Last: 3}}
	assert.Equal(t, want, report.Writers[0], "half of them is missing")

	report = check(t, accountsOf(a), rows{
		whole(0), piece(1, 0), piece(1, 1), piece(1, 0), piece(1, 1), whole(2), piece(3, 0), piece(3, 0), piece(3, 1),
		whole(4), piece(5, 0), piece(5, 1), whole(5),
	})
	want = all(a)
	want.Duplicated, want.DuplicatedSeqs = 3, []harness.SeqRange{{First: 1, Last: 1}, {First: 3, Last: 3}, {First: 5, Last: 5}}
	assert.Equal(t, want, report.Writers[0])

	damaged := piece(1, 1)
	damaged.Text = damaged.Text[:len(damaged.Text)-1]
	report = check(t, accountsOf(a), rows{whole(0), piece(1, 0), damaged, whole(2), whole(3), whole(4), whole(5)})
	want = all(a)
	want.Stored, want.Corrupted, want.CorruptedSeqs, want.CorruptedCopies = 5, 1, one(1), 1
	assert.Equal(t, want, report.Writers[0])
}

func accountsOf(a ...load.Account) []load.Account { return a }

func TestPoison(t *testing.T) {
	messages := []string{"\xff\x00random", "\x0a\x10truncated writer=a seq=1", "\xffthird"}
	poison := load.Account{
		Writer: "poison", Kind: load.KindPoison, Next: 3, Written: 2, Refused: one(2),
		Record: func(seq int64) load.Record { return load.Record{Text: messages[seq]} },
	}
	a := lines("a", 5)
	report := check(t, accountsOf(a, poison), stored(a),
		DeadLetter{"undecodable", []byte(messages[0])}, DeadLetter{"undecodable", []byte(messages[1])}, DeadLetter{"undecodable", []byte(messages[1])})
	assert.Equal(t, all(a), report.Writers[0])
	assert.Equal(t, WriterReport{
		Writer: "poison", Kind: load.KindPoison, Written: 2, DeadLettered: 2, DeadByReason: map[string]int64{"undecodable": 2},
		Duplicated: 1, DuplicatedSeqs: one(1),
	}, report.Writers[1])

	report = check(t, accountsOf(poison), nil, DeadLetter{"undecodable", []byte(messages[2])}, DeadLetter{"undecodable", []byte(messages[0][1:])})
	assert.EqualValues(t, 2, report.Writers[0].Lost)
	assert.EqualValues(t, 1, report.Writers[0].Unwritten)
	assert.EqualValues(t, 1, report.Foreign)
}

// TestRandomly does many things at once and expects the sum of them.
func TestRandomly(t *testing.T) {
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 1))
		a := otlpLogs("a", 300)
		want := all(a)
		var store rows
		for seq, f := range stored(a) {
			switch random.IntN(8) {
			case 0:
				want.Stored--
				want.Lost++
				want.LostSeqs = extend(want.LostSeqs, int64(seq))
			case 1:
				for range 1 + random.IntN(3) {
					store = append(store, f)
					want.Duplicated++
				}
				want.DuplicatedSeqs = extend(want.DuplicatedSeqs, int64(seq))
				store = append(store, f)
			case 2:
				// Behind the number, so that it says which it was.
				at := strings.Index(f.Text, " payload") + 1 + random.IntN(len(f.Text)-strings.Index(f.Text, " payload")-1)
				f.Text = f.Text[:at] + string(f.Text[at]^1) + f.Text[at+1:]
				store = append(store, f)
				want.Stored--
				want.Corrupted++
				want.CorruptedCopies++
				want.CorruptedSeqs = extend(want.CorruptedSeqs, int64(seq))
			case 3:
				store = append(store, relabel(f, "env", "other"))
				want.Mislabelled++
			default:
				store = append(store, f)
			}
		}
		random.Shuffle(len(store), func(i, j int) { store[i], store[j] = store[j], store[i] })
		report := check(t, accountsOf(a), store)
		got := report.Writers[0]
		assert.Len(t, got.LabelExamples, int(min(maxExamples, got.Mislabelled)))
		got.LabelExamples = nil
		require.Equal(t, want, got, "seed %d", seed)
	}
}

func TestTwoAccountsOfOneName(t *testing.T) {
	_, err := New(lines("a", 1), lines("a", 2))
	require.ErrorContains(t, err, "two accounts")
}

func TestReportText(t *testing.T) {
	r := Report{Writers: []WriterReport{
		{Writer: "a", Written: 10, Stored: 7, DeadLettered: 1, DeadByReason: map[string]int64{"refused": 1}, Lost: 2, LostSeqs: []harness.SeqRange{{First: 3, Last: 4}}},
		{Writer: "b", Written: 5, Stored: 5, Duplicated: 1, Mislabelled: 1, LabelExamples: []LabelMismatch{{Seq: 2, Label: "env", Want: "x", Got: "y"}}},
	}}
	assert.EqualError(t, r.Err(), "a: written 10, stored 7, dead-lettered 1, lost 2, duplicated 0; lost: 3-4\n"+
		`b: written 5, stored 5, dead-lettered 0, lost 0, duplicated 1, mislabelled 1; 2 has env="y" instead of "x"`)
	assert.Equal(t, WriterReport{
		Writer: "all", Written: 15, Stored: 12, DeadLettered: 1, DeadByReason: map[string]int64{"refused": 1}, Lost: 2, Duplicated: 1, Mislabelled: 1,
	}, r.Totals())
	assert.Equal(t, "1, 3, 5, 7, 9, 11, 13, 15, 17, 19, …", Ranges(func() (odd []harness.SeqRange) {
		for i := range int64(12) {
			odd = append(odd, one(2*i+1)...)
		}
		return odd
	}()))
}

// BenchmarkRead is the cost of a row: to check millions has to be cheap.
func BenchmarkRead(b *testing.B) {
	a := lines("a", 100_000)
	store := stored(a)
	b.ReportAllocs()
	for b.Loop() {
		o, err := New(a)
		if err != nil {
			b.Fatal(err)
		}
		if err := o.Read(b.Context(), store); err != nil {
			b.Fatal(err)
		}
		if o.Report().Writers[0].Stored != 100_000 {
			b.Fatal("not all")
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/100_000, "ns/row")
}

func TestSourcesReportErrors(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "out of order", http.StatusInternalServerError)
	}))
	defer server.Close()
	for _, source := range []Source{VictoriaLogs{URL: server.URL}, VictoriaMetrics{URL: server.URL}, Loki{URL: server.URL}} {
		_, err := source.Count(t.Context())
		require.ErrorContains(t, err, "out of order", source.Name())
		_, err = Check(t.Context(), nil, []Source{source}, nil)
		require.ErrorContains(t, err, "read "+source.Name())
		require.ErrorContains(t, err, "out of order")
	}
}
