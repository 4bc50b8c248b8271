package liveextension

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/breakwater-otel/breakwater/components/internal/ledger"
)

// Severity of a problem, and of the whole.
type Severity string

// From the least to the worst. A notice is nothing to act on: all is well with it.
const (
	Starting Severity = "starting" // of the whole: nothing is known yet
	OK       Severity = "ok"
	Notice   Severity = "notice"
	Warning  Severity = "warning"
	Critical Severity = "critical"
)

// unknown is that of a stage of which nothing is known.
const unknown Severity = "unknown"

var severities = []Severity{OK, Notice, Warning, Critical}

func (s Severity) compare(other Severity) int {
	return cmp.Compare(slices.Index(severities, s), slices.Index(severities, other))
}

// Problem is something that is wrong, in whole sentences, and what to do.
type Problem struct {
	Code     string   `json:"code"` // stable; a section of docs/live.md
	Severity Severity `json:"severity"`
	Title    string   `json:"title"`
	Detail   string   `json:"detail"`
	Action   string   `json:"action"`
	Docs     string   `json:"docs"`
}

// docsURL is followed by the code.
const docsURL = "https://github.com/breakwater-otel/breakwater/blob/main/docs/live.md#"

// rule is a kind of problem.
type rule struct {
	code     string
	severity Severity
	stage    string // of the pipeline
	action   string
}

// Stages of the pipeline.
const (
	stageAgents   = "agents"
	stageKafka    = "kafka"
	stageConsumer = "consumer"
	stageQueue    = "queue"
	stageBackends = "backends"
)

// The kinds of problems. Each has a section in docs/live.md.
var (
	metricsUnreadable = rule{"metrics-unreadable", Critical, stageConsumer,
		"Set `service::telemetry::metrics` to level `normal` with a Prometheus reader, or `metrics_endpoint` of this extension. The pipeline may well run; this page cannot see it."}
	loss = rule{"loss", Critical, stageKafka,
		"These messages are gone from Kafka. Find out which agents had them; raise the retention of the topic above the longest outage that it has to bridge."}
	deadLetterFailing = rule{"dead-letter-failing", Critical, stageConsumer,
		"Dead letters can be written neither to the topic nor to files, and their partitions wait. Look at the topic's ACLs and at the disk of `BREAKWATER_STORAGE_DIR`."}
	missing = rule{"missing", Critical, stageAgents,
		"Look at the agent's disk queue and its log first: what it still has is on its way. What Kafka has can be sent again with `breakwater-replay`."}
	backendDown = rule{"backend-down", Critical, stageBackends,
		"Start the backend again. Nothing is lost meanwhile: offsets do not move, and Kafka keeps the records for the retention of the topic."}
	stalled = rule{"stalled", Critical, stageConsumer,
		"Look at the consumer's log for what the backend answers. The offset stands at the first message that is not on its disk."}
	agentQueue = rule{"agent-queue", Critical, stageAgents,
		"Find out why the agent cannot reach Kafka. When its queue is full it reads no further, and files that are rotated away meanwhile are lost."}
	deliveryFailing = rule{"delivery-failing", Warning, stageBackends,
		"The backend answers with errors, or not in time. Requests are repeated until it takes them; its log, its disk and its load say why."}
	lagging = rule{"lag", Warning, stageKafka,
		"If the lag shrinks, wait. If it grows: is a backend slow, or is one consumer too few? Up to as many consumers as partitions share the work."}
	unassigned = rule{"unassigned", Warning, stageKafka,
		"Is Kafka up, does the topic exist (`make topics`), and may this consumer read it? With more consumers than partitions some have none, which is no mistake."}
	fetchFailing = rule{"fetch-failing", Warning, stageKafka,
		"Look at the brokers, and at the consumer's log for what they answer. Reading goes on by itself."}
	commitFailing = rule{"commit-failing", Warning, stageKafka,
		"Look at the brokers and at the ACL of the group. Nothing is lost: what is not committed is verified after a restart."}
	settling = rule{"settling", Warning, stageBackends,
		"The backend did not answer for a while, and that time does not count. If it stays, look at the load of the backend; offsets commit later."}
	deadLettered = rule{"dead-letters", Warning, stageBackends,
		"Look at them with `breakwater-deadletters list` and `show`, mend the cause, and send them again with `replay`."}
	queueFilling = rule{"queue", Warning, stageQueue,
		"What is behind this queue is slower than what comes in. When it is full, the receivers wait."}
	silent = rule{"silent-agent", Warning, stageAgents,
		"Is the host up, does the agent run, and does it reach Kafka? What it reads meanwhile is in its disk queue."}
	configuration = rule{"lossless", Warning, stageConsumer,
		"The consumer's log has each finding with the setting, the loss and the fix; the codes are explained in docs/lossless.md."}
	agentsUnknown = rule{"agents-unknown", Notice, stageAgents,
		"Set `agents::endpoint` of this extension to where metrics are queried (VICTORIAMETRICS_QUERY_ENDPOINT). Delivery does not depend on it."}
	restarted = rule{"backend-restarted", Notice, stageBackends,
		"Nothing: what the backend may have forgotten is read from Kafka again, and what it still has is not sent twice."}
)

