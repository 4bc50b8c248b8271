package sources

import (
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func testSyslog(t *testing.T, s *site) {
	ca := newAuthority(t)
	cert, key := ca.files(t, "syslog")
	env := map[string]string{
		"SYSLOG_UDP_ENDPOINT":       freeEndpoint(t),
		"SYSLOG_TCP_ENDPOINT":       freeEndpoint(t),
		"SYSLOG_TLS_ENDPOINT":       freeEndpoint(t),
		"SYSLOG_TLS_CERT_FILE":      cert,
		"SYSLOG_TLS_KEY_FILE":       key,
		"SYSLOG_TLS_CLIENT_CA_FILE": ca.file(t),
		"SYSLOG_TLS_OCTET_COUNTING": "true",
	}
	agent := s.agent(t, env, "syslog", "syslog-tls")
	now := time.Now().UTC().Truncate(time.Microsecond) // RFC 5424 has no more digits
	rfc5424 := func(host, message string) string {
		return fmt.Sprintf(`<165>1 %s %s router 42 ID47 [meta@32473 sequence="7" note="a \"quote\""] %s`, now.Format("2006-01-02T15:04:05.000000Z07:00"), host, message)
	}
	rfc3164 := func(host, message string) string {
		return fmt.Sprintf("<34>%s %s su[230]: %s", now.Format(time.Stamp), host, message)
	}
	var want []row
	expect := func(message string) string {
		want = append(want, row{message: message})
		return message
	}

	udp, err := net.Dial("udp", env["SYSLOG_UDP_ENDPOINT"])
	require.NoError(t, err)
	tcp, err := net.Dial("tcp", env["SYSLOG_TCP_ENDPOINT"])
	require.NoError(t, err)
	client, err := tls.Dial("tcp", env["SYSLOG_TLS_ENDPOINT"], &tls.Config{
		RootCAs: ca.pool(), ServerName: "127.0.0.1", Certificates: []tls.Certificate{ca.issue(t, "sender")},
	})
	require.NoError(t, err)
	send := func(conn net.Conn, text string) {
		_, err := conn.Write([]byte(text))
		require.NoError(t, err)
	}
	for i := range 100 {
		send(udp, rfc5424("udp-5424", expect(fmt.Sprintf("udp 5424 %d", i))))
		send(udp, rfc3164("udp-3164", expect(fmt.Sprintf("udp 3164 %d", i))))
		send(tcp, rfc5424("tcp-5424", expect(fmt.Sprintf("tcp 5424 %d", i)))+"\n")
		send(tcp, rfc3164("tcp-3164", expect(fmt.Sprintf("tcp 3164 %d", i)))+"\n")
		framed := rfc5424("tls-5424", expect(fmt.Sprintf("tls 5424 %d", i)))
		send(client, fmt.Sprintf("%d %s", len(framed), framed))
	}
	send(tcp, expect("neither of them, and kept as it is: ünïcödé")+"\n")
	send(tcp, rfc5424("tcp-5424", expect("long "+strings.Repeat("x", 100_000)))+"\n")

	// Without a certificate of the authority a sender gets nowhere.
	_, err = handshake(env["SYSLOG_TLS_ENDPOINT"], ca)
	require.Error(t, err)

	// SIGTERM and start: the senders connect again, as syslog daemons do.
	s.rows(t, len(want))
	require.NoError(t, agent.Stop(t.Context()))
	for _, conn := range []net.Conn{tcp, client} {
		_ = conn.Close()
	}
	require.NoError(t, agent.Start(t.Context()))
	tcp, err = net.Dial("tcp", env["SYSLOG_TCP_ENDPOINT"])
	require.NoError(t, err)
	send(tcp, rfc5424("tcp-5424", expect("after the restart"))+"\n")
	send(udp, rfc5424("udp-5424", expect("after the restart, udp")))
	require.NoError(t, tcp.Close())
	require.NoError(t, udp.Close())

	rows := s.requireRows(t, want)
	for _, host := range []string{"udp-5424", "tcp-5424", "tls-5424"} {
		transport, _, _ := strings.Cut(host, "-")
		r := rowOf(t, rows, transport+" 5424 7")
		requireFields(t, r, map[string]string{
			"_stream": fmt.Sprintf(`{env="test",host_name=%q,service_name="router",site_name="syslog"}`, host),
			"appname": "router", "hostname": host, "proc_id": "42", "msg_id": "ID47", "severity_text": "notice",
			"facility": "20", "structured_data.meta@32473.sequence": "7", "structured_data.meta@32473.note": `a "quote"`,
		})
		at, err := time.Parse(time.RFC3339Nano, r["_time"])
		require.NoError(t, err)
		assert.True(t, at.Equal(now), "%s is not %s", at, now)
	}
	for _, transport := range []string{"udp", "tcp"} {
		requireFields(t, rowOf(t, rows, transport+" 3164 7"), map[string]string{
			"_stream": fmt.Sprintf(`{env="test",host_name="%s-3164",service_name="su",site_name="syslog"}`, transport),
			"appname": "su", "proc_id": "230", "severity_text": "crit", "_time": now.Truncate(time.Second).Format("2006-01-02T15:04:05Z"),
		})
	}
}

// handshake connects without a certificate of its own and reads until the server says what it thinks of that.
func handshake(address string, ca *authority) (int, error) {
	conn, err := tls.Dial("tcp", address, &tls.Config{RootCAs: ca.pool(), ServerName: "127.0.0.1"})
	if err != nil {
		return 0, err
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return 0, err
	}
	n, err := conn.Read(make([]byte, 1))
	if os.IsTimeout(err) {
		return n, nil
	}
	return n, err
}
