package ledger

import (
	"testing"
	"time"

	"github.com/breakwater-otel/breakwater/components/internal/durability"
)

// BenchmarkOutstanding is one entry begun, acknowledged and settled while 100,000
// others wait for their verdict, with a review and a look at what may be committed.
func BenchmarkOutstanding(b *testing.B) {
	const outstanding = 100_000
	l := New(0)
	now := epoch
	judge := func(_ durability.Stamp, acked time.Time) durability.Verdict {
		if now.Sub(acked) >= outstanding*time.Microsecond {
			return durability.Settled
		}
		return durability.Pending
	}
	next := func() {
		e := l.Begin(l.End(), l.End()+1)
		now = now.Add(time.Microsecond)
		l.Ack(e, now1, now)
	}
	for range outstanding {
		next()
	}
	b.ReportAllocs()
	for b.Loop() {
		next()
		if l.Review(judge) {
			b.Fatal("lost")
		}
		_ = l.Committable()
	}
	if l.Acked() > outstanding+1 || l.Acked() < outstanding-1 {
		b.Fatalf("%d outstanding", l.Acked())
	}
}

// BenchmarkMetadata is a commit while 100,000 entries are open, 500 of them merged.
func BenchmarkMetadata(b *testing.B) {
	l := New(0)
	for i := range 100_000 {
		l.Begin(l.End(), l.End()+20).Merged = i%200 == 0
	}
	b.ReportAllocs()
	for b.Loop() {
		if text := l.Metadata(l.End()).Encode(l.Committable()); len(text) < 1000 {
			b.Fatal(text)
		}
	}
}

// BenchmarkRewind is that of a partition with 100,000 entries open, every other one settled.
func BenchmarkRewind(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		l := New(0)
		for i := range 100_000 {
			e := l.Begin(l.End(), l.End()+20)
			if i%2 == 1 {
				l.Resolve(e)
			}
		}
		b.StartTimer()
		l.Rewind()
		if _, ok := l.SettledAt(20); !ok {
			b.Fatal("not settled")
		}
	}
}