var rules = []rule{
	metricsUnreadable, loss, deadLetterFailing, missing, backendDown, stalled, agentQueue, deliveryFailing, lagging, unassigned,
	fetchFailing, commitFailing, settling, deadLettered, queueFilling, silent, configuration, agentsUnknown, restarted,
}

func (r rule) problem(title, detail string, args ...any) Problem {
	return Problem{Code: r.code, Severity: r.severity, Title: title, Detail: fmt.Sprintf(detail, args...), Action: r.action, Docs: docsURL + r.code}
}

// Bounds of what is normal.
const (
	// settleSlack is what a settle delay may be over the flush window: two polls and the time of one.
	settleSlack = 10 * time.Second
	// A queue that is this full, or will be within the time, is a problem.
	fullFraction = 0.8
	fullSoon     = time.Hour
	// startGrace is how long after the start a consumer may have no partitions: a session of one that was killed has to end.
	startGrace = time.Minute
)

// examiner finds problems in a state.
type examiner struct {
	warn   WarnConfig
	topics []string // that the configuration reads
	state  *State
	m      metrics
	past   *history
	found  []Problem
}

// examine sets the problems and the status of the state: the worst first, otherwise in the order of the rules.
func (e *examiner) examine() {
	e.losses()
	e.ledger()
	e.backends()
	e.topicsRead()
	e.deliveries()
	e.deadLetters()
	e.queues()
	e.agents()
	e.findings()
	e.state.Problems = sorted(e.found)
	e.state.Status = worst(e.found)
}

func sorted(problems []Problem) []Problem {
	slices.SortStableFunc(problems, func(a, b Problem) int {
		place := func(p Problem) int { return slices.IndexFunc(rules, func(r rule) bool { return r.code == p.Code }) }
		return cmp.Or(b.Severity.compare(a.Severity), cmp.Compare(place(a), place(b)), cmp.Compare(a.Title, b.Title))
	})
	return problems
}

// worst takes notices for well.
func worst(problems []Problem) Severity {
	status := OK
	for _, p := range problems {
		if p.Severity != Notice && p.Severity.compare(status) > 0 {
			status = p.Severity
		}
	}
	return status
}

func (e *examiner) report(p Problem) { e.found = append(e.found, p) }

func (e *examiner) losses() {
	lost := map[string]map[string]int64{} // by topic and cause
	for _, l := range e.state.Losses {
		if lost[l.Topic] == nil {
			lost[l.Topic] = map[string]int64{}
		}
		lost[l.Topic][l.Cause] += l.Messages
	}
	for _, topic := range slices.Sorted(maps.Keys(lost)) {
		for _, cause := range slices.Sorted(maps.Keys(lost[topic])) {
			n := lost[topic][cause]
			e.report(loss.problem(fmt.Sprintf("%s of %s lost", plural(n, "message"), topic),
				"Kafka no longer had them when they were to be read (%s), since this process started. The log has the offsets.", words(cause)))
		}
	}
}

func (e *examiner) ledger() {
	if e.state.Ledger == nil {
		return
	}
	for _, a := range e.state.Ledger.Accounts {
		if age := e.state.Time.Sub(a.OldestMissing); a.Missing > 0 && !a.OldestMissing.IsZero() && age > e.warn.Missing {
			e.report(missing.problem(fmt.Sprintf("%s of agent %s missing", plural(int64(a.Missing), recordOf(a.Signal)), a.Agent),
				"They were stamped and are neither in a backend nor among the dead letters, the oldest for %s: %s.", duration(age), ranges(a)))
		}
	}
	last := map[string]time.Time{}
	for _, a := range e.state.Ledger.Accounts {
		if a.LastStamp.After(last[a.Agent]) {
			last[a.Agent] = a.LastStamp
		}
	}
	for _, agent := range slices.Sorted(maps.Keys(last)) {
		if age := e.state.Time.Sub(last[agent]); age > e.warn.Silent {
			e.report(silent.problem(fmt.Sprintf("Agent %s is silent", agent), "Its last record was stamped %s ago.", duration(age)))
		}
	}
}

// shownRanges is how many ranges of missing records a sentence names.
const shownRanges = 3

