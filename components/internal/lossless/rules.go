package lossless

// Receivers.
var (
	positionsNotStored = rule("BW001", "receivers::<file_log, record_file, journald, durable_journal>::storage",
		"read positions are not stored",
		"what is written while the agent is stopped, or everything twice",
		"set it to a file_storage extension")
	startAtEnd = rule("BW002", "receivers::<file_log, record_file, journald, durable_journal>::start_at",
		"reading begins at the end",
		"what was there before the first start, and what a new file has when it is found",
		"set it to beginning")
	readerDoesNotRetry = rule("BW003", "receivers::<file_log, journald, syslog>::retry_on_failure::enabled",
		"a batch that is refused is not tried again",
		"each batch that the pipeline refuses for now; the read position moves on",
		"set it to true")
	readerGivesUp = rule("BW004", "receivers::<file_log, journald, syslog>::retry_on_failure::max_elapsed_time",
		"retries end",
		"each batch that is refused for longer",
		"set it to 0s")
	oldFilesExcluded = rule("BW005", "receivers::<file_log, record_file>::exclude_older_than",
		"files are passed over that are younger than the backlog",
		"the rest of a file that was not read before it was that old: after an outage, or a stop",
		"remove it, or raise it to at least runtime::backlog")
	longLinesCut = rule("BW006", "receivers::file_log::max_log_size_behavior",
		"long lines are cut",
		"the end of every line over max_log_size",
		"set it to split")
	truncationMissed = rule("BW007", "receivers::file_log::on_truncate",
		"a file that was copied and truncated is not read from its start",
		"what is written until the file is longer than it was",
		"set it to read_whole_file")
	operatorDrops = rule("BW008", "receivers::<file_log, journald, syslog>::operators",
		"an operator drops",
		"entries that it filters, or that it cannot parse",
		"remove the filter; set on_error to send")
	deletedAfterRead = rule("BW009", "receivers::file_log::delete_after_read",
		"files are deleted when they are read, not when they are delivered",
		"what was read and not yet delivered, if the process dies",
		"remove it")
	datagrams = rule("BW010", "receivers::syslog::udp",
		"datagrams are not repeated",
		"whatever comes while the receiver waits or is stopped",
		"use tcp")
	bytesReplaced = rule("BW011", "receivers::file_log::encoding",
		"bytes that do not fit the encoding are replaced",
		"bytes of the message",
		"set it to utf8-raw")
	blanksTrimmed = rule("BW012", "receivers::file_log::preserve_<leading, trailing>_whitespaces",
		"lines are trimmed",
		"indentation of stack traces, blanks at the end",
		"set it to true")
	requestTooLarge = rule("BW013", "receivers::otlp::protocols::<grpc, http>::<max_recv_msg_size_mib, max_request_body_size>",
		"requests are taken that are larger than a message to Kafka may be",
		"a record over producer::max_message_bytes: a permanent error removes it, and its batch, from the queue",
		"set it to no more than producer::max_message_bytes of the kafka exporter")
	forwardIgnoresErrors = rule("BW014", "receivers::fluent_forward",
		"records are acknowledged before they are delivered, and an error of the pipeline is ignored",
		"each request that is refused, and up to 100 records in memory when the process ends",
		"let Fluent Bit write to Kafka (fluent_bit_encoding), or send OTLP")
	operatorHolds = rule("BW015", "receivers::<file_log, journald, syslog>::operators",
		"an operator joins lines in memory",
		"the lines of a record that is not complete when the process is killed: their position is stored",
		"join them while the file is read (multiline), or where they are looked at")
)

