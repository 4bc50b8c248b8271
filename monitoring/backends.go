package monitoring

func backends() Dashboard {
	const durability = "otelcol_extension_durability_"
	return Dashboard{
		UID: "breakwater-backends", Title: "Breakwater / Backends",
		Description: "How the consumers see the backends, and what VictoriaLogs and VictoriaMetrics say themselves (configs/consumer.d/victorialogs-metrics.yaml, victoriametrics-metrics.yaml).",
		Rows: []Row{
			{Title: "As the consumers see them", Panels: []Panel{
				{
					Title: "Up", Kind: Graph, Unit: Count,
					Means:   "1: the last poll of the node succeeded.",
					Do:      "0: start it. Kafka keeps what is for it; see Kafka, Time to loss.",
					Queries: []Query{{`min by (backend, node) (` + durability + `up)`, "{{backend}} {{node}}"}},
				},
				{
					Title: "Age of the process", Kind: Graph, Unit: Seconds,
					Means:   "Since the start of the backend's process: its epoch. A fall is a restart.",
					Do:      "A kill has cost it its last seconds, which are read from Kafka again. Restarts that nobody has asked for: OOM.",
					Queries: []Query{{`time() - max by (backend, node) (` + durability + `epoch)`, "{{backend}} {{node}}"}},
				},
				{
					Title: "Settle delay", Kind: Graph, Unit: Seconds,
					Means:   "How old an acknowledgement has to be until its data is taken to be on disk: the flush window and the age of the last poll.",
					Do:      "Much above the flush window: the node was not reached for a while. Offsets wait for it; nothing is lost.",
					Queries: []Query{{highest(durability+"settle_delay", "", "backend, node"), "{{backend}} {{node}}"}},
				},
				{
					Title: "Polls that failed", Kind: Graph, Unit: PerSecond,
					Means:   "Polls of the backend's /metrics, by the reason. Without them nobody knows whether it was restarted, and nothing is settled.",
					Do:      "unreachable: it is down, or a firewall. status: a login is asked for. malformed: the endpoint is not the backend.",
					Queries: []Query{{rate(durability+"poll_failures_total", "", "backend, reason"), "{{backend}} {{reason}}"}},
				},
			}},
			{Title: "VictoriaLogs", Panels: []Panel{
				{
					Title: "Rows taken", Kind: Graph, Unit: PerSecond,
					Means:   "Rows that VictoriaLogs has ingested, by the API.",
					Do:      "More than the consumers send: somebody else writes there, too.",
					Queries: []Query{{rate("vl_rows_ingested_total", "", "type"), "{{type}}"}},
				},
				{
					Title: "Rows dropped in silence", Kind: Graph, Unit: Count,
					Means: "Rows that VictoriaLogs has answered for with 200 and not stored, since its start. Breakwater keeps from it what it would drop.",
					Do:    "Over zero: VICTORIALOGS_RETENTION is not its -retentionPeriod, or another sender. docs/monitoring.md, BreakwaterBackendDrops.",
					Queries: []Query{
						{total("vl_rows_dropped_total", "", "reason"), "{{reason}}"},
						{total("vl_too_long_lines_skipped_total", "", "instance"), "too long"},
					},
				},
				{
					Title: "Errors of requests", Kind: Graph, Unit: PerSecond,
					Means:   "HTTP errors that VictoriaLogs has answered with, by path.",
					Do:      "/insert/jsonline: its log says what was wrong. /select/…: slow queries, or limits of -search.",
					Queries: []Query{{rate("vl_http_errors_total", "", "path"), "{{path}}"}},
				},
				{
					Title: "Disk", Kind: Graph, Unit: Bytes,
					Means: "What VictoriaLogs has on disk, and what is free.",
					Do:    "Little free: it turns read-only and answers 429; Kafka waits. A larger disk, or a shorter -retentionPeriod.",
					Queries: []Query{
						{total("vl_data_size_bytes", "", "type"), "{{type}}"},
						{`min by (instance) (vl_free_disk_space_bytes)`, "free"},
					},
				},
			}},
			{Title: "VictoriaMetrics", Panels: []Panel{
				{
					Title: "Samples taken", Kind: Graph, Unit: PerSecond,
					Means:   "Samples that VictoriaMetrics has ingested, by the protocol.",
					Do:      "Others than promremotewrite are not Breakwater's.",
					Queries: []Query{{rate("vm_rows_inserted_total", "", "type") + " > 0", "{{type}}"}},
				},
				{
					Title: "Samples dropped in silence", Kind: Graph, Unit: Count,
					Means:   "Samples that VictoriaMetrics has answered for and not stored, since its start, by the reason.",
					Do:      "Over zero: VICTORIAMETRICS_RETENTION is not its -retentionPeriod, or another sender.",
					Queries: []Query{{total("vm_rows_ignored_total", "", "reason"), "{{reason}}"}},
				},
				{
					Title: "New series", Kind: Graph, Unit: PerSecond,
					Means:   "Series that were not there before.",
					Do:      "Many for long: a label with ever new values (churn). It costs memory; find it in vmui, Explore cardinality.",
					Queries: []Query{{rate("vm_new_timeseries_created_total", "", "instance"), "{{instance}}"}},
				},
				{
					Title: "Disk", Kind: Graph, Unit: Bytes,
					Means: "What VictoriaMetrics has on disk, and what is free.",
					Do:    "Little free: it turns read-only; Kafka waits. A larger disk, or a shorter -retentionPeriod.",
					Queries: []Query{
						{total("vm_data_size_bytes", "", "type"), "{{type}}"},
						{`min by (instance) (vm_free_disk_space_bytes)`, "free"},
					},
				},
				{
					Title: "Memory of the backends", Kind: Graph, Unit: Bytes,
					Means:   "Resident memory of both.",
					Do:      "Near the limit: an OOM kill is next, which costs the last seconds, and they are read again. Give it more.",
					Queries: []Query{{highest("process_resident_memory_bytes", `job=~"breakwater/victoria.*"`, "job, instance"), "{{job}} {{instance}}"}},
				},
			}},
		},
	}
}