func ranges(a ledger.Account) string {
	var shown []string
	for _, r := range a.MissingRanges[:min(len(a.MissingRanges), shownRanges)] {
		shown = append(shown, rangeText(r))
	}
	if more := len(a.MissingRanges) - len(shown); more > 0 {
		shown = append(shown, fmt.Sprintf("and %s more", plural(int64(more), "range")))
	}
	if len(shown) == 0 {
		return "their numbers are not known"
	}
	return strings.Join(shown, ", ")
}

func (e *examiner) backends() {
	for _, b := range e.state.Backends {
		name := b.Name + " (" + b.Node + ")"
		switch {
		case !b.Up:
			e.report(backendDown.problem(name+" does not answer", "The last answer was %s ago. What is read for it waits in Kafka.",
				duration(seconds(b.LastAnswerSeconds))))
		case seconds(b.SettleDelaySeconds-b.FlushWindowSeconds) > settleSlack:
			e.report(settling.problem(name+" settles late", "What it takes now counts as on its disk after %s; %s is usual.",
				duration(seconds(b.SettleDelaySeconds)), duration(seconds(b.FlushWindowSeconds))))
		}
		if changed := e.past.increase(e.past.span, series{epochChanges, b.Name, b.Node}); b.Restarts > 0 && changed > 0 {
			e.report(restarted.problem(name+" was restarted", "Within the last %s.", duration(e.past.span)))
		}
	}
}

func (e *examiner) anyDown() bool {
	return slices.ContainsFunc(e.state.Backends, func(b Backend) bool { return !b.Up })
}

func (e *examiner) topicsRead() {
	delay := time.Duration(0)
	for _, b := range e.state.Backends {
		delay = max(delay, seconds(b.SettleDelaySeconds))
	}
	for _, name := range e.topics {
		read := slices.ContainsFunc(e.state.Topics, func(t Topic) bool { return t.Name == name })
		if !read && seconds(e.state.Process.UptimeSeconds) > startGrace {
			e.report(unassigned.problem("No partition of "+name+" is read here", "This consumer is set to read the topic, and has none of its partitions."))
		}
	}
	for _, t := range e.state.Topics {
		if age := seconds(t.LagSeconds); age > e.warn.Lag {
			trend := "It does not change."
			switch {
			case t.CaughtUpSeconds > 0:
				trend = fmt.Sprintf("It shrinks by %s a second, and is gone in %s.", number(-t.LagPerSecond), duration(seconds(t.CaughtUpSeconds)))
			case t.LagPerSecond > 0:
				trend = fmt.Sprintf("It grows by %s a second.", number(t.LagPerSecond))
			}
			e.report(lagging.problem(t.Title()+" is behind by "+duration(age), "%s not read. %s", capital(plural(t.Lag, "message")), trend))
		}
		var standing []string
		longest := time.Duration(0)
		for _, p := range t.Partitions {
			if still := seconds(p.StalledSeconds); still > delay+e.warn.Stalled {
				standing, longest = append(standing, fmt.Sprint(p.Number)), max(longest, still)
			}
		}
		// A backend that is down says it already.
		if len(standing) > 0 && !e.anyDown() {
			e.report(stalled.problem(fmt.Sprintf("%s of %s stands still", plural(int64(len(standing)), "partition"), t.Title()),
				"There is something to do, and nothing was committed for %s: partition %s.", duration(longest), strings.Join(standing, ", ")))
		}
	}
}

func (e *examiner) lately(metric string, a, b string) int64 {
	return int64(e.past.increase(recently, series{metric, a, b}))
}

// justNow is the window in which a failure is one, whatever succeeds beside it.
const justNow = 15 * time.Second

// failing says whether attempts fail: just now, or in the last minute (backoffs are as long) and none has succeeded since. So
// it is over soon after a backend is back.
func (e *examiner) failing(delivered series, failures ...series) bool {
	grown := func(window time.Duration) (n float64) {
		for _, s := range failures {
			n += e.past.increase(window, s)
		}
		return n
	}
	return grown(justNow) > 0 || grown(recently) > 0 && e.past.increase(justNow, delivered) == 0
}

// title says what is read, of a value of readingLabel.
func (e *examiner) title(of string) string {
	for i := range e.state.Topics {
		if t := &e.state.Topics[i]; t.reading() == of {
			return t.Title()
		}
	}
	topic, _, _ := strings.Cut(of, "\x00")
	return topic
}

