package ledger

import "context"

// Place is a partition as a consumer group reads it.
type Place struct {
	Group     string
	Topic     string
	Partition int32
}

// Assignment is a partition that has come to a consumer.
type Assignment struct {
	Place
	// Committed is what the group has committed, or -1; End is where the partition ended when it was assigned.
	Committed, End int64
	// TopicID is another one when the topic was deleted and made again. Empty: it is not known.
	TopicID string
	// Fresh: nothing of the partition was read or deleted before.
	Fresh bool
}

// Message is one that is settled: a backend has it on disk, or the dead letters.
type Message struct {
	Offset  int64
	Stamp   []byte // the header; nil for one without
	Dead    uint64 // how many of its records are dead letters
	AllDead bool   // all of them, as the message could not be decoded
}

// Settlement is the progress of a partition.
type Settlement struct {
	Assignment *Assignment // one for each time that the partition comes to the consumer
	// Restarts counts how often, since the assignment, the log of the partition turned out to be another one than what was
	// read: offsets have other messages now, from RestartedAt on.
	Restarts    int
	RestartedAt int64
	// Forgotten: of the messages before that offset some are in no Settlement.
	Forgotten int64
	// Offset is behind the last settled message, all before which are settled, too. Messages are those since the last
	// Settlement that have stamps, in order.
	Offset   int64
	Messages []Message
}

// Accountant keeps the account. The ledger extension of the consumer implements it.
type Accountant interface {
	// Settled enters what is settled. It is called before the offsets are committed, and returns when the entries are in
	// Kafka, too, or after a short time: then they are written with the next.
	Settled(ctx context.Context, settlements []Settlement)
	// Watch says that a group reads topics: its accounts are to be shown.
	Watch(group string, topics []string)
}
