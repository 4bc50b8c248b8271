package durablefluentforwardreceiver

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/tinylib/msgp/msgp"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/receiver/receivertest"
)

const waitFor = 10 * time.Second

// next is a pipeline that can be made to refuse, or to keep its caller waiting.
type next struct {
	mu     sync.Mutex
	bodies []string
	logs   []plog.Logs
	refuse int           // so many times
	gate   chan struct{} // waited for, unless nil
}

func (n *next) consume(ctx context.Context, logs plog.Logs) error {
	if n.gate != nil {
		select {
		case <-n.gate:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.refuse > 0 {
		n.refuse--
		return errors.New("refused")
	}
	n.logs = append(n.logs, logs)
	for _, record := range logs.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().All() {
		n.bodies = append(n.bodies, record.Body().AsString())
	}
	return nil
}

func (n *next) taken() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]string(nil), n.bodies...)
}

func start(t *testing.T, n *next, change func(*Config)) *fluentReceiver {
	config := createDefaultConfig().(*Config)
	config.Endpoint = "127.0.0.1:0"
	config.RetryOnFailure.InitialInterval = time.Millisecond
	config.ShutdownTimeout = 100 * time.Millisecond
	if change != nil {
		change(config)
	}
	require.NoError(t, config.Validate())
	consume, err := consumer.NewLogs(n.consume)
	require.NoError(t, err)
	r, err := newReceiver(config, receivertest.NewNopSettings(component.MustNewType("durable_fluent_forward")), consume)
	require.NoError(t, err)
	require.NoError(t, r.Start(t.Context(), componenttest.NewNopHost()))
	t.Cleanup(func() { assert.NoError(t, r.Shutdown(context.Background())) })
	return r
}

// client speaks the protocol.
type client struct {
	t    *testing.T
	conn net.Conn
	in   *msgp.Reader
}

func dial(t *testing.T, r *fluentReceiver) *client {
	conn, err := net.Dial("tcp", r.listener.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(waitFor)))
	return &client{t: t, conn: conn, in: msgp.NewReader(conn)}
}

func (c *client) send(messages ...[]byte) {
	_, err := c.conn.Write(bytes.Join(messages, nil))
	require.NoError(c.t, err)
}

func (c *client) ack() string {
	answer, err := c.in.ReadIntf()
	require.NoError(c.t, err)
	fields := answer.(map[string]any)
	require.Len(c.t, fields, 1)
	return fields["ack"].(string)
}

// closed holds that the server closes the connection and answers nothing.
func (c *client) closed() {
	_, err := c.in.ReadIntf()
	require.Error(c.t, err)
	netErr, ok := errors.AsType[net.Error](err)
	assert.False(c.t, ok && netErr.Timeout(), "the connection is still open")
}

// Builders of messages. An event time is an extension of type 0.

var at = time.Unix(1767323045, 678901234)

func eventTimeOf(b []byte, at time.Time) []byte {
	b = append(b, 0xd7, 0x00)
	b = binary.BigEndian.AppendUint32(b, uint32(at.Unix()))
	return binary.BigEndian.AppendUint32(b, uint32(at.Nanosecond()))
}

func recordOf(b []byte, fields ...string) []byte {
	b = msgp.AppendMapHeader(b, uint32(len(fields)/2))
	for _, text := range fields {
		b = msgp.AppendString(b, text)
	}
	return b
}

func entriesOf(texts ...string) []byte {
	var b []byte
	for _, text := range texts {
		b = msgp.AppendArrayHeader(b, 2)
		b = eventTimeOf(b, at)
		b = recordOf(b, "log", text)
	}
	return b
}

func optionsOf(b []byte, pairs ...string) []byte {
	b = msgp.AppendMapHeader(b, uint32(len(pairs)/2)+1)
	b = msgp.AppendInt(msgp.AppendString(b, "size"), 2)
	for _, text := range pairs {
		b = msgp.AppendString(b, text)
	}
	return b
}

func packed(entries []byte, pairs ...string) []byte {
	b := msgp.AppendArrayHeader(nil, 3)
	b = msgp.AppendString(b, "app.tag")
	b = msgp.AppendBytes(b, entries)
	return optionsOf(b, pairs...)
}

func forward(chunk string, texts ...string) []byte {
	b := msgp.AppendArrayHeader(nil, 3)
	b = msgp.AppendString(b, "app.tag")
	b = msgp.AppendArrayHeader(b, uint32(len(texts)))
	b = append(b, entriesOf(texts...)...)
	return optionsOf(b, "chunk", chunk)
}

func message(text string) []byte {
	b := msgp.AppendArrayHeader(nil, 3)
	b = msgp.AppendString(b, "app.tag")
	b = eventTimeOf(b, at)
	return recordOf(b, "message", text)
}

func gzipped(t *testing.T, entries ...[]byte) []byte {
	var b bytes.Buffer
	for _, part := range entries {
		w := gzip.NewWriter(&b)
		_, err := w.Write(part)
		require.NoError(t, err)
		require.NoError(t, w.Close())
	}
	return b.Bytes()
}

