// Package crucible runs the whole pipeline from real parts, breaks it in every way that it may be broken, and asks an
// oracle what became of each record.
//
//	err := crucible.Run(ctx, crucible.Options{
//		Cases: crucible.Cases(), Profile: profile, Seed: 1, Lanes: 3,
//		Done: func(r report.Result) { results = append(results, r) },
//	})
//
// # Parts
//
// A lane is a cluster of three Kafka brokers that lives as long as the run. A site is what one case has to itself: two
// agents, two consumers, the backends (VictoriaLogs, Loki or both, and VictoriaMetrics), topics and a consumer group of
// its own. Each process is on a host of its own (package netlab). Where the machine does not allow that they are on
// loopback with proxies between them, and the results say so.
//
// # Cases
//
// A Case is a plan of faults over a time of writing. Plan gives the events from the seed and the name of the case alone,
// so that the same seed breaks the same parts at the same moments again. When the last fault is healed and the writers
// have stopped, the case waits until the pipeline is at rest: nothing left in Kafka, nothing in the queues of the agents,
// and nothing new in the backends. Then package oracle counts, and what the consumers' delivery ledger says has to agree
// (docs/ledger.md); where it does not, the case fails.
//
// Losses that are known are in KnownLosses with their cause. A case of that list that holds fails, so that the list can
// only shrink; but for a race, which is not lost in every run.
//
// # Rivals
//
// A Profile says which agent and which consumer run. A rival is a configuration in rivals/, or any command that reads the
// files or the topic and writes to VictoriaLogs.
package crucible
