package harness

import "testing"

// StartFaultProxy starts a FaultProxy for one test. A failed test shows the seed and the faults that happened.
func StartFaultProxy(tb testing.TB, opts FaultProxyOptions) *FaultProxy {
	tb.Helper()
	p, err := NewFaultProxy(opts)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := p.Close(); err != nil {
			tb.Errorf("close: %v", err)
		}
		if tb.Failed() {
			tb.Logf("fault proxy: seed %d, faults %v", opts.Seed, p.Counts())
		}
	})
	return p
}
