package liveextension

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// recently is the window of rates.
const recently = time.Minute

type partitionKey struct {
	reading   string
	partition int
}

// progress is since when a partition has committed nothing.
type progress struct {
	committed int64
	since     time.Time
}

// summary makes states of what is read, with what it remembers of before.
type summary struct {
	history  history
	progress map[partitionKey]progress
}

func newSummary(span time.Duration) *summary {
	return &summary{history: history{span: span}, progress: map[partitionKey]progress{}}
}

// add takes a look at the metrics of this process into account, and returns what they say.
func (s *summary) add(now time.Time, m metrics) State {
	s.history.add(pointOf(now, m))
	state := State{
		Time:        now,
		Topics:      s.topics(now, m),
		Backends:    s.backends(m),
		Exporters:   s.exporters(m),
		DeadLetters: s.deadLetters(m),
		Letters:     s.counts(m, letters, "destination", "letters"),
		Losses:      losses(m),
		Queues:      s.queues(m),
	}
	state.Process.UptimeSeconds = m.value(processUptime)
	state.Process.MemoryBytes = m.value(processMemory)
	if n := len(s.history.points); n > 1 {
		state.HistorySeconds = now.Sub(s.history.points[0].at).Seconds() / float64(n-1)
	}
	for _, topic := range state.Topics {
		state.History = append(state.History, TopicCurve{
			Topic:            topic.Name,
			Group:            topic.Group,
			Lag:              s.history.curve(series{lag, topic.reading(), ""}),
			LagSeconds:       s.history.curve(series{lagSeconds, topic.reading(), ""}),
			SettledPerSecond: s.history.rates(series{settledMessages, topic.reading(), ""}),
		})
	}
	return state
}

func (s *summary) topics(now time.Time, m metrics) []Topic {
	readings := map[string]map[int]*Partition{}
	// each calls set with the partition of each sample. Those of metrics that only assigned partitions have make one;
	// counters of partitions that others have taken over do not.
	each := func(metric string, assigned bool, set func(*Partition, float64)) {
		for _, x := range m[metric] {
			of := x.labels[readingLabel]
			number, err := strconv.Atoi(x.labels["partition"])
			if err != nil {
				continue
			}
			p := readings[of][number]
			if p == nil {
				if !assigned {
					continue
				}
				if readings[of] == nil {
					readings[of] = map[int]*Partition{}
				}
				p = &Partition{Number: number, Committed: -1}
				readings[of][number] = p
			}
			set(p, x.value)
		}
	}
	each(lagSeconds, true, func(p *Partition, v float64) { p.LagSeconds = v })
	each(lag, true, func(p *Partition, v float64) { p.Lag = int64(v) })
	each(unsettledMessages, true, func(p *Partition, v float64) { p.Unsettled = int64(v) })
	each(inFlightBytes, true, func(p *Partition, v float64) { p.InFlightBytes = int64(v) })
	each(inFlightDeliveries, true, func(p *Partition, v float64) { p.InFlightDeliveries = int64(v) })
	each(committedOffset, false, func(p *Partition, v float64) { p.Committed = int64(v) })
	each(paused, false, func(p *Partition, v float64) { p.Paused = v > 0 })
	each(settledMessages, false, func(p *Partition, v float64) { p.Settled = int64(v) })

	before := s.progress
	s.progress = map[partitionKey]progress{} // without partitions that are no longer assigned
	var topics []Topic
	for _, of := range slices.Sorted(maps.Keys(readings)) {
		t := Topic{}
		t.Name, t.Group, _ = strings.Cut(of, "\x00")
		if last := len(topics) - 1; last >= 0 && topics[last].Name == t.Name {
			topics[last].shared, t.shared = true, true
		}
		for _, number := range slices.Sorted(maps.Keys(readings[of])) {
			p := readings[of][number]
			key := partitionKey{of, number}
			s.progress[key] = before[key].next(now, p)
			p.StalledSeconds = now.Sub(s.progress[key].since).Seconds()
			t.Partitions = append(t.Partitions, *p)
			t.Lag += p.Lag
			t.LagSeconds = max(t.LagSeconds, p.LagSeconds)
			t.Unsettled += p.Unsettled
			t.InFlightBytes += p.InFlightBytes
			t.InFlightDeliveries += p.InFlightDeliveries
		}
		t.LagPerSecond = s.history.perSecond(recently, series{lag, of, ""})
		t.DeliveredPerSecond = s.history.rate(recently, series{deliveredMessages, of, ""})
		t.SettledPerSecond = s.history.rate(recently, series{settledMessages, of, ""})
		if t.Lag > 0 && t.LagPerSecond < 0 {
			t.CaughtUpSeconds = float64(t.Lag) / -t.LagPerSecond
		}
		t.Redelivered = total(m, redelivered, readingLabel, of)
		t.Rewinds = total(m, rewinds, readingLabel, of)
		topics = append(topics, t)
	}
	return topics
}

// next is the progress after a look at the partition: time counts while there is something to commit and nothing is.
func (p progress) next(now time.Time, partition *Partition) progress {
	waiting := partition.Lag > 0 || partition.Unsettled > 0
	if p.since.IsZero() || !waiting || partition.Committed != p.committed {
		return progress{partition.Committed, now}
	}
	return p
}

