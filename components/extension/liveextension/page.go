package liveextension

import (
	"cmp"
	"fmt"
	"html/template"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/breakwater-otel/breakwater/components/internal/ledger"
)

// maxRows is how many agents a table shows, those with trouble first. The API has all.
const maxRows = 100

// page writes states as HTML. What comes from outside (names of agents, topics, nodes) html/template escapes.
type page struct {
	config   *Config
	template *template.Template
}

func newPage(config *Config) (*page, error) {
	t, err := template.New("page.html").Funcs(template.FuncMap{
		"num":   func(n any) string { return number(float(n)) },
		"rate":  number,
		"size":  func(n any) string { return size(float(n)) },
		"secs":  func(s float64) string { return duration(seconds(s)) },
		"dur":   duration,
		"pct":   percent,
		"words": words,
		"age":   func(now, then time.Time) string { return duration(now.Sub(then)) },
		"clock": func(t time.Time) string { return t.UTC().Format("15:04:05 UTC") },
		"date":  func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") },
		"stamp": func(t time.Time) string { return t.UTC().Format(time.RFC3339) },

		"trend":         trend,
		"topicCurves":   topicCurves,
		"exporterCurve": func(e Exporter) curve { return curveOf("rows a second", e.Curve, number) },
		"capacity":      capacity,
	}).ParseFS(assets, "assets/page.html")
	return &page{config, t}, err
}

func float(n any) float64 {
	switch n := n.(type) {
	case int:
		return float64(n)
	case int64:
		return float64(n)
	case uint64:
		return float64(n)
	case float64:
		return n
	}
	return 0
}

// view is a state with what only the page needs.
type view struct {
	*State
	Refresh           int // seconds
	Span              time.Duration
	Title             string
	Headline, Subline string
	Waiting           bool // there should be topics
	Stages            []stage
	Tiles             []tile
	Accounts          []account
	AccountsLeftOut   int
	Hosts             []Agent
	HostsLeftOut      int
}

// stage is one of the pipeline, in the picture of it.
type stage struct {
	Name, Figure, Unit string
	Notes              []string
	Status             Severity
	Curve              curve
}

// tile is a figure of the promise.
type tile struct {
	Name, Figure, Unit, Note string
	Status                   Severity
}

// account is a line of the ledger.
type account struct {
	ledger.Account
	Late   bool   // what is missing should be there by now
	Since  string // how long
	Ranges string
	Stamp  string
}

func (p *page) write(w io.Writer, state *State) error {
	v := view{State: state, Refresh: int(max(time.Second, p.config.Interval) / time.Second), Span: p.config.History}
	v.Headline, v.Subline = headline(state)
	v.Title = v.Headline + " – Breakwater"
	v.Waiting = slices.ContainsFunc(state.Problems, func(problem Problem) bool { return problem.Code == unassigned.code })
	v.Stages, v.Tiles = stages(state), tiles(state)
	if state.Ledger != nil {
		v.Accounts, v.AccountsLeftOut = p.accounts(state)
	}
	if state.Agents != nil {
		v.Hosts, v.HostsLeftOut = hosts(state)
	}
	return p.template.Execute(w, v)
}

func headline(state *State) (head, sub string) {
	counts := map[Severity]int64{}
	for _, problem := range state.Problems {
		counts[problem.Severity]++
	}
	switch state.Status {
	case Starting:
		return "Starting", "The first figures are on their way."
	case OK:
		return "All well", "Everything that is read is delivered, and nothing is lost."
	}
	var parts []string
	if n := counts[Critical]; n > 0 {
		parts = append(parts, plural(n, "critical problem"))
	}
	if n := counts[Warning]; n > 0 {
		parts = append(parts, plural(n, "warning"))
	}
	if len(state.Problems) == 1 {
		return parts[0], "It is below, with what to do about it."
	}
	return strings.Join(parts, ", "), "Each is below, with what to do about it."
}

// statusOf is the worst of the problems of a stage.
func statusOf(state *State, stage string) Severity {
	if state.Status == Starting {
		return unknown
	}
	var problems []Problem
	for _, problem := range state.Problems {
		if i := slices.IndexFunc(rules, func(r rule) bool { return r.code == problem.Code }); i >= 0 && rules[i].stage == stage {
			problems = append(problems, problem)
		}
	}
	return worst(problems)
}

