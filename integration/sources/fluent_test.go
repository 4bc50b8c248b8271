package sources

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// MessagePack, as far as the forward protocol needs it.

func packArray(b []byte, n int) []byte {
	return binary.BigEndian.AppendUint16(append(b, 0xdc), uint16(n))
}

func packMap(b []byte, n int) []byte { return append(b, 0x80|byte(n)) }

func packString(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint32(append(b, 0xdb), uint32(len(s))), s...)
}

func packBinary(b, data []byte) []byte {
	return append(binary.BigEndian.AppendUint32(append(b, 0xc6), uint32(len(data))), data...)
}

// packTime is an EventTime: extension type 0, seconds and nanoseconds.
func packTime(b []byte, at time.Time) []byte {
	b = binary.BigEndian.AppendUint32(append(b, 0xd7, 0x00), uint32(at.Unix()))
	return binary.BigEndian.AppendUint32(b, uint32(at.Nanosecond()))
}

// fluentClient sends as Fluent Bit and Fluentd do, and waits for the acknowledgement of each chunk.
type fluentClient struct {
	t        *testing.T
	endpoint string
	conn     net.Conn
	at       time.Time
}

func (c *fluentClient) connect() {
	if c.conn != nil {
		_ = c.conn.Close()
	}
	conn, err := net.Dial("tcp", c.endpoint)
	require.NoError(c.t, err)
	c.t.Cleanup(func() { _ = conn.Close() })
	require.NoError(c.t, conn.SetDeadline(time.Now().Add(time.Minute)))
	c.conn = conn
}

func (c *fluentClient) entry(b []byte, message string) []byte {
	b = packTime(packArray(b, 2), c.at)
	b = packMap(b, 4)
	b = packString(packString(b, "log"), message)
	b = packString(packString(b, "stream"), "stderr")
	b = packString(packString(b, "service_name"), "web")
	b = packMap(packString(b, "kubernetes"), 1)
	return packString(packString(b, "pod_name"), "web-1")
}

func (c *fluentClient) options(b []byte, chunk string, more ...string) []byte {
	b = packMap(b, 1+len(more)/2)
	b = packString(packString(b, "chunk"), chunk)
	for _, text := range more {
		b = packString(b, text)
	}
	return b
}

func (c *fluentClient) send(b []byte) {
	_, err := c.conn.Write(b)
	require.NoError(c.t, err)
}

// ack reads {"ack": chunk}, which is 0x81, the strings "ack" and chunk.
func (c *fluentClient) ack(chunk string) {
	want := append([]byte{0x81, 0xa3}, "ack"...)
	want = append(append(want, 0xa0|byte(len(chunk))), chunk...)
	got := make([]byte, len(want))
	_, err := io.ReadFull(c.conn, got)
	require.NoError(c.t, err)
	require.Equal(c.t, want, got)
}

func testFluentForward(t *testing.T, s *site) {
	endpoint := freeEndpoint(t)
	agent := s.agent(t, map[string]string{"HOST_NAME": hostName, "FLUENT_FORWARD_ENDPOINT": endpoint}, "fluent-forward")
	c := &fluentClient{t: t, endpoint: endpoint, at: time.Unix(time.Now().Unix()-60, 678901234)}
	c.connect()
	var want []row
	expect := func(format string, args ...any) string {
		message := fmt.Sprintf(format, args...)
		want = append(want, row{message, "stderr"})
		return message
	}
	packed := func(name string, n int) []byte {
		var entries []byte
		for i := range n {
			entries = c.entry(entries, expect("%s %d 漢字", name, i))
		}
		return entries
	}
	forward := func(chunk, message string) []byte {
		b := packArray(packString(packArray(nil, 3), "app.web"), 1)
		return c.options(c.entry(b, message), chunk)
	}

	// Message mode is an entry with the tag before it.
	b := packString(packArray(nil, 4), "app.web")
	c.send(c.options(append(b, c.entry(nil, expect("message"))[3:]...), "message"))
	c.ack("message")
	c.send(forward("forward", expect("forward")))
	c.ack("forward")
	c.send(c.options(packBinary(packString(packArray(nil, 3), "app.web"), packed("packed", 500)), "packed"))
	c.ack("packed")
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	_, err := w.Write(packed("gzip", 500))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	c.send(c.options(packBinary(packString(packArray(nil, 3), "app.web"), zipped.Bytes()), "gzip", "compressed", "gzip"))
	c.ack("gzip")

	// What is acknowledged survives a kill at once after it. It may be there twice: Kafka has it, and the queue does not know.
	s.awaitSent(t, agent)
	for i := range 3 {
		chunk := fmt.Sprintf("kill %d", i)
		c.send(forward(chunk, expect("%s", chunk)))
		c.ack(chunk)
		require.NoError(t, agent.Kill())
		require.NoError(t, agent.Start(t.Context()))
		c.connect()
	}
	// A client that has lost the acknowledgement sends again, and the record is there once.
	c.send(forward("twice", expect("twice")))
	c.ack("twice")
	c.connect()
	c.send(forward("twice", "twice"))
	c.ack("twice")
	require.NoError(t, agent.Stop(t.Context()))
	require.NoError(t, agent.Start(t.Context()))
	c.connect()
	c.send(forward("end", expect("end")))
	c.ack("end")

	rows := s.requireRows(t, want, func(message string) bool { return strings.HasPrefix(message, "kill ") })
	for _, r := range rows {
		assert.Equal(t, `{env="test",host_name="edge-7",service_name="web",site_name="fluent_forward",stream="stderr"}`, r["_stream"])
	}
	requireFields(t, rowOf(t, rows, "message"), map[string]string{
		"fluent.tag": "app.web", "kubernetes.pod_name": "web-1", "_time": c.at.UTC().Format(time.RFC3339Nano),
	})
}
