// Package durability is what the durability extension tells the durable_kafka
// receiver: which deliveries are on the disk of their backends, and which ones a
// backend may have forgotten.
//
// A backend that answers 2xx may hold the data in memory only. It has an epoch (the
// life of its process) and a flush window (how long after the answer the data is on
// disk). A delivery that was acknowledged at t is settled once a backend has been
// seen alive at t + window or later, in the same epoch as before the delivery began.
package durability

import "time"

// Stamp is the state of the backends before an attempt at a delivery began. Stamps
// are opaque; they are to be compared by Watch.Judge only.
type Stamp struct {
	// Generation counts the epoch changes of all watched backends.
	Generation uint64
	// Seen says that every watched backend had been seen by then. If not, a verdict of Lost does not mean that one was
	// restarted: it may be the process that took the data.
	Seen bool
	// Starting says that a backend answers and is too young to be told from the process before it. The verdict of what is
	// sent now will be Lost; in about two seconds it will be known.
	Starting bool
}

// Verdict is what is known of a delivery that was acknowledged.
type Verdict int

const (
	// Pending says that the data may still be in the memory of a backend, or that a
	// backend cannot be asked.
	Pending Verdict = iota
	// Settled says that every watched backend has the data on disk.
	Settled
	// Lost says that a backend has been restarted since: the data may be gone and has
	// to be delivered again.
	Lost
)

// Watch is the view over a set of backends. Its methods are safe for concurrent use.
type Watch interface {
	// Stamp is to be taken before each attempt at a delivery, not after it.
	Stamp() Stamp
	// Judge says what is known of a delivery whose successful attempt began at the
	// stamp and was acknowledged at acked.
	Judge(stamp Stamp, acked time.Time) Verdict
	// Subscribe returns a channel of capacity 1 that receives a value after each
	// event that may change a verdict, and a function that ends the subscription.
	Subscribe() (events <-chan struct{}, cancel func())
}

// Watcher is implemented by the durability extension.
type Watcher interface {
	// Watch returns the view over the backends of these names, as they are called in
	// the configuration of the extension; all of them when there is no name. A name
	// that is not configured is an error.
	Watch(backends ...string) (Watch, error)
}
