package durablekafkareceiver

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestDeliversAndCommits(t *testing.T) {
	k := newKafka(t, 2, "logs")
	k.text(t, "logs", 0, 0, 100)
	k.text(t, "logs", 1, 0, 50)
	next, watch := &sink{}, &fakeWatch{}
	r := start(t, k.config("logs"), next, watch)
	next.waitTaken(t, "logs", 0, 0, 100)
	next.waitTaken(t, "logs", 1, 0, 50)

	at, m := k.commitOf(t, "logs", 0)
	assert.EqualValues(t, 0, at, "nothing is settled")
	assert.GreaterOrEqual(t, m.Reserved, int64(100))
	watch.settleTo(t, k, "logs", 0, 100)
	k.waitCommit(t, "logs", 1, 50)
	for message, count := range next.counts() {
		assert.Equal(t, 1, count, message)
	}
	for _, g := range next.taken() {
		assert.False(t, g.redelivered)
	}
	r.stop(t)
	require.Zero(t, r.bytes.Load())
}