// TestModes holds that each mode arrives, in order, and is answered for when it asks for that.
func TestModes(t *testing.T) {
	n := &next{}
	c := dial(t, start(t, n, nil))
	zstdWriter, err := zstd.NewWriter(nil)
	require.NoError(t, err)
	asString := msgp.AppendArrayHeader(nil, 2)
	asString = msgp.AppendString(asString, "app.tag")
	asString = msgp.AppendStringFromBytes(asString, entriesOf("string"))

	c.send(message("message"), asString,
		forward("one", "forward 1", "forward 2"),
		packed(entriesOf("packed 1", "packed 2"), "chunk", "two"),
		packed(gzipped(t, entriesOf("gzip 1"), entriesOf("gzip 2")), "chunk", "three", "compressed", "gzip"),
		packed(zstdWriter.EncodeAll(entriesOf("zstd"), nil), "chunk", "four", "compressed", "zstd"))
	for _, chunk := range []string{"one", "two", "three", "four"} {
		assert.Equal(t, chunk, c.ack())
	}
	assert.Equal(t, []string{"message", "string", "forward 1", "forward 2", "packed 1", "packed 2", "gzip 1", "gzip 2", "zstd"}, n.taken())
	record := n.logs[0].ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0)
	assert.Equal(t, at.UnixNano(), record.Timestamp().AsTime().UnixNano())
	assert.Equal(t, map[string]any{tagAttribute: "app.tag"}, record.Attributes().AsRaw())
}

// TestRecord holds what becomes of each type of a time and of a value.
func TestRecord(t *testing.T) {
	entry := func(time func([]byte) []byte) []byte {
		b := msgp.AppendArrayHeader(nil, 2)
		b = time(b)
		b = msgp.AppendMapHeader(b, 8)
		b = msgp.AppendString(msgp.AppendString(b, "message"), "second to log")
		b = msgp.AppendBytes(msgp.AppendString(b, "log"), []byte("not UTF-8 \xff"))
		b = msgp.AppendUint64(msgp.AppendString(b, "large"), 1<<63)
		b = msgp.AppendInt64(msgp.AppendString(b, "negative"), -1)
		b = msgp.AppendFloat32(msgp.AppendString(b, "half"), 0.5)
		b = msgp.AppendNil(msgp.AppendString(b, "nothing"))
		b = recordOf(msgp.AppendString(b, "kubernetes"), "pod_name", "web-1")
		b = msgp.AppendArrayHeader(msgp.AppendString(b, "list"), 2)
		return msgp.AppendBool(msgp.AppendBytes(b, []byte("x")), true)
	}
	times := map[string]struct {
		encode func([]byte) []byte
		want   time.Time
	}{
		"event time": {func(b []byte) []byte { return eventTimeOf(b, at) }, at},
		"ext 8": {func(b []byte) []byte {
			return append(append(b, 0xc7, 8, 0), eventTimeOf(nil, at)[2:]...)
		}, at},
		"seconds": {func(b []byte) []byte { return msgp.AppendInt64(b, 17) }, time.Unix(17, 0)},
		"float":   {func(b []byte) []byte { return msgp.AppendFloat64(b, 17.5) }, time.Unix(17, 500_000_000)},
		"none":    {msgp.AppendNil, time.Unix(0, 0)},
		"with metadata": {func(b []byte) []byte {
			return recordOf(eventTimeOf(msgp.AppendArrayHeader(b, 2), at), "severity", "warn")
		}, at},
	}
	for name, test := range times {
		t.Run(name, func(t *testing.T) {
			records := plog.NewLogRecordSlice()
			opts, err := appendMessage(records, packed(entry(test.encode), "chunk", "c"), 1<<20)
			require.NoError(t, err)
			assert.Equal(t, "c", opts.chunk)
			require.Equal(t, 1, records.Len())
			assert.Equal(t, test.want.UnixNano(), records.At(0).Timestamp().AsTime().UnixNano())
			assert.Equal(t, "not UTF-8 \xff", records.At(0).Body().Str())
			want := map[string]any{
				tagAttribute: "app.tag", "message": "second to log", "large": "9223372036854775808", "negative": int64(-1),
				"half": 0.5, "nothing": nil, "kubernetes": map[string]any{"pod_name": "web-1"}, "list": []any{"x", true},
			}
			if name == "with metadata" {
				want["fluent.metadata.severity"] = "warn"
			}
			assert.Equal(t, want, records.At(0).Attributes().AsRaw())
		})
	}
}

