package crucible

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/breakwater-otel/breakwater/integration/crucible/load"
	"github.com/breakwater-otel/breakwater/integration/crucible/oracle"
	"github.com/breakwater-otel/breakwater/integration/crucible/report"
	"github.com/breakwater-otel/breakwater/integration/harness"
)

// accountTimeout is how long the account may take to be that of everything, once everything is settled.
const accountTimeout = 30 * time.Second

// accounted tells whether agents and consumers keep a ledger.
func (s *site) accounted() bool {
	return !s.profile.Agent.foreign() && len(s.consumer().Configs) > 0 && strings.HasPrefix(s.consumer().Configs[0], "configs/")
}

// holdLedger compares the account of the delivery ledger with what the oracle has found, for each audit and signal.
func (s *site) holdLedger(ctx context.Context, r *report.Result) error {
	if !s.accounted() {
		return nil
	}
	buried, err := s.buriedLogs(ctx)
	if err != nil {
		return err
	}
	for i, stores := range s.audits() {
		found := foundOf(r.Audits[i])
		found.buried = buried
		if found.rows, err = stores[0].Count(ctx); err != nil {
			return err
		}
		group := s.env["KAFKA_GROUP_ID"] + "-logs"
		if stores[0].Name() == (oracle.Loki{}).Name() {
			group = s.env["KAFKA_GROUP_ID"] + "-loki-logs"
		}
		metrics, disagreement := s.hold(ctx, s.env["KAFKA_GROUP_ID"]+"-metrics", found.holdMetrics)
		logs, more := s.hold(ctx, group, found.holdLogs)
		if err := ctx.Err(); err != nil {
			return err
		}
		r.Ledger = append(r.Ledger, logs, metrics)
		r.Disagreements = append(r.Disagreements, append(more, disagreement...)...)
	}
	return nil
}

// hold waits until the account of a group agrees, and returns it, and what does not agree.
func (s *site) hold(ctx context.Context, group string, agree func(report.Ledger) []string) (account report.Ledger, disagreements []string) {
	wait, cancel := context.WithTimeout(ctx, accountTimeout)
	defer cancel()
	err := harness.Eventually(wait, time.Second, func(ctx context.Context) (err error) {
		if account, err = s.account(ctx, group); err != nil {
			return err
		}
		if disagreements = agree(account); len(disagreements) > 0 {
			return errors.New(strings.Join(disagreements, "; "))
		}
		return nil
	})
	if err != nil && len(disagreements) == 0 {
		disagreements = []string{fmt.Sprintf("no account of %s: %v", group, err)}
	}
	return account, disagreements
}

// account is what the consumers say of a group, all agents together. Each of them knows all of it.
func (s *site) account(ctx context.Context, group string) (report.Ledger, error) {
	var best report.Ledger
	asked := 0
	for _, name := range []string{Consumer1, Consumer2, Consumer3} {
		p, err := s.part(name)
		if err != nil || !p.Running() {
			continue
		}
		consumer, ok := p.(*shipper)
		if !ok || consumer.foreign {
			continue
		}
		m, err := consumer.Metrics(ctx)
		if err != nil {
			return best, err
		}
		sum := func(what string) int64 { return int64(m.Sum("otelcol_ledger_"+what+"_records", "group", group)) }
		account := report.Ledger{
			Group: group, Stamped: sum("stamped"), Stored: sum("stored"), DeadLettered: sum("dead_lettered"),
			Missing: sum("missing"), Duplicated: sum("duplicated"),
		}
		if asked == 0 || account.Stored+account.DeadLettered > best.Stored+best.DeadLettered {
			best = account
		}
		asked++
	}
	if best.Stamped == 0 {
		return best, fmt.Errorf("%d consumers have no account of %s", asked, group)
	}
	return best, nil
}

// found is what there is, by the oracle, of what went through agents.
type found struct {
	rows    int64 // of the backend of logs, all of them
	foreign int64 // rows of those that did not go through an agent
	buried  int64 // records of logs in dead letters, of all that were refused

	lostLogs, deadLogs, copiedLogs int64
	lostSamples, storedSamples     int64
}

func foundOf(r oracle.Report) (f found) {
	for _, w := range r.Writers {
		switch w.Kind {
		case load.KindFile, load.KindOTLPLogs:
			f.lostLogs += w.Lost + w.Corrupted
			f.deadLogs += w.DeadLettered
			f.copiedLogs += w.Duplicated
		case load.KindOTLPMetrics:
			f.lostSamples += w.Lost
			f.storedSamples += w.Stored
		default:
			f.foreign += w.Stored + w.Duplicated + w.CorruptedCopies
		}
	}
	return f
}

// holdLogs returns where the account of the logs and the oracle differ. docs/ledger.md has the equations.
func (f found) holdLogs(l report.Ledger) (disagreements []string) {
	disagree := func(format string, args ...any) {
		disagreements = append(disagreements, l.Group+": "+fmt.Sprintf(format, args...))
	}
	if l.Missing != f.lostLogs {
		disagree("%d missing, and the oracle has %d lost", l.Missing, f.lostLogs)
	}
	// What the backend has twice was sent twice by Kafka (that the ledger counts), or delivered twice (that the oracle does).
	if rows := f.rows - f.foreign; rows < l.Stored || rows > l.Stored+max(l.Duplicated, f.copiedLogs) {
		disagree("%d stored, %d duplicated, and the backend has %d rows of them, %d of which are copies", l.Stored, l.Duplicated, rows, f.copiedLogs)
	}
	if l.DeadLettered < f.deadLogs || l.DeadLettered > f.buried {
		disagree("%d dead-lettered, and there are %d, of %d in dead letters", l.DeadLettered, f.deadLogs, f.buried)
	}
	return disagreements
}

// holdMetrics does so for the metrics, of which the agents have some of their own.
func (f found) holdMetrics(l report.Ledger) (disagreements []string) {
	if (l.Missing == 0) != (f.lostSamples == 0) || l.Missing < f.lostSamples {
		disagreements = append(disagreements, fmt.Sprintf("%s: %d missing, and the oracle has %d lost", l.Group, l.Missing, f.lostSamples))
	}
	if l.Stored < f.storedSamples {
		disagreements = append(disagreements, fmt.Sprintf("%s: %d stored, and the oracle has %d", l.Group, l.Stored, f.storedSamples))
	}
	return disagreements
}

// buriedLogs counts the records of logs in the dead letters, of which a backend has refused each.
func (s *site) buriedLogs(ctx context.Context) (n int64, err error) {
	for _, letters := range s.deadLetters() {
		err := letters.Each(ctx, func(d oracle.DeadLetter) error {
			if logs, err := (&plog.ProtoUnmarshaler{}).UnmarshalLogs(d.Value); err == nil {
				n += int64(logs.LogRecordCount())
			}
			return nil
		})
		if err != nil {
			return 0, err
		}
	}
	return n, nil
}
