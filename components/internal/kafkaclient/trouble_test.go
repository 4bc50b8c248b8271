package kafkaclient

import (
	"crypto/x509"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

func TestTroubleIsToldOnceAMinuteForEachKind(t *testing.T) {
	core, logs := observer.New(zap.DebugLevel)
	trouble := newTrouble(zap.New(core))
	now := time.Now()
	trouble.now = func() time.Time { return now }
	broker := kgo.BrokerMetadata{Host: "k1", Port: 9093}
	alert := errors.New("remote error: tls: bad certificate")

	trouble.OnBrokerConnect(broker, 0, nil, nil)
	trouble.OnBrokerRead(broker, 0, 0, 0, 0, io.EOF)
	require.Zero(t, logs.Len(), "nothing that is no trouble of this kind")
	for range 3 {
		trouble.OnBrokerConnect(broker, 0, nil, x509.UnknownAuthorityError{})
		trouble.OnBrokerRead(broker, 0, 0, 0, 0, alert)
	}
	require.Equal(t, 2, logs.Len())
	assert.Contains(t, logs.All()[0].Message, "check KAFKA_TLS_CA_FILE")
	assert.Contains(t, logs.All()[1].Message, "check KAFKA_TLS_CERT_FILE")
	assert.Equal(t, "k1:9093", logs.All()[0].ContextMap()["broker"])
	now = now.Add(troubleEvery)
	trouble.OnBrokerRead(broker, 0, 0, 0, 0, alert)
	assert.Equal(t, 3, logs.Len())
}
