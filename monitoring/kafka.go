package monitoring

func kafka() Dashboard {
	const lag = "otelcol_receiver_durable_kafka_lag"
	const retention = "min by (topic) (kafka_topic_log_retention_period_seconds > 0)"
	return Dashboard{
		UID: "breakwater-kafka", Title: "Breakwater / Kafka",
		Description: "Topics, replicas and lag. All but the lag of our groups needs configs/consumer.d/kafka-metrics.yaml.",
		Rows: []Row{
			{Title: "Lag", Panels: []Panel{
				{
					Title: "Lag", Kind: Graph, Unit: Count,
					Means:   "Messages from the first one on that no backend has taken, by group and topic.",
					Do:      "Growing: a backend is down or slow, or consumers are too few: as many as there are partitions have work.",
					Queries: []Query{{total(lag, "", "group, topic"), "{{topic}} {{group}}"}},
				},
				{
					Title: "Lag in seconds", Kind: Graph, Unit: Seconds,
					Means:   "Age of the oldest message that no backend has taken, by group and topic.",
					Do:      "It climbs by a second each second while nothing is delivered. Compare with Retention.",
					Queries: []Query{{highest(lag+"_seconds", "", "group, topic"), "{{topic}} {{group}}"}},
				},
				{
					Title: "Retention used", Kind: Graph, Unit: Percent,
					Means:   "Lag in seconds by the retention of the topic. At 100 % Kafka deletes what nobody has read.",
					Do:      "Over 50 %: raise `retention.ms` (`kafka-configs.sh --alter`), it works at once; the brokers need the disk for it.",
					Queries: []Query{{`max by (topic) (` + lag + `_seconds) / on (topic) ` + retention, "{{topic}}"}},
				},
				{
					Title: "Time to loss", Kind: Graph, Unit: Seconds,
					Means: "Until the oldest undelivered message is deleted: if delivery stands still, and at the pace of the last 15 minutes (no line: the lag shrinks).",
					Do:    "Under 8 h it is an alert. Raise `retention.ms`, then bring the backend back.",
					Queries: []Query{
						{timeToLoss, "{{topic}} standing still"},
						{`(` + timeToLoss + `) / on (topic) (max by (topic) (deriv(` + lag + `_seconds[15m])) > 0)`, "{{topic}} at this pace"},
					},
				},
				{
					Title: "Lag by Kafka's count", Kind: Graph, Unit: Count,
					Means:   "Messages behind the committed offset of each group. More than Lag by what is delivered and not yet settled.",
					Do:      "A group that nobody has: a consumer of another profile that is gone. Its offsets can be deleted.",
					Queries: []Query{{highest("kafka_consumer_group_lag_sum_ratio", "", "group, topic"), "{{topic}} {{group}}"}},
				},
				{
					Title: "Members of the groups", Kind: Graph, Unit: Count,
					Means:   "Consumers that share the work of a group.",
					Do:      "Fewer than you run: one cannot log in, or was cut off. More than partitions: the others wait in reserve.",
					Queries: []Query{{highest("kafka_consumer_group_members", "", "group"), "{{group}}"}},
				},
			}},
			{Title: "Topics", Panels: []Panel{
				{
					Title: "Messages written", Kind: Graph, Unit: PerSecond,
					Means:   "Messages that came into each topic.",
					Do:      "Zero where agents read: see Agents, Refused by Kafka.",
					Queries: []Query{{rate("kafka_partition_current_offset_ratio", "", "topic"), "{{topic}}"}},
				},
				{
					Title: "Messages kept", Kind: Graph, Unit: Count,
					Means:   "Offsets between the begin and the end of each topic: what can be read and replayed.",
					Do:      "It falls when retention deletes. A topic of dead letters that grows: `make deadletters`.",
					Queries: []Query{{`sum by (topic) (kafka_partition_current_offset_ratio - kafka_partition_oldest_offset_ratio)`, "{{topic}}"}},
				},
				{
					Title: "Retention", Kind: Graph, Unit: Seconds,
					Means:   "How long each topic keeps messages.",
					Do:      "It has to be longer than the longest outage of a backend that has to be survived: 72 h for logs, 24 h for metrics by default.",
					Queries: []Query{{highest("kafka_topic_log_retention_period_seconds", "", "topic"), "{{topic}}"}},
				},
				{
					Title: "Undelivered dead letters", Kind: Graph, Unit: Count,
					Means:   "Messages in topics of dead letters.",
					Do:      "docs/dead-letters.md: list, correct, replay. They are deleted after 7 days.",
					Queries: []Query{{`sum by (topic) (kafka_partition_current_offset_ratio{topic=~".*dlq.*"} - kafka_partition_oldest_offset_ratio{topic=~".*dlq.*"})`, "{{topic}}"}},
				},
			}},
			{Title: "Brokers", Panels: []Panel{
				{
					Title: "Brokers", Kind: Graph, Unit: Count,
					Means:   "Brokers that are in the cluster.",
					Do:      "Fewer than there should be: start the missing one. With two of three, the next that goes stops all writing.",
					Queries: []Query{{`max(kafka_brokers)`, "brokers"}},
				},
				{
					Title: "Under-replicated partitions", Kind: Graph, Unit: Count,
					Means:   "Partitions that have fewer replicas in sync than they should.",
					Do:      "A broker is down, slow, or its disk is full. They come back by themselves when it does.",
					Queries: []Query{{`sum by (topic) (max by (topic, partition) (kafka_partition_replicas) > bool max by (topic, partition) (kafka_partition_replicas_in_sync))`, "{{topic}}"}},
				},
				{
					Title: "Replicas in sync, at least", Kind: Graph, Unit: Count,
					Means: "Of the worst partition of each topic, beside min.insync.replicas of the topic.",
					Do:    "Below the minimum nobody can write to the partition, and the agents queue: bring a broker back.",
					Queries: []Query{
						{`min by (topic) (kafka_partition_replicas_in_sync)`, "{{topic}}"},
						{highest("kafka_topic_min_insync_replicas", "", "topic"), "{{topic}} minimum"},
					},
				},
				{
					Title: "Failed connections of the agents", Kind: Graph, Unit: Count,
					Means:   "Connections to brokers that an agent could not open, since its start.",
					Do:      "Growing at one agent: its network, or its certificate. At all: a broker is down, or a certificate of the brokers has expired.",
					Queries: []Query{{total("otelcol_kafka_broker_connects_total", `outcome="failure",`+ofAgents, "site_name, host_name"), "{{site_name}} {{host_name}}"}},
				},
			}},
		},
	}
}
