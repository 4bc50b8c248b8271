package monitoring

func consumer() Dashboard {
	const kafka = "otelcol_receiver_durable_kafka_"
	const logs = `{__name__=~"otelcol_exporter_(victorialogs|loki)_`
	return Dashboard{
		UID: "breakwater-consumer", Title: "Breakwater / Consumer",
		Description: "From Kafka to the backends: what is delivered, what is settled (on the backend's disk, its offset committed), and what is tried again.",
		Rows: []Row{
			{Title: "Delivery", Panels: []Panel{
				{
					Title: "Delivered and settled", Kind: Graph, Unit: PerSecond,
					Means: "Messages that a backend has acknowledged, and messages whose data is on its disk and whose offset is committed.",
					Do:    "Settled stays below delivered: the backend is restarted again and again, or is not reached for its epoch (Backends).",
					Queries: []Query{
						{rate(kafka+"delivered_messages_total", "", "group, topic"), "{{topic}} delivered {{group}}"},
						{rate(kafka+"settled_messages_total", "", "group, topic"), "{{topic}} settled {{group}}"},
					},
				},
				{
					Title: "Not settled", Kind: Graph, Unit: Count,
					Means:   "Messages that are handed on and whose offset is not committed: some 15 s of flow (the flush window of the backend).",
					Do:      "Growing: see Backends, Settle delay. After a restart of the consumer they are read again, and not stored twice.",
					Queries: []Query{{total(kafka+"unsettled_messages", "", "group, topic"), "{{topic}} {{group}}"}},
				},
				{
					Title: "Lag by partition", Kind: Graph, Unit: Count,
					Means:   "Messages from the first one on that no backend has taken, by partition.",
					Do:      "One partition alone: its consumer is stuck on a message (its log says on which), or one key has all the load.",
					Queries: []Query{{highest(kafka+"lag", "", "group, topic, partition"), "{{topic}} {{partition}} {{group}}"}},
				},
				{
					Title: "In flight", Kind: Graph, Unit: Bytes,
					Means:   "Bytes of messages that are in memory: queued, or on their way to the backend. Bounded by max_in_flight_bytes.",
					Do:      "At its bound: the backend is the slower one. It is not a fault; lag says whether it is enough.",
					Queries: []Query{{total(kafka+"in_flight_bytes", "", "host_name"), "{{host_name}}"}},
				},
				{
					Title: "Partitions that wait", Kind: Graph, Unit: Count,
					Means:   "Partitions that nothing is fetched of for now, because what was fetched is not delivered yet.",
					Do:      "For long: the backend is the slower one, or away (Requests). Others go on meanwhile.",
					Queries: []Query{{total(kafka+"paused", "", "group, topic"), "{{topic}} {{group}}"}},
				},
			}},
			{Title: "Read again, dead, lost", Panels: []Panel{
				{
					Title: "Rewinds", Kind: Graph, Unit: Count,
					Means:   "How often a partition was read again from its committed offset, by cause, since the start of the consumer.",
					Do:      "backend_restarted: it had forgotten its last seconds, and has got them again. Often: find out why it restarts. backend_unseen: sent before it was known.",
					Queries: []Query{{total(kafka+"rewinds_total", "", "group, cause"), "{{cause}} {{group}}"}},
				},
				{
					Title: "Read again", Kind: Graph, Unit: Count,
					Means:   "Messages that may have been delivered before, since the start of the consumer. The backend is asked for them before they are sent.",
					Do:      "Only after restarts, rebalances and rewinds. Without them: consumers that come and go, see Uptime.",
					Queries: []Query{{total(kafka+"redelivered_messages_total", "", "group, topic"), "{{topic}} {{group}}"}},
				},
				{
					Title: "Dead letters", Kind: Graph, Unit: Count,
					Means: "Messages that cannot be decoded, and records that the backend refuses for good, since the start of the consumer. They are kept, with the reason.",
					Do:    "`make deadletters`, then docs/dead-letters.md.",
					Queries: []Query{
						{total(kafka+"dead_letters_total", "", "topic, reason"), "{{topic}} {{reason}}"},
						{total("otelcol_connector_dead_letter_records_total", "", "signal, reason"), "{{signal}} {{reason}}"},
					},
				},
				{
					Title: "Lost", Kind: Graph, Unit: Count,
					Means:   "Messages that Kafka no longer had when they were to be read, by cause, since the start of the consumer.",
					Do:      "docs/monitoring.md, BreakwaterDataLost. The log has the exact range.",
					Queries: []Query{{total(kafka+"lost_messages_total", "", "group, topic, cause"), "{{topic}} {{cause}} {{group}}"}},
				},
			}},
			{Title: "Logs", Panels: []Panel{
				{
					Title: "Requests", Kind: Graph, Unit: PerSecond,
					Means:   "Requests to the log backend, by what became of them.",
					Do:      "throttled: the backend asks for less. retry: it is away or in trouble. permanent: see Dead letters.",
					Queries: []Query{{`sum by (outcome) (rate(` + logs + `requests_total"}[$__rate_interval]))`, "{{outcome}}"}},
				},
				{
					Title: "Time of a request, 99th percentile", Kind: Graph, Unit: Seconds,
					Means:   "From a request to its answer.",
					Do:      "Seconds: the backend's disk or CPU is at its limit. Lag will show it next.",
					Queries: []Query{{`histogram_quantile(0.99, sum by (le) (rate(` + logs + `request_duration_bucket"}[$__rate_interval])))`, "99 %"}},
				},
				{
					Title: "Questions to the backend", Kind: Graph, Unit: Count,
					Means:   "How often it was asked for the rows of a request that may have been delivered before, by its answer, since the start of the consumer.",
					Do:      "None in steady state. found: nothing was sent twice. failed: the backend cannot answer queries, and those requests wait.",
					Queries: []Query{{`sum by (result) (` + logs + `verifications_total"})`, "{{result}}"}},
				},
				{
					Title: "Over a limit of VictoriaLogs", Kind: Graph, Unit: Count,
					Means:   "Records or fields that VictoriaLogs would drop in silence, by what was done instead, since the start of the consumer.",
					Do:      "reject: it is a dead letter. past, clamp: older than VICTORIALOGS_RETENTION; their own time is in original_time.",
					Queries: []Query{{total("otelcol_exporter_victorialogs_violations_total", "", "kind, action"), "{{kind}} {{action}}"}},
				},
			}},
			{Title: "Metrics", Panels: []Panel{
				{
					Title: "Requests of remote write", Kind: Graph, Unit: PerSecond,
					Means:   "Requests to the metrics backend, by what became of them.",
					Do:      "As for logs. too_large: a request was cut in two and sent again.",
					Queries: []Query{{rate("otelcol_exporter_remote_write_requests_total", "", "outcome"), "{{outcome}}"}},
				},
				{
					Title: "Data points refused", Kind: Graph, Unit: Count,
					Means:   "Data points that the metrics backend cannot store, by the reason, since the start of the consumer. They are dead letters.",
					Do:      "temporality: a program sends deltas. past: older than VICTORIAMETRICS_RETENTION. label_count: too many labels.",
					Queries: []Query{{total("otelcol_exporter_remote_write_refused_data_points_total", "", "reason"), "{{reason}}"}},
				},
			}},
			{Title: "Cost", Panels: []Panel{
				{
					Title: "CPU", Kind: Graph, Unit: Percent,
					Means:   "CPU time of each consumer; 100 % is one CPU.",
					Do:      "At the limit with a lag that grows: another consumer.",
					Queries: []Query{{rate("otelcol_process_cpu_seconds_total", ofConsumers, "host_name, instance"), "{{host_name}} {{instance}}"}},
				},
				{
					Title: "Memory", Kind: Graph, Unit: Bytes,
					Means:   "Resident memory. It does not depend on the lag.",
					Do:      "At the limit of its container: raise it, or lower max_fetch_size and max_in_flight_bytes.",
					Queries: []Query{{highest("otelcol_process_memory_rss", ofConsumers, "host_name, instance"), "{{host_name}} {{instance}}"}},
				},
				{
					Title: "Uptime", Kind: Graph, Unit: Seconds,
					Means:   "Since the start of each consumer.",
					Do:      "Restarts that nobody has asked for: OOM, or a failing probe. Nothing is lost by them, but partitions move.",
					Queries: []Query{{highest("otelcol_process_uptime_total", ofConsumers, "host_name, instance"), "{{host_name}} {{instance}}"}},
				},
				{
					Title: "Ways to lose data", Kind: Graph, Unit: Count,
					Means:   "Findings of the lossless check in consumers: settings, topics, the retention of backends.",
					Do:      "Look the code up in the table of the lossless extension, which has the fix (docs/lossless.md).",
					Queries: []Query{{highest("otelcol_extension_lossless_findings", `state="reported",`+ofConsumers, "code"), "{{code}}"}},
				},
			}},
		},
	}
}
