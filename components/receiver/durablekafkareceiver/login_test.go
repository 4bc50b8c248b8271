package durablekafkareceiver

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"go.opentelemetry.io/collector/consumer/consumertest"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/kafka/configkafka"
)

// TestWrongPasswordIsSaid holds that the log says what to look at, and not the password.
func TestWrongPasswordIsSaid(t *testing.T) {
	const mechanism = "SCRAM-SHA-512"
	k := newKafkaWith(t, kfake.NumBrokers(1), kfake.SeedTopics(1, "topic"), kfake.EnableSASL(), kfake.Superuser(mechanism, "consumer", "right"))
	config := k.config("topic")
	config.Authentication.SASL = &configkafka.SASLConfig{Mechanism: mechanism, Username: "consumer", Password: "hunter2"}
	r := start(t, config, new(consumertest.LogsSink), nil)
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		var said string
		for _, entry := range r.logs.All() {
			said += entry.Message + fmt.Sprint(entry.ContextMap()) + "\n"
		}
		assert.NotContains(t, said, "hunter2")
		require.Contains(c, said, "check KAFKA_SASL_USERNAME, KAFKA_SASL_PASSWORD_FILE and KAFKA_SASL_MECHANISM")
	}, waitFor, tick)
}