func stages(state *State) []stage {
	list := []stage{agentStage(state)}
	if len(state.Topics) > 0 || len(state.Queues) == 0 {
		list = append(list, kafkaStage(state), consumerStage(state))
	}
	for _, q := range state.Queues {
		list = append(list, stage{
			Name: "Queue " + q.Exporter, Figure: percent(q.Fill()), Unit: "full", Status: statusOf(state, stageQueue),
			Notes: []string{q.Signal, "of " + capacity(q)},
		})
	}
	return append(list, backendStage(state))
}

func agentStage(state *State) stage {
	s := stage{Name: "Agents", Figure: "–", Unit: "not known here", Status: statusOf(state, stageAgents)}
	agents := map[string]bool{}
	switch {
	case state.Agents != nil && len(state.Agents.Hosts) > 0:
		s.Figure, s.Unit = number(float64(len(state.Agents.Hosts))), "in the last hour"
		fullest := -1.0
		for _, a := range state.Agents.Hosts {
			for _, q := range a.Queues {
				fullest = max(fullest, q.Fill())
			}
		}
		if fullest >= 0 {
			s.Notes = append(s.Notes, "fullest disk queue "+percent(fullest))
		} else {
			s.Notes = append(s.Notes, "their queues are not known")
		}
	case state.Ledger != nil && len(state.Ledger.Accounts) > 0:
		for _, a := range state.Ledger.Accounts {
			agents[a.Agent] = true
		}
		s.Figure, s.Unit = number(float64(len(agents))), "in the ledger"
	default:
		s.Status = unknown
	}
	return s
}

func kafkaStage(state *State) stage {
	s := stage{Name: "Kafka", Unit: "messages not read", Status: statusOf(state, stageKafka)}
	var waiting int64
	var oldest float64
	for _, t := range state.Topics {
		waiting += t.Lag
		oldest = max(oldest, t.LagSeconds)
	}
	s.Figure = number(float64(waiting))
	if waiting > 0 {
		s.Notes = append(s.Notes, "the oldest waits for "+duration(seconds(oldest)))
	} else {
		s.Notes = append(s.Notes, "nothing waits")
	}
	s.Notes = append(s.Notes, plural(int64(len(state.Topics)), "topic"))
	s.Curve = curveOf("messages not read", addUp(state, func(c TopicCurve) []float64 { return c.Lag }), number)
	return s
}

func consumerStage(state *State) stage {
	s := stage{Name: "This consumer", Unit: "messages/s settled", Status: statusOf(state, stageConsumer)}
	var settled float64
	var bytes, open int64
	for _, t := range state.Topics {
		settled += t.SettledPerSecond
		bytes += t.InFlightBytes
		open += t.Unsettled
	}
	s.Figure = number(settled)
	s.Notes = []string{size(float64(bytes)) + " in flight", plural(open, "message") + " not settled yet"}
	s.Curve = curveOf("messages settled a second", addUp(state, func(c TopicCurve) []float64 { return c.SettledPerSecond }), number)
	return s
}

func backendStage(state *State) stage {
	s := stage{Name: "Backends", Status: statusOf(state, stageBackends)}
	var up int64
	var delay float64
	for _, b := range state.Backends {
		if b.Up {
			up++
		}
		delay = max(delay, b.SettleDelaySeconds)
	}
	s.Figure, s.Unit = number(float64(up)), fmt.Sprintf("of %d up", len(state.Backends))
	if len(state.Backends) == 0 {
		s.Figure, s.Unit = number(float64(len(state.Exporters))), "written to"
	} else {
		s.Notes = append(s.Notes, "on disk after "+duration(seconds(delay)))
	}
	for _, e := range state.Exporters {
		s.Notes = append(s.Notes, number(e.SentPerSecond)+" "+e.Unit+"/s by "+e.Name)
	}
	if len(state.Exporters) > 0 {
		var sent []float64
		for _, e := range state.Exporters {
			sent = sum(sent, e.Curve)
		}
		s.Curve = curveOf("records sent a second", sent, number)
	}
	return s
}

