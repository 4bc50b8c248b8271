package crucible

import (
	"github.com/breakwater-otel/breakwater/integration/crucible/report"
)

// The causes, with the place in the source of v0.152.0 of the collector's modules, and v1.121.0 of the backends'.
const (
	flushCause = "The backend answers before the data is on disk, and forgets the last seconds when it is killed. The offsets were " +
		"committed when it had answered."
	flushWhere = "kafkareceiver consumer_franz.go:425; VictoriaLogs and VictoriaMetrics flush what is in memory every 5 s"

	stoppedCause = "A message that cannot be decoded stops its partition for good, as it is configured: the alternative is to skip it in silence."
	stoppedWhere = "kafkareceiver consumer_franz.go:354"
)

const upstreamName = "upstream"

// KnownLosses returns what is known to be lost, by case and profile.
func KnownLosses() []report.KnownLoss {
	var known []report.KnownLoss
	add := func(number report.Number, name, cause, where, profile string, cases ...string) {
		for _, c := range cases {
			known = append(known, report.KnownLoss{
				Name: name, Case: c, Profile: profile, Cause: cause, Where: where, Numbers: []report.Number{number},
			})
		}
	}
	add(report.Lost, "unflushed", flushCause, flushWhere, upstreamName,
		"victorialogs-kill", "victoriametrics-kill", "kill-consumer-and-victorialogs", "kill-consumers-and-backends",
		"kill-victoriametrics-and-broker", "victorialogs-away-and-rebalances")
	add(report.Lost, "stopped-partition", stoppedCause, stoppedWhere, upstreamName, "poison")
	return known
}
