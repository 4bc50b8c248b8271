package kafkaclient

import (
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"

	"github.com/breakwater-otel/breakwater/internal/kafkaenv"
)

// troubleEvery is how often one kind of trouble is logged.
const troubleEvery = time.Minute

// trouble tells of connections that fail for certificates, and what to look at. The client itself tells of them at
// debug, and tries again.
type trouble struct {
	logger *zap.Logger
	now    func() time.Time

	mu   sync.Mutex
	last map[string]time.Time // by the advice
}

var (
	_ kgo.HookBrokerConnect = (*trouble)(nil)
	_ kgo.HookBrokerRead    = (*trouble)(nil)
)

func newTrouble(logger *zap.Logger) *trouble {
	return &trouble{logger: logger, now: time.Now, last: map[string]time.Time{}}
}

// OnBrokerConnect is told of every attempt, the handshake included.
func (t *trouble) OnBrokerConnect(broker kgo.BrokerMetadata, _ time.Duration, _ net.Conn, err error) {
	t.tell(broker, err)
}

// OnBrokerRead is told of every answer. With TLS 1.3 a broker refuses our certificate after the handshake.
func (t *trouble) OnBrokerRead(broker kgo.BrokerMetadata, _ int16, _ int, _, _ time.Duration, err error) {
	t.tell(broker, err)
}

func (t *trouble) tell(broker kgo.BrokerMetadata, err error) {
	if err == nil {
		return
	}
	advice := kafkaenv.Advice(err)
	if advice == "" {
		return
	}
	now := t.now()
	t.mu.Lock()
	last, told := t.last[advice]
	again := told && now.Sub(last) < troubleEvery
	if !again {
		t.last[advice] = now
	}
	t.mu.Unlock()
	if !again {
		t.logger.Error("Kafka cannot be used: "+advice, zap.String("broker", net.JoinHostPort(broker.Host, strconv.Itoa(int(broker.Port)))), zap.Error(err))
	}
}