func tiles(state *State) []tile {
	missingTile := tile{Name: "Missing", Figure: "–", Note: "there is no ledger", Status: OK}
	if state.Ledger != nil {
		var late, open, twice int64
		for _, a := range state.Ledger.Accounts {
			open += int64(a.Missing)
			twice += int64(a.Duplicated)
		}
		for _, problem := range state.Problems {
			if problem.Code == missing.code {
				late++
			}
		}
		missingTile = tile{Name: "Missing", Figure: number(float64(open)), Unit: "records", Note: "on their way; " + number(float64(twice)) + " came twice", Status: OK}
		switch {
		case late > 0:
			missingTile.Status, missingTile.Note = Critical, "of "+plural(late, "account")+" for too long"
		case open == 0:
			missingTile.Note = "all that was stamped is stored; " + number(float64(twice)) + " came twice"
		}
	}
	var lost, recent, letters, again, rewound int64
	for _, l := range state.Losses {
		lost += l.Messages
	}
	for _, c := range state.DeadLetters {
		letters += c.Total
		recent += c.Recent
	}
	for _, t := range state.Topics {
		again += t.Redelivered
		rewound += t.Rewinds
	}
	return []tile{
		missingTile,
		{Name: "Lost in Kafka", Figure: number(float64(lost)), Unit: "messages", Note: "by retention, or what else took them", Status: severe(lost > 0, Critical)},
		{Name: "Dead letters", Figure: number(float64(letters)), Unit: "since the start", Note: number(float64(recent)) + " lately", Status: severe(recent > 0, Warning)},
		{Name: "Read again", Figure: number(float64(again)), Unit: "messages", Note: plural(rewound, "rewind") + "; verified, not sent twice", Status: OK},
	}
}

func severe(is bool, severity Severity) Severity {
	if is {
		return severity
	}
	return OK
}

// accounts are the lines of the ledger, the latest first.
func (p *page) accounts(state *State) ([]account, int) {
	var all []account
	for _, a := range state.Ledger.Accounts {
		line := account{Account: a, Ranges: ranges(a), Stamp: "–"}
		if !a.OldestMissing.IsZero() {
			age := state.Time.Sub(a.OldestMissing)
			line.Late, line.Since = a.Missing > 0 && age > p.config.Warn.Missing, duration(age)
		}
		if !a.LastStamp.IsZero() {
			line.Stamp = duration(state.Time.Sub(a.LastStamp)) + " ago"
		}
		all = append(all, line)
	}
	slices.SortStableFunc(all, func(a, b account) int {
		return cmp.Or(-compareBool(a.Late, b.Late), cmp.Compare(a.Agent, b.Agent), cmp.Compare(a.Signal, b.Signal))
	})
	return all[:min(len(all), maxRows)], max(0, len(all)-maxRows)
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

// hosts are the agents, those with the fullest queues and the longest silence first where not all have room.
func hosts(state *State) ([]Agent, int) {
	all := slices.Clone(state.Agents.Hosts)
	if len(all) <= maxRows {
		return all, 0
	}
	worstOf := func(a Agent) (fill float64) {
		for _, q := range a.Queues {
			fill = max(fill, q.Fill())
		}
		return fill
	}
	slices.SortStableFunc(all, func(a, b Agent) int {
		return cmp.Or(cmp.Compare(worstOf(b), worstOf(a)), a.LastSeen.Compare(b.LastSeen))
	})
	return all[:maxRows], len(all) - maxRows
}

// maxCatchUp is beyond what a forecast from a minute is worth.
const maxCatchUp = 7 * 24 * time.Hour

func trend(t Topic) string {
	caughtUp := seconds(t.CaughtUpSeconds)
	switch {
	case t.Lag == 0:
		return "caught up"
	case caughtUp > 0 && caughtUp < maxCatchUp:
		return "caught up in " + duration(caughtUp)
	case t.LagPerSecond > 0:
		return "grows by " + number(t.LagPerSecond) + "/s"
	}
	return "steady"
}

// leastQueueBytes is from where on the bound of a queue is taken for one in bytes: the metric does not say.
const leastQueueBytes = 100_000

func capacity(q Queue) string {
	if q.Capacity >= leastQueueBytes {
		return size(q.Capacity)
	}
	return number(q.Capacity)
}

func topicCurves(state *State, topic *Topic) []curve {
	i := slices.IndexFunc(state.History, func(c TopicCurve) bool { return c.Topic == topic.Name && c.Group == topic.Group })
	if i < 0 {
		return nil
	}
	c := state.History[i]
	return []curve{
		curveOf("Not read, messages", c.Lag, number),
		curveOf("Age of the oldest", c.LagSeconds, func(s float64) string { return duration(seconds(s)) }),
		curveOf("Settled, messages/s", c.SettledPerSecond, number),
	}
}

// addUp is a curve over all topics.
func addUp(state *State, of func(TopicCurve) []float64) []float64 {
	var all []float64
	for _, c := range state.History {
		all = sum(all, of(c))
	}
	return all
}

func sum(a, b []float64) []float64 {
	if a == nil {
		return slices.Clone(b)
	}
	for i := range min(len(a), len(b)) {
		a[i] += b[i]
	}
	return a
}