func (e *examiner) deliveries() {
	for _, of := range e.m.values(readingLabel, deliveryErrors) {
		n := e.lately(deliveryErrors, of, "transient") + e.lately(deliveryErrors, of, "permanent")
		failing := e.failing(series{deliveredMessages, of, ""}, series{deliveryErrors, of, "transient"}, series{deliveryErrors, of, "permanent"})
		if failing && !e.anyDown() {
			e.report(deliveryFailing.problem("Deliveries of "+e.title(of)+" fail", "%s failed in the last minute; each is repeated.", capital(plural(n, "attempt"))))
		}
		if n := e.lately(deliveryErrors, of, "dead_letter"); n > 0 {
			e.report(deadLetterFailing.problem("Dead letters of "+e.title(of)+" cannot be kept", "%s failed in the last minute; each is repeated.", capital(plural(n, "attempt"))))
		}
	}
	// The exporters repeat requests by themselves, before the receiver hears of it.
	for _, x := range e.state.Exporters {
		if e.failing(series{x.requests, outcomeDelivered, ""}, x.failures...) && !e.anyDown() {
			e.report(deliveryFailing.problem("Requests of "+x.Name+" fail", "%s failed in the last minute; each is repeated.", capital(plural(x.FailedLately, "request"))))
		}
	}
	for _, of := range e.m.values(readingLabel, fetchErrors) {
		if n := e.lately(fetchErrors, of, ""); n > 0 {
			e.report(fetchFailing.problem("Reading "+e.title(of)+" fails", "%s in the last minute.", capital(plural(n, "error"))))
		}
	}
	for _, of := range e.m.values(readingLabel, commitFailures) {
		if n := e.lately(commitFailures, of, ""); n > 0 {
			e.report(commitFailing.problem("Offsets of "+e.title(of)+" cannot be committed", "%s failed in the last minute.", capital(plural(n, "commit"))))
		}
	}
}

func (e *examiner) deadLetters() {
	for _, signal := range e.m.values("signal", lettersNotTaken) {
		if n := e.lately(lettersNotTaken, signal, ""); n > 0 {
			e.report(deadLetterFailing.problem("Dead letters of "+signal+" cannot be kept", "%s failed in the last minute; each is repeated.", capital(plural(n, "attempt"))))
		}
	}
	for _, c := range e.state.DeadLetters {
		if c.Recent > 0 {
			e.report(deadLettered.problem(fmt.Sprintf("%s %s of %s became dead letters", number(float64(c.Recent)), c.Unit, c.What),
				"In the last %s, because of: %s. They are kept with their bytes and the reason.", duration(e.past.span), words(c.Reason)))
		}
	}
}

func (e *examiner) queues() {
	for _, q := range e.state.Queues {
		if title, detail, bad := queueTrouble(q); bad {
			e.report(queueFilling.problem("The queue of "+q.Exporter+" "+title, "%s", detail))
		}
	}
}

// queueTrouble says what is wrong with a queue.
func queueTrouble(q Queue) (title, detail string, bad bool) {
	switch full := seconds(q.FullInSeconds); {
	case q.Fill() >= 1:
		return "is full", fmt.Sprintf("The queue of %s is at its bound.", q.Signal), true
	case full > 0 && full < fullSoon:
		return "is full in " + duration(full), fmt.Sprintf("The queue of %s is %s full, and grows.", q.Signal, percent(q.Fill())), true
	case q.Fill() > fullFraction:
		return "is " + percent(q.Fill()) + " full", fmt.Sprintf("The queue of %s is above %s.", q.Signal, percent(fullFraction)), true
	}
	return "", "", false
}

func (e *examiner) agents() {
	if e.state.Agents == nil {
		return
	}
	if e.state.Agents.Error != "" && !e.anyDown() {
		e.report(agentsUnknown.problem("The metrics of agents cannot be asked for", "%s.", e.state.Agents.Error))
	}
	for _, a := range e.state.Agents.Hosts {
		name := a.name()
		for _, q := range a.Queues {
			if title, detail, bad := queueTrouble(q); bad {
				e.report(agentQueue.problem("The queue of agent "+name+" "+title, "%s", detail))
			}
		}
		// Metrics that wait in Kafka make all agents look silent.
		if age := e.state.Agents.Asked.Sub(a.LastSeen); age > e.warn.Silent && !e.behind() {
			e.report(silent.problem("Agent "+name+" is silent", "Its newest metrics are %s old.", duration(age)))
		}
	}
}

// behind says that what agents have sent may be in Kafka still.
func (e *examiner) behind() bool {
	return e.anyDown() || slices.ContainsFunc(e.state.Topics, func(t Topic) bool { return seconds(t.LagSeconds) > e.warn.Silent/2 })
}

func (a Agent) name() string {
	if a.Site == "" {
		return a.Host
	}
	return a.Site + "/" + a.Host
}

func (e *examiner) findings() {
	var codes []string
	for _, s := range e.m[findings] {
		if s.labels["state"] == "reported" && s.value > 0 {
			codes = append(codes, s.labels["code"])
		}
	}
	if len(codes) > 0 {
		slices.Sort(codes)
		e.report(configuration.problem("Data can be lost as things are set up", "The lossless check reports %s.", strings.Join(slices.Compact(codes), ", ")))
	}
}
