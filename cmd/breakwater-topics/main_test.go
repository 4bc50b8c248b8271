package main

import (
	"bytes"
	"net"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What needs a Kafka is tested in integration/topics_test.go.

func none(string) string { return "" }

func TestBrokersComeFromTheFlagOrTheEnvironment(t *testing.T) {
	env := func(name string) string { return map[string]string{"KAFKA_BROKERS": "a:1, b:2"}[name] }
	for _, c := range []struct {
		args   []string
		getenv func(string) string
		want   []string
	}{
		{nil, none, []string{"127.0.0.1:9092"}},
		{nil, env, []string{"a:1", "b:2"}},
		{[]string{"-brokers=c:3"}, env, []string{"c:3"}},
	} {
		opts, err := parse(c.args, c.getenv, &bytes.Buffer{})
		require.NoError(t, err)
		assert.Equal(t, c.want, opts.brokers)
	}
}

func TestWrongArgumentsAreOneLine(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"-brokers="}, "no broker given: set KAFKA_BROKERS or -brokers"},
		{[]string{"-timeout=0s"}, "-timeout must be positive"},
		{[]string{"create"}, `unexpected argument "create"`},
	} {
		var stderr bytes.Buffer
		assert.Equal(t, 1, run(t.Context(), c.args, none, &bytes.Buffer{}, &stderr))
		assert.Equal(t, "breakwater-topics: error: "+c.want+"\n", stderr.String())
	}
}

func TestUnreachableKafkaIsOneLine(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	addr := ln.Addr().String()
	require.NoError(t, ln.Close())

	var stdout, stderr bytes.Buffer
	assert.Equal(t, 1, run(t.Context(), []string{"-brokers=" + addr, "-timeout=1s"}, none, &stdout, &stderr))
	assert.Empty(t, stdout.String())
	assert.Equal(t, 1, strings.Count(stderr.String(), "\n"), stderr.String())
	assert.Contains(t, stderr.String(), "cannot reach Kafka (KAFKA_BROKERS) at "+addr)
	assert.Contains(t, stderr.String(), "connection refused")
}