// Receivers of Kafka.
var (
	upstreamKafka = rule("BW020", "receivers::kafka",
		"the upstream receiver commits what no disk has",
		"the seconds that a backend forgets when it is killed, and the good records of a poll that has an error",
		"use durable_kafka, it has the same settings")
	marksBefore = rule("BW021", "receivers::kafka::message_marking::after",
		"messages are marked before they are delivered",
		"what was fetched and not delivered, at every restart and every error",
		"set it to true")
	marksErrors = rule("BW022", "receivers::kafka::message_marking::<on_error, on_permanent_error>",
		"messages that failed are marked",
		"each message that the pipeline refuses",
		"set it to false")
	kafkaGivesUp = rule("BW023", "receivers::kafka::error_backoff::<enabled, max_elapsed_time>",
		"a failed message is not tried again, or not without end",
		"the partition stops until a rebalance, and what retention takes meanwhile",
		"set enabled: true, max_elapsed_time: 0s and the intervals")
	latest = rule("BW024", "receivers::<kafka, durable_kafka>::initial_offset",
		"reading begins at the end of a partition",
		"what was produced before the first start, and the first messages of each new partition",
		"set it to earliest")
	epochNotWatched = rule("BW025", "receivers::durable_kafka::durability",
		"nobody watches the backends",
		"the last seconds of a backend that is killed: their offsets are committed at its answer",
		"set extension and backends to those of a durability extension")
	backendNotWatched = rule("BW026", "receivers::durable_kafka::durability::backends",
		"a backend that the pipeline writes to is not among those that are watched",
		"the last seconds of that backend when it is killed",
		"add it, with the endpoint of the exporter, to the durability extension and to this list")
	noDeadLetters = rule("BW027", "receivers::durable_kafka::dead_letter",
		"there is no place for messages that cannot be decoded",
		"such a message stops its partition, and retention takes what is behind it",
		"set topic and directory")
	topicShared = rule("BW028", "receivers::<kafka, durable_kafka>::group_id",
		"two receivers share a group and a topic",
		"each of them gets a part of the partitions only, so each pipeline lacks the others",
		"give each its own group_id")
)

// Processors.
var (
	batches = rule("BW030", "processors::<batch, groupbytrace>",
		"the processor acknowledges at once and keeps data in memory",
		"what is in it when the process ends, and every batch that is refused behind it",
		"remove it; sending_queue::batch makes batches of what is on disk")
	drops = rule("BW031", "processors::<filter, probabilistic_sampler, tail_sampling, logdedup, interval>",
		"the processor drops data",
		"what it is set to drop, without a dead letter",
		"remove it, or filter at the source")
	limiterBehindScraper = rule("BW032", "service::pipelines::<pipeline>::processors",
		"a memory limiter is behind a receiver that does not try again",
		"each scrape that it refuses",
		"take it out of the pipelines of scrapers")
	rejectsToNobody = rule("BW033", "processors::label_preserve::labels[<name>]::on_missing",
		"records without the label are rejected, and nobody keeps them",
		"those records: the receivers drop what is refused for good",
		"set it to mark, or put the processor behind a dead_letter connector")
	attributesDropped = rule("BW034", "processors::label_preserve::limits::overflow",
		"attributes over a limit are dropped",
		"those attributes",
		"set it to json")
)

// Connectors.
var (
	failsOver = rule("BW040", "connectors::failover",
		"a refusal becomes an error of its own, without the records and no longer permanent",
		"the dead letters never get what is refused; it is retried for ever, and retention takes what waits behind it",
		"write to several backends by several groups, each with its own dead_letter connector")
	lettersDiscarded = rule("BW041", "connectors::dead_letter::dead_letter",
		"the pipeline of the dead letters keeps nothing",
		"every record that a backend refuses for good",
		"let it end in dead_letter_store")
	refusalsLost = rule("BW042", "exporters::<victorialogs, remote_write, loki>",
		"no dead_letter connector is in front of the exporter",
		"what the backend refuses for good: receivers drop it or stop their partition",
		"put a dead_letter connector in front of its pipeline")
	connectorQueues = rule("BW043", "connectors::<any>::sending_queue",
		"the connector has a queue",
		"what is in it when the process ends, and what is refused behind it",
		"remove it")
)