// TestAcknowledgedWhenTaken holds that there is no answer while the pipeline refuses or has not answered itself.
func TestAcknowledgedWhenTaken(t *testing.T) {
	n := &next{refuse: 3, gate: make(chan struct{})}
	c := dial(t, start(t, n, nil))
	c.send(forward("one", "a"))
	require.NoError(t, c.conn.SetReadDeadline(time.Now().Add(50*time.Millisecond)))
	_, err := c.conn.Read(make([]byte, 1))
	netErr, ok := errors.AsType[net.Error](err)
	require.True(t, ok && netErr.Timeout(), "answered before the pipeline: %v", err)
	require.NoError(t, c.conn.SetReadDeadline(time.Now().Add(waitFor)))
	close(n.gate)
	assert.Equal(t, "one", c.ack())
	assert.Equal(t, []string{"a"}, n.taken())
}

// TestRepeatedChunk holds that a client that lost the answer, or gave up waiting for it, sends nothing twice.
func TestRepeatedChunk(t *testing.T) {
	n := &next{gate: make(chan struct{})}
	r := start(t, n, nil)
	first := dial(t, r)
	first.send(forward("one", "a"))
	require.Eventually(t, func() bool {
		r.chunks.mu.Lock()
		defer r.chunks.mu.Unlock()
		return len(r.chunks.taking) == 1
	}, waitFor, time.Millisecond)
	require.NoError(t, first.conn.Close())
	second := dial(t, r)
	second.send(forward("one", "a"), forward("two", "b"))
	close(n.gate)
	assert.Equal(t, "one", second.ack())
	assert.Equal(t, "two", second.ack())
	assert.Equal(t, []string{"a", "b"}, n.taken())

	// The name of a chunk that was seen to be answered can come again, and is meant.
	second.send(forward("one", "c"))
	assert.Equal(t, "one", second.ack())
	assert.Equal(t, []string{"a", "b", "c"}, n.taken())
}

// TestRefused holds that what is not of the protocol closes the connection, after what came before it is taken, and takes
// nothing from others.
func TestRefused(t *testing.T) {
	bomb := packed(gzipped(t, make([]byte, 1<<20)), "compressed", "gzip", "chunk", "bomb")
	for name, bad := range map[string][]byte{
		"no MessagePack":      {0xc1},
		"HTTP":                []byte("GET / HTTP/1.1\r\n\r\n"),
		"too large":           append(msgp.AppendString(msgp.AppendArrayHeader(nil, 2), "tag"), 0xc6, 0xff, 0xff, 0xff, 0xff),
		"too large unzipped":  bomb,
		"unknown compression": packed(nil, "compressed", "lzma", "chunk", "bad"),
		"not gzip":            packed([]byte("text"), "compressed", "gzip", "chunk", "bad"),
		"a record of text":    packed(msgp.AppendString(eventTimeOf(msgp.AppendArrayHeader(nil, 2), at), "text"), "chunk", "bad"),
		"a time of text":      packed(recordOf(msgp.AppendString(msgp.AppendArrayHeader(nil, 2), "now"), "log", "x"), "chunk", "bad"),
		"cut entries":         packed(entriesOf("x")[:12], "chunk", "bad"),
	} {
		t.Run(name, func(t *testing.T) {
			n := &next{}
			r := start(t, n, func(c *Config) { c.MaxMessageBytes = 128 << 10 })
			other := dial(t, r)
			c := dial(t, r)
			c.send(forward("good", "a"), bad)
			assert.Equal(t, "good", c.ack())
			c.closed()
			other.send(forward("other", "b"))
			assert.Equal(t, "other", other.ack())
			assert.Equal(t, []string{"a", "b"}, n.taken())
		})
	}
}

// TestShutdown holds that what is under way is finished and answered for, and that what is not taken is not answered for.
func TestShutdown(t *testing.T) {
	n := &next{gate: make(chan struct{})}
	r := start(t, n, func(c *Config) { c.ShutdownTimeout = time.Minute })
	c := dial(t, r)
	c.send(forward("one", "a"))
	taking := func() bool {
		r.chunks.mu.Lock()
		defer r.chunks.mu.Unlock()
		return len(r.chunks.taking) == 1
	}
	require.Eventually(t, taking, waitFor, time.Millisecond)
	time.AfterFunc(20*time.Millisecond, func() { close(n.gate) })
	require.NoError(t, r.Shutdown(t.Context()))
	assert.Equal(t, "one", c.ack())

	stuck := &next{gate: make(chan struct{})}
	r = start(t, stuck, nil)
	c = dial(t, r)
	c.send(forward("one", "a"))
	require.Eventually(t, taking, waitFor, time.Millisecond)
	require.NoError(t, r.Shutdown(t.Context()))
	c.closed()
}

func FuzzMessage(f *testing.F) {
	f.Add(forward("one", "a"))
	f.Add(packed(entriesOf("a", "b"), "chunk", "two"))
	f.Add(message("text"))
	f.Fuzz(func(t *testing.T, data []byte) {
		in := frames{from: bytes.NewReader(data), maxBytes: 1 << 16}
		for {
			object, err := in.next()
			if err != nil {
				return
			}
			rest, err := msgp.Skip(object)
			require.NoError(t, err, "an object that is whole")
			require.Empty(t, rest, "and one only")
			_, _ = appendMessage(plog.NewLogRecordSlice(), object, 1<<16)
		}
	})
}
