package monitoring

func ledger() Dashboard {
	const (
		metric = "otelcol_ledger_"
		// Every consumer has the whole account, so its figures are not to be added up. A group is a backend.
		by     = "agent, signal, group"
		legend = "{{agent}} {{signal}} {{group}}"
	)
	return Dashboard{
		UID: "breakwater-ledger", Title: "Breakwater / Delivery ledger",
		Description: "What each agent has stamped, and what of it is on the disk of a backend. The consumers keep the account.",
		Rows: []Row{
			{Title: "The account", Panels: []Panel{
				{
					Title: "Stamped", Kind: Graph, Unit: Count,
					Means:   "Records that each agent has given a number, as far as the consumers have seen it.",
					Do:      "It stands still for an agent that has nothing to send, or is cut off: see Newest stamp.",
					Queries: []Query{{highest(metric+"stamped_records", "", by), legend}},
				},
				{
					Title: "Stored", Kind: Graph, Unit: Count,
					Means:   "Distinct records on the disk of the backend.",
					Do:      "It follows Stamped by the time of the way. The difference is Missing.",
					Queries: []Query{{highest(metric+"stored_records", "", by), legend}},
				},
				{
					Title: "Missing", Kind: Graph, Unit: Count,
					Means:   "Stamped, and neither stored nor a dead letter. What is on its way is among them.",
					Do:      "It rises in an outage and falls after it. What stays is in Gaps.",
					Queries: []Query{{highest(metric+"missing_records", "", by), legend}},
				},
				{
					Title: "Gaps", Kind: Graph, Unit: Count,
					Means:   "Records that are missing for longer than LEDGER_GAP_AFTER (5 minutes), and neither in Kafka nor in the queue of the agent. It has to be 0; what is lost for good stays.",
					Do:      "docs/monitoring.md, BreakwaterLedgerGap. The ranges are in the consumers' log.",
					Queries: []Query{{highest(metric+"gap_records", "", by), legend}},
				},
				{
					Title: "Age of the oldest that is missing", Kind: Graph, Unit: Seconds,
					Means:   "Since when the oldest range is missing that has something behind it; 0 if there is none.",
					Do:      "It climbs by a second each second: that range does not come. When it is in Kafka no more, it is in Gaps.",
					Queries: []Query{{highest(metric+"oldest_missing_age", "", by), legend}},
				},
				{
					Title: "Dead letters", Kind: Graph, Unit: Count,
					Means:   "Records of each agent that a backend has refused for good. They are kept.",
					Do:      "`make deadletters`, then docs/dead-letters.md.",
					Queries: []Query{{highest(metric+"dead_lettered_records", "", by), legend}},
				},
				{
					Title: "Duplicated", Kind: Graph, Unit: Count,
					Means:   "Records that came more than once by Kafka. They are stored once.",
					Do:      "Some after a crash of an agent or of Kafka. Steadily: an agent that is killed again and again.",
					Queries: []Query{{highest(metric+"duplicated_records", "", by), legend}},
				},
				{
					Title: "Delay from stamp to disk", Kind: Graph, Unit: Seconds,
					Means:   "Of the last settled message of each agent: from its stamp until it was on the disk of the backend. The flush window (15 s) is in it.",
					Do:      "Above a minute: the queue of the agent (Agents), lag (Kafka), or a backend (Backends).",
					Queries: []Query{{highest(metric+"delay", "", by), legend}},
				},
				{
					Title: "Newest stamp", Kind: Graph, Unit: Seconds,
					Means:   "How long ago each agent has stamped what has arrived last.",
					Do:      "One climbs: that agent is silent. All climb: nothing is delivered.",
					Queries: []Query{{`time() - ` + highest(metric+"last_stamp_timestamp", "", by), legend}},
				},
				{
					Title: "Stamped by the agents", Kind: Graph, Unit: PerSecond,
					Means:   "Records a second that agents give numbers to, as they say themselves.",
					Do:      "Zero while records are read: the agent has no stamps (durable_kafka exporter), and its records are in no account.",
					Queries: []Query{{rate("otelcol_exporter_durable_kafka_stamped_records_total", "", "host_name, signal"), "{{host_name}} {{signal}}"}},
				},
			}},
		},
	}
}
