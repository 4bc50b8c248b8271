// Package load writes numbered records into a pipeline and knows afterwards what it wrote.
//
// A writer gives each record its name, a number from 0 on and a checksum (harness.FormatLine), and can say later what
// record i was, because a record is a function of the seed and its number. All writers have the same life:
//
//	w, err := load.NewFiles(load.FilesOptions{Common: load.Common{Name: "plain", Rate: 300, Seed: 7}, Dir: dir})
//	err = w.Start()
//	w.SetRate(3000)               // at any time; so do Pause and Resume
//	n := w.Written()              // acknowledged so far
//	accounts, err := w.Stop(ctx)  // ends it; what is still unanswered is repeated until ctx ends
//
// There are:
//
//	NewFiles     lines of a file: Plain, DockerJSON or CRI, rotated by rename or by copying and truncating
//	NewOTLPLogs  pushes of log records by OTLP/HTTP to BaseURL + /v1/logs
//	NewOTLPMetrics  pushes of samples by OTLP/HTTP to BaseURL + /v1/metrics: a gauge and a cumulative counter
//	NewFluentBit one record a message, JSON as Fluent Bit's Kafka output writes it, acks=all
//	NewPoison    messages that cannot be decoded, straight to a topic
//
// What each of them takes is in its Options; Common is in all of them. Lines of 1 MiB are Common.LargeEvery, jumps of the
// clock Common.JumpEvery and Common.Jumps, a burst is SetRate.
//
// # Accounts
//
// Stop returns an Account for each series of numbers: one, but two for NewOTLPMetrics (the gauge, and the counter under
// the name with ".counter" behind it). The numbers 0 to Next-1 were used. Those in Refused never got in: the receiver
// said so, for good. Those in Unanswered may have or not: the writer was stopped before it had an answer. All others
// were acknowledged, and Written counts them. Resent are numbers that were pushed again after a push without an answer;
// a further copy of one of them is the doing of the writer and not of the pipeline.
package load