func (s *summary) backends(m metrics) []Backend {
	var backends []Backend
	of := func(b Backend, metric string) float64 {
		for _, x := range m[metric] {
			if x.labels["backend"] == b.Name && x.labels["node"] == b.Node {
				return x.value
			}
		}
		return 0
	}
	for _, x := range m[backendUp] {
		b := Backend{Name: x.labels["backend"], Node: x.labels["node"], Up: x.value > 0}
		if seconds := of(b, epoch); seconds > 0 {
			whole, part := math.Modf(seconds)
			b.Epoch = time.Unix(int64(whole), int64(part*1e9)).UTC()
		}
		b.Restarts = int64(max(0, of(b, epochChanges)-1)) // the first one is no restart
		b.SettleDelaySeconds = of(b, settleDelay)
		b.FlushWindowSeconds = of(b, flushWindow)
		b.LastAnswerSeconds = of(b, pollAge)
		b.PollFailures = total(m, pollFailures, "backend", b.Name, "node", b.Node)
		b.Curve = s.history.curve(series{settleDelay, b.Name, b.Node})
		backends = append(backends, b)
	}
	slices.SortFunc(backends, func(a, b Backend) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Node, b.Node))
	})
	return backends
}

func (s *summary) exporters(m metrics) []Exporter {
	var found []Exporter
	for _, e := range exporters {
		if len(m[e.sent]) == 0 && len(m[e.requests]) == 0 && len(m[e.refused]) == 0 {
			continue // not in this configuration, or nothing has come yet
		}
		x := Exporter{
			Name: e.name, Unit: e.unit,
			Sent:          total(m, e.sent),
			SentPerSecond: s.history.rate(recently, series{metric: e.sent}),
			Refused:       total(m, e.refused),
			Requests:      total(m, e.requests),
			Curve:         s.history.rates(series{metric: e.sent}),
			requests:      e.requests,
		}
		for _, outcome := range m.values("outcome", e.requests) {
			if outcome != outcomeDelivered {
				failed := series{e.requests, outcome, ""}
				x.failures = append(x.failures, failed)
				x.FailedLately += int64(s.history.increase(recently, failed))
			}
		}
		found = append(found, x)
	}
	return found
}

// deadLetters is what was refused or could not be read, by the one who found out and the reason.
func (s *summary) deadLetters(m metrics) []Count {
	found := s.counts(m, undecodable, "topic", "messages")
	for _, e := range exporters {
		for _, c := range s.counts(m, e.refused, "", e.unit) {
			c.What = e.name
			found = append(found, c)
		}
	}
	return found
}

// counts returns what there is of a counter by a label and its reason. In the history it is kept by the same ones.
func (s *summary) counts(m metrics, metric, what, unit string) []Count {
	var found []Count
	whats := []string{""}
	if what != "" {
		whats = m.values(what, metric)
	}
	for _, w := range whats {
		for _, reason := range m.values("reason", metric) {
			pairs, key := []string{"reason", reason}, series{metric, reason, ""}
			if what != "" {
				pairs, key = append(pairs, what, w), series{metric, w, reason}
			}
			if n := total(m, metric, pairs...); n > 0 {
				recent := int64(s.history.increase(s.history.span, key))
				found = append(found, Count{What: w, Reason: reason, Unit: unit, Total: n, Recent: recent})
			}
		}
	}
	return found
}

func losses(m metrics) []Loss {
	var found []Loss
	for _, x := range m[lostMessages] {
		if x.value > 0 {
			partition, _ := strconv.Atoi(x.labels["partition"])
			found = append(found, Loss{x.labels["topic"], partition, x.labels["cause"], int64(x.value)})
		}
	}
	slices.SortFunc(found, func(a, b Loss) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Cause, b.Cause))
	})
	return found
}

func (s *summary) queues(m metrics) []Queue {
	var found []Queue
	for _, x := range m[queueSize] {
		q := Queue{Exporter: x.labels["exporter"], Signal: x.labels["data_type"], Size: x.value}
		for _, c := range m[queueCapacity] {
			if c.labels["exporter"] == q.Exporter && c.labels["data_type"] == q.Signal {
				q.Capacity = c.value
			}
		}
		q.FullInSeconds = fullIn(q, s.history.perSecond(s.history.span, series{queueSize, q.Exporter, q.Signal}))
		found = append(found, q)
	}
	slices.SortFunc(found, func(a, b Queue) int {
		return cmp.Or(cmp.Compare(a.Exporter, b.Exporter), cmp.Compare(a.Signal, b.Signal))
	})
	return found
}

func fullIn(q Queue, growth float64) float64 {
	if growth <= 0 || q.Capacity <= q.Size {
		return 0
	}
	return (q.Capacity - q.Size) / growth
}

// total adds up the samples with the labels, given as pairs.
func total(m metrics, name string, pairs ...string) int64 {
	var sum float64
next:
	for _, x := range m[name] {
		for i := 0; i+1 < len(pairs); i += 2 {
			if x.labels[pairs[i]] != pairs[i+1] {
				continue next
			}
		}
		sum += x.value
	}
	return int64(sum)
}