// Exporters.
var (
	exporterDoesNotRetry = rule("BW050", "exporters::<any>::retry_on_failure::enabled",
		"a request that fails is not tried again",
		"each request that fails, at the first error",
		"set it to true")
	exporterGivesUp = rule("BW051", "exporters::<any>::retry_on_failure::max_elapsed_time",
		"retries end",
		"a batch that is refused for longer is deleted, from the disk queue, too",
		"set it to 0s")
	memoryQueue = rule("BW052", "exporters::<any>::sending_queue::storage",
		"the queue is in memory",
		"all that is in it when the process ends",
		"set it to a file_storage extension")
	overflowDrops = rule("BW053", "exporters::<any>::sending_queue::block_on_overflow",
		"a full queue refuses",
		"scrapes and what other receivers do not try again, once the queue is full",
		"set it to true")
	queueBehindKafka = rule("BW054", "exporters::<any>::sending_queue",
		"there is a queue behind a receiver of Kafka",
		"what is in it is committed already: the process, its disk or a refusal takes it",
		"set enabled: false; Kafka is the queue")
	refusedByBroker = rule("BW055", "exporters::kafka",
		"the upstream exporter takes an answer of a broker that is not retriable for permanent",
		"all that is sent during the accident of an ACL, a password or a limit of a topic leaves the disk queue",
		"use durable_kafka, it has the same settings")
	acksOfLeader = rule("BW056", "exporters::<kafka, durable_kafka>::producer::required_acks",
		"not all in-sync replicas have to have a message",
		"what the others do not have yet when the leader dies; the producer is not idempotent either",
		"set it to all")
	topicsAutoCreated = rule("BW057", "exporters::<kafka, durable_kafka>::producer::allow_auto_topic_creation",
		"brokers create the topic with their own defaults",
		"that of a topic with one replica, or a short retention",
		"set it to false and run make topics")
	messageTooLarge = rule("BW058", "exporters::<kafka, durable_kafka>::sending_queue::batch::max_size",
		"a batch can be larger than producer::max_message_bytes",
		"such a batch: kafka removes it from the queue, durable_kafka waits with it and all behind it",
		"set batch::sizer: bytes and a max_size below producer::max_message_bytes")
	recordsCut = rule("BW060", "exporters::victorialogs::on_violation::<limit>",
		"records over the limit are cut",
		"what is cut off",
		"set it to otlp, split, stringify or reject, as the README of the exporter has them")
	limitNotLookedAt = rule("BW061", "exporters::<victorialogs, remote_write>::limits::<limit>",
		"a limit of the server is not looked at",
		"what is over it: the server answers 2xx and drops it",
		"set it to what the server has")
	fieldsLeftOut = rule("BW062", "exporters::victorialogs::fields::<source>::<include, exclude>",
		"attributes are left out",
		"those attributes, without a count",
		"remove it")
	serverDrops = rule("BW063", "exporters::remote_write::<exponential_histograms, nan>",
		"data is sent that VictoriaMetrics drops in silence",
		"exponential histograms, or NaN",
		"set it to reject: the dead letters keep them")
	otlpPathDrops = rule("BW064", "exporters::<otlp_http>::<endpoint, logs_endpoint>",
		"VictoriaLogs is written to without its limits",
		"records with too many fields, long names or old timestamps: it answers 200 and drops them",
		"use the victorialogs exporter")
	upstreamRemoteWrite = rule("BW065", "exporters::prometheusremotewrite",
		"the upstream exporter drops what is refused, and data points it cannot translate, with no place for them",
		"each batch that gets a 4xx, delta temporality, exponential histograms",
		"use remote_write behind a dead_letter connector")
	remoteWriteTimesOut = rule("BW066", "exporters::prometheusremotewrite::timeout",
		"it ends all retries, whatever retry_on_failure says",
		"each batch of an outage that is longer",
		"set it to 8760h")
	remoteWriteQueue = rule("BW067", "exporters::prometheusremotewrite::<remote_write_queue::enabled, wal>",
		"the queue is in memory; the write-ahead log can block for ever",
		"all that is in it when the process ends",
		"set enabled: false, and no wal")
	fileExporter = rule("BW068", "exporters::file",
		"a file is written in blocks and without fsync",
		"the last second when the process is killed, and what rotation deletes",
		"remove it from the pipeline, or count it as a copy and ignore this")
	noRedoLog = rule("BW069", "exporters::<victorialogs, loki, remote_write, prometheusremotewrite>",
		"there is no Kafka in front of a backend that answers before it writes to its disk",
		"what it answered for in its last seconds before it was killed",
		"read from Kafka by durable_kafka")
)

// Storage.
var (
	noFsync = rule("BW070", "extensions::file_storage::fsync",
		"the disk is not asked to write",
		"queue and positions of the last seconds before a machine loses its power",
		"set it to true")
	compactsElsewhere = rule("BW071", "extensions::file_storage::compaction::directory",
		"compaction works on another device",
		"the queue, when the process dies while the new file is copied over it",
		"set it to the directory of the extension")
	recreates = rule("BW072", "extensions::file_storage::recreate",
		"a queue that cannot be opened is put aside and begun anew",
		"all that was in it",
		"remove it")
	storageMissing = rule("BW073", "service::extensions",
		"a storage that is used is not started",
		"nothing is read or sent: the start fails",
		"add it to service::extensions")
)

