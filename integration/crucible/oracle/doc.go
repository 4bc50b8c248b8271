// Package oracle reads what a pipeline has stored and tells what became of every record that the writers of package
// load wrote.
//
//	report, err := oracle.Check(ctx, accounts, stores, deadLetters)
//
// reads everything once. stores are Sources: one backend for each kind of record, since a record that is found in two
// of them counts as duplicated. For two backends that are to hold the same, check twice.
//
//	oracle.VictoriaLogs{Client: httpClient, URL: "http://127.0.0.1:9428"}
//	oracle.VictoriaMetrics{Client: httpClient, URL: "http://127.0.0.1:8428"}
//	oracle.Loki{Client: httpClient, URL: "http://127.0.0.1:3100"}
//
// deadLetters are DeadLetters:
//
//	oracle.DeadLetterTopic{Kafka: client, Topic: "otel-dlq-v1"}   // *harness.KafkaClient
//	oracle.DeadLetterFiles{Glob: dir + "/*"}
//
// WaitComplete waits until all is there, or until nothing changes any more, and checks then:
//
//	report, waited, err := oracle.WaitComplete(ctx, oracle.Wait{
//		Accounts: accounts, Stores: stores, DeadLetters: deadLetters,
//		FaultEnd: healed, Grace: 20 * time.Second,
//	})
//
// waited.Complete tells which of the two, waited.Recovery the time from FaultEnd until all was there, or to the last
// change. It sees no change before it is called: where the writers go on after the fault, take report.Recovery instead.
// For pictures and progress, Source.Count is cheap: it asks the backend for a number. It counts copies too, and each
// number of a writer of samples is two samples there.
//
// A text is looked for in the line as it was written, plain or in what Docker, a container runtime or Fluent Bit put
// around it, and in two pieces where it was written in two. It is held against the record byte for byte.
//
// # What the numbers mean
//
// A Report has a WriterReport for each account and Totals. Of each record that was acknowledged exactly one is said:
// stored, dead-lettered, corrupted or lost. In the order of how bad it is:
//
//	Lost          nowhere
//	Corrupted     only copies of it were found whose text, value or checksum is not as written
//	Mislabelled   found, with other labels than the account has
//	Retimed       found, with another time than the account has
//	Unwritten     found, and never written, or refused
//	Duplicated    further copies: stored twice, or stored and dead-lettered. What the writer itself pushed twice is in
//	              ResentCopies instead
//	OutOfOrder    pairs of neighbours that the order of the backend reverses
//	DeadLettered  in the dead letters and not stored, by reason; no failure
//
// Report.Err is nil when written = stored + dead-lettered and none of the first five happened.
package oracle
