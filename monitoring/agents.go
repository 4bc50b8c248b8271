package monitoring

// queueSelector is of the exporter that has the disk queue.
const queueUsed = `otelcol_exporter_queue_size{` + ofHost + `} / otelcol_exporter_queue_capacity{` + ofHost + `}`

func agents() Dashboard {
	const by = "site_name, host_name"
	const legend = "{{site_name}} {{host_name}}"
	return Dashboard{
		UID: "breakwater-agents", Title: "Breakwater / Agents",
		Description: "What the agents read, what waits on their disks, and what they are without.",
		Variables: []Variable{
			{Name: "site", Label: "site_name", Of: `otelcol_process_uptime_total{` + ofAgents + `}`},
			{Name: "host", Label: "host_name", Of: `otelcol_process_uptime_total{` + ofAgents + `,site_name=~"$site"}`},
		},
		Rows: []Row{
			{Title: "What comes in", Panels: []Panel{
				{
					Title: "Log records read", Kind: Graph, Unit: PerSecond,
					Means:   "Records that the receivers of each agent have handed on to its queue.",
					Do:      "Zero where programs write: LOG_INCLUDE, the rights of the agent's user, or a full queue that it waits for.",
					Queries: []Query{{rate("otelcol_receiver_accepted_log_records_total", ofHost, by+", receiver"), legend + " {{receiver}}"}},
				},
				{
					Title: "Data points collected", Kind: Graph, Unit: PerSecond,
					Means:   "Data points of host metrics, OTLP, and the agent's own metrics.",
					Do:      "A receiver at zero: its log says what it cannot read.",
					Queries: []Query{{rate("otelcol_receiver_accepted_metric_points_total", ofHost, by+", receiver"), legend + " {{receiver}}"}},
				},
				{
					Title: "Refused by the agent", Kind: Graph, Unit: Count,
					Means:   "Records and data points that a receiver could not hand on, since the start of the agent. Files are read again, OTLP clients try again, scrapes are missed.",
					Do:      "Growing: the queue is full (Queue used), or memory_limiter is at its limit: see Memory.",
					Queries: []Query{{`sum by (` + by + `, receiver) ({__name__=~"otelcol_receiver_refused_(log_records|metric_points)_total",` + ofHost + `})`, legend + " {{receiver}}"}},
				},
				{
					Title: "Last seen", Kind: Graph, Unit: Seconds,
					Means:   "How long ago the newest sample of an agent was taken: the way through queue, Kafka and consumer, and 15 s between two.",
					Do:      "One agent climbs: it is down, or cut off from Kafka. All climb: the topic of metrics lags, or the consumer is down.",
					Queries: []Query{{`time() - max by (` + by + `) (max_over_time(timestamp(otelcol_process_uptime_total{` + ofHost + `})[6h:15s]))`, legend}},
				},
			}},
			{Title: "Disk queue", Panels: []Panel{
				{
					Title: "Queue used", Kind: Graph, Unit: Percent,
					Means:   "How full the disk queue is, for logs and metrics each. When it is full, files are read no further and OTLP clients wait.",
					Do:      "Kafka is away or refuses. Full, the host's log rotation deletes what is not read: raise BREAKWATER_QUEUE_BYTES while the disk has room.",
					Queries: []Query{{queueUsed, legend + " {{data_type}}"}},
				},
				{
					Title: "Time to full", Kind: Graph, Unit: Seconds,
					Means:   "Until the queue is full, at the pace of the last 15 minutes. No line: it does not fill.",
					Do:      "Less than it takes to bring Kafka back: raise BREAKWATER_QUEUE_BYTES, or keep rotated files longer.",
					Queries: []Query{{`(otelcol_exporter_queue_capacity{` + ofHost + `} - otelcol_exporter_queue_size{` + ofHost + `}) / (deriv(otelcol_exporter_queue_size{` + ofHost + `}[15m]) > 0)`, legend + " {{data_type}}"}},
				},
				{
					Title: "Sent to Kafka", Kind: Graph, Unit: PerSecond,
					Means: "Records and data points that all in-sync replicas have.",
					Do:    "Zero while records are read: Kafka is away or refuses. Compare with Refused by Kafka.",
					Queries: []Query{
						{rate("otelcol_exporter_sent_log_records_total", ofHost, by), legend + " records"},
						{rate("otelcol_exporter_sent_metric_points_total", ofHost, by), legend + " data points"},
					},
				},
				{
					Title: "Refused by Kafka", Kind: Graph, Unit: PerSecond,
					Means:   "Attempts that a broker has refused with an answer that upstream's exporter would drop the batch for. Here it stays in the queue.",
					Do:      "TOPIC_AUTHORIZATION_FAILED: the ACL or the login (docs/security.md). MESSAGE_TOO_LARGE: max.message.bytes of the topic; `make topics` says what it has to be.",
					Queries: []Query{{rate("otelcol_exporter_durable_kafka_refusals_total", ofHost, by+", answer"), legend + " {{answer}}"}},
				},
			}},
			{Title: "What is not as it should be", Panels: []Panel{
				{
					Title: "Labels missing", Kind: Graph, Unit: PerSecond,
					Means:   "Records and data points without a value for a label. Labels of the place are the operator's to set; service_name and job are missing where a program does not say it.",
					Do:      "site_name, env: SITE_NAME and DEPLOY_ENV of that agent. docs/labels.md has the sources of each label.",
					Queries: []Query{{rate("otelcol_processor_label_preserve_missing_total", ofHost, "host_name, label"), "{{host_name}} {{label}}"}},
				},
				{
					Title: "Label conflicts", Kind: Graph, Unit: Count,
					Means:   "Records for which a label was there with two values, since the start of the agent. One was kept, by the declared precedence.",
					Do:      "Find who says the other value: keep_conflicts of label_preserve writes it beside the label.",
					Queries: []Query{{total("otelcol_processor_label_preserve_conflicts_total", ofHost, "host_name, label"), "{{host_name}} {{label}}"}},
				},
				{
					Title: "Ways to lose data", Kind: Graph, Unit: Count,
					Means:   "Findings of the lossless check: settings, topics, or a disk too small for the queue.",
					Do:      "Look the code up in the table of the lossless extension, which has the fix (docs/lossless.md).",
					Queries: []Query{{highest("otelcol_extension_lossless_findings", `state="reported",`+ofHost, "host_name, code"), "{{host_name}} {{code}}"}},
				},
				{
					Title: "Uptime", Kind: Graph, Unit: Seconds,
					Means:   "Since the start of the process. A saw has been restarted at each tooth.",
					Do:      "Restarts that nobody has asked for: the host's OOM killer, or the log of the unit.",
					Queries: []Query{{highest("otelcol_process_uptime_total", ofHost, by), legend}},
				},
			}},
			{Title: "Cost", Panels: []Panel{
				{
					Title: "CPU", Kind: Graph, Unit: Percent,
					Means:   "CPU time of the agent; 100 % is one CPU.",
					Do:      "Much without many records: look at the number of files and their pattern (LOG_INCLUDE).",
					Queries: []Query{{rate("otelcol_process_cpu_seconds_total", ofHost, by), legend}},
				},
				{
					Title: "Memory", Kind: Graph, Unit: Bytes,
					Means:   "Resident memory of the agent. It is bounded by memory_limiter, not by the backlog, which is on disk.",
					Do:      "At the limit of its unit or container: raise the limit, or lower memory_limiter.",
					Queries: []Query{{highest("otelcol_process_memory_rss", ofHost, by), legend}},
				},
			}},
		},
	}
}
