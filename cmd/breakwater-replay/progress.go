package main

import (
	"fmt"
	"time"
)

// rateWindow is the time that the rate is of.
const rateWindow = 30 * time.Second

// meter measures how fast it goes.
type meter struct {
	begin   time.Time
	total   int64 // messages that were left at the beginning
	history []reading
}

type reading struct {
	at            time.Time
	sent, settled int64
}

// add takes what the consumer has handed on, by the lag of its metrics, and what is not settled.
func (m *meter) add(now time.Time, s samples, left int64) {
	r := reading{at: now, settled: m.total - left}
	if lag, ok := s["receiver_durable_kafka_lag"]; ok {
		r.sent = m.total - int64(lag)
	}
	r.sent = max(r.sent, r.settled)
	m.history = append(m.history, r)
	for len(m.history) > 2 && now.Sub(m.history[1].at) > rateWindow {
		m.history = m.history[1:]
	}
}

func (m *meter) last() reading { return m.history[len(m.history)-1] }

// rate is that of messages handed on, by second.
func (m *meter) rate() float64 {
	first, last := m.history[0], m.last()
	if len(m.history) == 1 {
		first = reading{at: m.begin}
	}
	if seconds := last.at.Sub(first.at).Seconds(); seconds > 0 {
		return float64(last.sent-first.sent) / seconds
	}
	return 0
}

// left estimates the time until the last message is handed on, and on disk as long after as those before it.
func (m *meter) left() (time.Duration, bool) {
	last := m.last()
	rate := m.rate()
	if unsent := m.total - last.sent; unsent > 0 {
		if rate <= 0 {
			return 0, false
		}
		return time.Duration(float64(unsent)/rate*float64(time.Second)) + m.settling(), true
	}
	return m.settling(), false
}

// settling is how long what was sent has taken to settle.
func (m *meter) settling() time.Duration {
	last := m.last()
	for i := len(m.history) - 1; i >= 0; i-- {
		if m.history[i].sent <= last.settled {
			return last.at.Sub(m.history[i].at)
		}
	}
	return 0
}

func (m *meter) line(now time.Time) string {
	last := m.last()
	line := fmt.Sprintf("%s  %3d %%  %d of %d messages sent, %d on disk", clock(now), 100*last.settled/max(1, m.total), last.sent, m.total, last.settled)
	switch left, known := m.left(); {
	case last.sent >= m.total:
		line += ", waiting for the backend to have the rest on disk"
	case known:
		line += fmt.Sprintf(", %.0f/s, about %s left", m.rate(), left.Round(time.Second))
	}
	return line
}

func clock(t time.Time) string { return t.Format(time.TimeOnly) }
