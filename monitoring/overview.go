package monitoring

func overview() Dashboard {
	return Dashboard{
		UID: "breakwater-overview", Title: "Breakwater / Overview",
		Description: "The whole pipeline, from file to backend. Begin here, and follow what is not green.",
		Rows: []Row{
			{Title: "Now", Panels: []Panel{
				{
					Title: "Agents that report", Kind: Number, Unit: Count,
					Means:   "Agents whose own metrics have arrived in the last 5 minutes, on the way that logs take.",
					Do:      "Fewer than you run: see Agents, Last seen. None: the consumer, Kafka or the topic of metrics is down.",
					Queries: []Query{{`count(count by (site_name, env, host_name) (last_over_time(otelcol_process_uptime_total{` + ofAgents + `}[5m])))`, "agents"}},
				},
				{
					Title: "Consumers that report", Kind: Number, Unit: Count, Warn: 1, Low: true,
					Means:   "Consumers whose own metrics have arrived in the last 5 minutes, straight at the backend.",
					Do:      "None: nothing is delivered, and Kafka keeps it until its retention. Start one; its log says why it ended.",
					Queries: []Query{{`count(count by (site_name, env, host_name, instance) (last_over_time(otelcol_process_uptime_total{` + ofConsumers + `}[5m])))`, "consumers"}},
				},
				{
					Title: "Oldest undelivered message", Kind: Number, Unit: Seconds, Warn: 300, Bad: 3600,
					Means:   "Age of the oldest message in Kafka that no backend has taken: how late what is delivered now is.",
					Do:      "Growing: a backend is down or slow (Backends), or there are too few consumers (Consumer, Lag).",
					Queries: []Query{{`max(otelcol_receiver_durable_kafka_lag_seconds)`, "age"}},
				},
				{
					Title: "Time to loss in Kafka", Kind: Number, Unit: Seconds, Warn: 86400, Bad: 28800, Low: true,
					Means:   "Until Kafka deletes the oldest undelivered message, if delivery stands still: the retention of the topic less the age of the message.",
					Do:      "Under a day: raise `retention.ms` of the topic now, it works at once, then find what is slow. Needs configs/consumer.d/kafka-metrics.yaml.",
					Queries: []Query{{`min(` + timeToLoss + `)`, "time"}},
				},
				{
					Title: "Dead letters", Kind: Number, Unit: Count, Warn: 1,
					Means:   "Messages and records that can never be delivered as they are, of the consumers of the last 24 h since their start. They are kept whole, with the reason.",
					Do:      "`make deadletters`, then docs/dead-letters.md: correct the sender, or replay them.",
					Queries: []Query{{`sum(max_over_time(` + deadLetters + `[24h])) or vector(0)`, "dead letters"}},
				},
				{
					Title: "Messages lost", Kind: Number, Unit: Count, Bad: 1,
					Means:   "Messages that Kafka had deleted before they were read, of the consumers of the last 24 h since their start. The one number that has to be 0.",
					Do:      "The consumer's log has the exact range; agents that still have the files can send them again.",
					Queries: []Query{{`sum(max_over_time(otelcol_receiver_durable_kafka_lost_messages_total[24h])) or vector(0)`, "lost"}},
				},
			}},
			{Title: "Flow", Panels: []Panel{
				{
					Title: "Log records", Kind: Graph, Unit: PerSecond,
					Means: "Records read by agents, taken by Kafka, and taken by the log backend. Without an outage the three are one line.",
					Do:    "Kafka below read: the agents' queues fill (Agents). Stored below Kafka: lag grows (Kafka). Stored above: it catches up.",
					Queries: []Query{
						{rate("otelcol_receiver_accepted_log_records_total", ofAgents, ""), "read by agents"},
						{rate("otelcol_exporter_sent_log_records_total", ofAgents, ""), "taken by Kafka"},
						{`sum(rate(` + storedLogs + `[$__rate_interval]))`, "taken by the backend"},
					},
				},
				{
					Title: "Data points", Kind: Graph, Unit: PerSecond,
					Means: "Data points of metrics that agents have collected, Kafka has taken, and the metrics backend has taken.",
					Do:    "As for log records. What the consumer scrapes itself is in the last line only.",
					Queries: []Query{
						{rate("otelcol_receiver_accepted_metric_points_total", ofAgents, ""), "collected by agents"},
						{rate("otelcol_exporter_sent_metric_points_total", ofAgents, ""), "taken by Kafka"},
						{rate("otelcol_exporter_remote_write_sent_data_points_total", "", ""), "taken by the backend"},
					},
				},
				{
					Title: "Waiting on the agents' disks", Kind: Graph, Unit: Bytes,
					Means:   "Bytes in the disk queues of all agents: what Kafka has not taken yet.",
					Do:      "Growing: Kafka is away, or refuses (Agents, Refused by Kafka). See which agents, and when they are full, in Agents.",
					Queries: []Query{{total("otelcol_exporter_queue_size", ofAgents, "data_type"), "{{data_type}}"}},
				},
				{
					Title: "Waiting in Kafka", Kind: Graph, Unit: Count,
					Means:   "Messages from the first one on that no backend has taken, by topic. A message of an agent has many records.",
					Do:      "Growing: see Backends, then Consumer. Flat and not zero: a partition stands still (Consumer, Lag by partition).",
					Queries: []Query{{total("otelcol_receiver_durable_kafka_lag", "", "group, topic"), "{{topic}} {{group}}"}},
				},
			}},
			{Title: "Health", Panels: []Panel{
				{
					Title: "Backends that answer", Kind: Graph, Unit: Count,
					Means:   "1: the consumers' last look at the backend succeeded. 0: it did not.",
					Do:      "0: start the backend. Nothing is lost while Kafka has the time for it (Time to loss).",
					Queries: []Query{{`min by (backend) (otelcol_extension_durability_up)`, "{{backend}}"}},
				},
				{
					Title: "Alerts that fire", Kind: Graph, Unit: Count,
					Means:   "Alerts of rules/breakwater.yaml that are firing, as vmalert writes them to its -remoteWrite.url. The watchdog always is.",
					Do:      "Each is in docs/monitoring.md. No watchdog: vmalert does not run, or does not reach the backend.",
					Queries: []Query{{`sum by (alertname) (ALERTS{alertname=~"Breakwater.*",alertstate="firing"})`, "{{alertname}}"}},
				},
			}},
		},
	}
}