// What watches, and what can be seen.
var (
	windowTooShort = rule("BW080", "extensions::durability::backends::<name>::flush_window",
		"the flush window is shorter than the backend was measured to need",
		"what is settled before the backend has it on its disk",
		"leave it out: the default is 15s, and what the backend says of its flags raises it")
	dropsNotCounted = rule("BW090", "service::telemetry::metrics::<level, readers>",
		"the Collector's own metrics are off",
		"drops, dead letters and lag cannot be seen",
		"set level: normal and a reader")
	gateOff = rule("BW091", "--feature-gates",
		"a feature gate of upstream that keeps data is off",
		"prometheusremotewrite: each batch that gets a 429; file_log: lines in a buffer when the process ends",
		"do not turn it off")
	sourcesMuted = rule("BW092", "service::telemetry::logs::level",
		"warnings and errors are not logged",
		"what is dropped has no line in the log",
		"set it to info")
)

// What is around the process.
var (
	topicMissing = surroundings("BW100", "topic",
		"the topic does not exist",
		"nothing gets through: disk queues fill up",
		"run make topics")
	topicReplicas = surroundings("BW101", "topic: replication factor",
		"there is one replica",
		"all that Kafka holds, when that broker's disk is lost",
		"set it to 3")
	topicMinISR = surroundings("BW102", "topic: min.insync.replicas",
		"one replica is enough to acknowledge",
		"what the others do not have yet when the leader dies",
		"set it to 2")
	topicUnclean = surroundings("BW103", "topic: unclean.leader.election.enable",
		"a replica that is behind may become leader",
		"what it does not have",
		"set it to false")
	topicRetention = surroundings("BW104", "topic: retention.ms",
		"Kafka keeps data for less than the backlog that it has to carry",
		"the oldest data, in an outage behind Kafka that lasts longer",
		"raise it to at least runtime::backlog")
	topicRetentionBytes = surroundings("BW105", "topic: retention.bytes",
		"the size of a partition is bounded",
		"the oldest data, before retention.ms has passed",
		"set it to -1, and give the brokers the disk")
	topicCompacted = surroundings("BW106", "topic: cleanup.policy",
		"the topic is compacted",
		"all but the last message of each key",
		"set it to delete")
	topicMessageBytes = surroundings("BW107", "topic: max.message.bytes",
		"the topic takes smaller messages than the exporter sends",
		"a message in between: the broker refuses it, and it leaves the queue",
		"raise it to producer::max_message_bytes, or to dead_letter::max_message_bytes")
	queueOverDisk = surroundings("BW110", "extensions::file_storage::directory",
		"the queues may grow larger than the disk",
		"nothing can be queued when the disk is full: what does not wait is lost",
		"lower sending_queue::queue_size (BREAKWATER_QUEUE_BYTES), or give it a larger disk")
	storageVolatile = surroundings("BW111", "extensions::file_storage::directory",
		"the directory is in memory (tmpfs)",
		"queue and positions, at every reboot",
		"set it to a directory on a disk")
	queueTooSmall = surroundings("BW112", "exporters::<any>::sending_queue::queue_size",
		"the queue is smaller than a batch can be",
		"a batch that does not fit waits for ever, and all behind it",
		"set it to at least 256000000 bytes")
	backendRetention = surroundings("BW113", "exporters::<victorialogs, remote_write>::limits::max_past",
		"the backend keeps data for less than the backlog that Kafka may carry",
		"after a long outage, the time of a record (victorialogs), or its place in the backend (remote_write: a dead letter)",
		"raise the retention of the backend and limits::max_past to at least runtime::backlog")
	retentionUnknown = surroundings("BW114", "exporters::<victorialogs, remote_write>::limits::max_past",
		"the backend keeps data for less than the exporter believes",
		"records in between: the backend answers 2xx and drops them",
		"set it to the server's -retentionPeriod (VICTORIALOGS_RETENTION, VICTORIAMETRICS_RETENTION)")
)
