package crucible

import "time"

// Cases returns all cases, in the order of the report.
func Cases() []Case {
	return []Case{
		{Name: "calm", Exact: true, About: "Nothing is broken: what the pipeline does by itself.", Length: 10 * time.Second, plan: all()},

		{Name: "agent-kill", About: "An agent is killed, three times.", Short: true, plan: thrice(Kill, anyAgent)},
		{Name: "agent-term", About: "An agent is restarted in order, three times.", plan: thrice(Terminate, anyAgent)},
		{Name: "consumer-kill", Seeds: true, Exact: true, About: "A consumer is killed, three times.", Short: true, plan: thrice(Kill, anyConsumer)},
		{Name: "consumer-term", Exact: true, About: "A consumer is restarted in order, three times.", plan: thrice(Terminate, anyConsumer)},
		{Name: "consumers-kill", Seeds: true, Exact: true, About: "Both consumers are killed at once.", plan: killed(3, part(Consumer1), part(Consumer2))},
		{Name: "broker-kill", Seeds: true, Exact: true, About: "A broker is killed.", Short: true, plan: once(Kill, anyBroker, 8)},
		{Name: "broker-term", About: "A broker is restarted in order.", plan: once(Terminate, anyBroker, 5)},
		{Name: "brokers-kill", About: "All brokers are killed at once.", plan: once(Kill, part(Brokers), 5)},
		{Name: "brokers-term", About: "All brokers are stopped at once, and started again.", plan: once(Terminate, part(Brokers), 2)},

		{Name: "victorialogs-kill", Seeds: true, Exact: true, About: "VictoriaLogs is killed, three times.", Short: true, plan: thrice(Kill, part(VictoriaLogs))},
		{Name: "victorialogs-term", Exact: true, About: "VictoriaLogs is restarted in order.", plan: once(Terminate, part(VictoriaLogs), 5)},
		{Name: "victoriametrics-kill", Seeds: true, Exact: true, About: "VictoriaMetrics is killed, three times.", plan: thrice(Kill, part(VictoriaMetrics))},
		{Name: "victoriametrics-term", About: "VictoriaMetrics is restarted in order.", plan: once(Terminate, part(VictoriaMetrics), 5)},
		{Name: "loki-kill", Seeds: true, About: "Loki is killed.", Loki: true, plan: thrice(Kill, part(Loki))},
		{Name: "loki-term", About: "Loki is restarted in order.", Loki: true, plan: once(Terminate, part(Loki), 5)},

		{Name: "victorialogs-freeze", About: "VictoriaLogs stands still for a minute.", plan: once(Freeze, part(VictoriaLogs), 60)},
		{Name: "victoriametrics-freeze", About: "VictoriaMetrics stands still for a minute.", plan: once(Freeze, part(VictoriaMetrics), 60)},
		{Name: "consumer-freeze", About: "A consumer stands still for a minute, loses its partitions, and wakes up.", plan: once(Freeze, anyConsumer, 60)},
		{Name: "broker-freeze", About: "A broker stands still for a minute.", plan: once(Freeze, anyBroker, 60)},

		{Name: "cut-victorialogs", Exact: true, About: "VictoriaLogs is cut off from everything.", Short: true, plan: once(Cut, part(VictoriaLogs), 12)},
		{Name: "cut-agent", About: "An agent is cut off from everything.", plan: once(Cut, anyAgent, 12)},
		{Name: "cut-consumer", About: "A consumer is cut off from everything.", plan: once(Cut, anyConsumer, 15)},
		{Name: "cut-broker", About: "A broker is cut off from everything.", plan: once(Cut, anyBroker, 15)},
		{Name: "cut-brokers", About: "All brokers are cut off, also from each other.", plan: once(Cut, part(Brokers), 12)},
		{Name: "one-way-victorialogs", Seeds: true, Exact: true, About: "What VictoriaLogs answers does not reach a consumer.", plan: between(OneWay, part(VictoriaLogs), anyConsumer, 15)},
		{Name: "one-way-brokers-agent", Seeds: true, About: "What the brokers answer does not reach an agent.", plan: between(OneWay, part(Brokers), anyAgent, 15)},
		{Name: "one-way-brokers-consumer", Seeds: true, About: "What the brokers answer does not reach a consumer.", plan: between(OneWay, part(Brokers), anyConsumer, 15)},
		{Name: "loss", About: "30 % of the packets of an agent, a consumer and VictoriaLogs are lost.", plan: all(
			once(Loss, anyAgent, 12), once(Loss, anyConsumer, 12), once(Loss, part(VictoriaLogs), 12))},
		{Name: "delay", About: "An agent, a consumer, a broker and both backends are half a second away.", plan: all(
			once(Delay, anyAgent, 12), once(Delay, anyConsumer, 12), once(Delay, anyBroker, 12),
			once(Delay, part(VictoriaLogs), 12), once(Delay, part(VictoriaMetrics), 12))},
		{Name: "reset-requests", About: "Connections to the backends are reset in the middle of a request.", plan: all(
			between(Reset, part(Consumer1), part(VictoriaLogs), 10), between(Reset, part(Consumer2), part(VictoriaLogs), 10),
			between(Reset, part(Consumer1), part(VictoriaMetrics), 10), between(Reset, part(Consumer2), part(VictoriaMetrics), 10))},
		{Name: "reset-answers", About: "Connections from the backends are reset in the middle of an answer.", plan: all(
			between(Reset, part(VictoriaLogs), part(Consumer1), 10), between(Reset, part(VictoriaLogs), part(Consumer2), 10),
			between(Reset, part(VictoriaMetrics), part(Consumer1), 10), between(Reset, part(VictoriaMetrics), part(Consumer2), 10))},
		{Name: "reset-kafka", About: "Connections between agents, brokers and consumers are reset in the middle of what they carry.", plan: all(
			between(Reset, anyAgent, part(Brokers), 10), between(Reset, part(Brokers), anyAgent, 10), between(Reset, part(Brokers), anyConsumer, 10))},

		{Name: "disk-full-agent", About: "The disk of an agent's queue is full.", SmallDisk: Agent1, plan: once(DiskFull, part(Agent1), 10)},
		{Name: "disk-full-broker", About: "The disk of a broker is full.", plan: once(DiskFull, anyBroker, 8)},
		{Name: "disk-full-victorialogs", About: "The disk of VictoriaLogs is full.", SmallDisk: VictoriaLogs, plan: once(DiskFull, part(VictoriaLogs), 10)},
		{Name: "credentials-revoked", About: "The users of agents and consumers are deleted, and made again.", Secure: true, plan: once(RevokeCredentials, none, 10)},
		{Name: "acl-removed", About: "The agents may not write any more, and then may again.", Secure: true, plan: once(RemoveACL, none, 8)},
		{Name: "topic-deleted", About: "The topic of the logs is deleted when all of it is stored, and made again.", plan: once(DeleteTopic, none, 6)},
		{Name: "partition-added", About: "The topics get one more partition.", plan: once(AddPartition, none, 0)},
		{Name: "rebalances", Seeds: true, Exact: true, About: "A third consumer joins and leaves every 5 s, for two minutes.", plan: once(Rebalance, part(Consumer3), 135)},

		{Name: "one-record-messages", Seeds: true, About: "One record a message, as Fluent Bit writes them, and consumers and VictoriaLogs are killed.", Load: Load{FluentBit: true}, plan: all(thrice(Kill, anyConsumer), at(Kill, VictoriaLogs, 12, 3))},
		{Name: "clock-jumps", About: "Records bear times that are hours and days off.", Load: Load{Jumps: true}, Length: 15 * time.Second, plan: all()},
		{Name: "large-lines", About: "Lines of 1 MiB among others.", Load: Load{Large: true}, Length: 20 * time.Second, plan: all()},
		{Name: "poison", About: "Messages that nobody can decode among the others.", plan: once(Poison, none, 0)},
		{Name: "burst", About: "Ten times as many records for a while.", plan: once(Burst, none, 10)},
		{Name: "rolling-restart", About: "Everything is restarted in order, one after the other.", plan: once(Rolling, none, 0)},
		{Name: "power-loss-agent", About: "An agent's machine loses its power: what was not synced is gone.", Synced: true, plan: thrice(PowerLoss, anyAgent)},

		{Name: "kill-consumer-and-victorialogs", Seeds: true, Exact: true, About: "A machine with a consumer and VictoriaLogs dies.", plan: killed(3, anyConsumer, part(VictoriaLogs))},
		{Name: "kill-consumers-and-backends", Exact: true, About: "A machine with both consumers and both backends dies.", plan: killed(3, part(Consumer1), part(Consumer2), part(VictoriaLogs), part(VictoriaMetrics))},
		{Name: "kill-victoriametrics-and-broker", About: "A machine with VictoriaMetrics and a broker dies.", plan: killed(6, part(VictoriaMetrics), anyBroker)},
		{Name: "kill-agent-and-broker", About: "A machine with an agent and a broker dies.", plan: killed(6, anyAgent, anyBroker)},
		{Name: "one-way-and-consumer-kill", About: "A consumer gets no answers from VictoriaLogs, and is killed.", plan: all(
			linkAt(OneWay, VictoriaLogs, Consumer1, 5, 12), at(Kill, Consumer1, 10, 2))},
		{Name: "disk-full-agent-and-kill", About: "The disk of an agent's queue is full, and the agent is killed.", SmallDisk: Agent1, plan: all(
			at(DiskFull, Agent1, 5, 12), at(Kill, Agent1, 10, 2))},
		{Name: "brokers-away-and-agents-kill", About: "All brokers are killed, and while they are away the agents are.", plan: all(
			at(Kill, Brokers, 6, 12), at(Kill, Agent1, 10, 1), at(Kill, Agent2, 13, 1))},
		{Name: "victorialogs-away-and-rebalances", About: "VictoriaLogs is killed while consumers come and go.", plan: all(
			at(Rebalance, Consumer3, 4, 20), at(Kill, VictoriaLogs, 12, 4))},
		{Name: "loss-and-broker-kill", About: "Packets of the agents are lost, and a broker is killed.", plan: all(
			at(Loss, Agent1, 5, 15), at(Loss, Agent2, 5, 15), once(Kill, anyBroker, 6))},
	}
}

func none(*planner) string { return "" }

// at plans a fault of one part around a given time, in seconds.
func at(kind Kind, target string, seconds, lasts float64) func(*planner) {
	return func(p *planner) { p.add(p.about(seconds), p.lasting(lasts), Fault{Kind: kind, Target: target}) }
}

// linkAt is at for a link.
func linkAt(kind Kind, from, to string, seconds, lasts float64) func(*planner) {
	return func(p *planner) { p.add(p.about(seconds), p.lasting(lasts), Fault{Kind: kind, Target: from, Peer: to}) }
}
