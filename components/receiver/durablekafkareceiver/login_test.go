package durablekafkareceiver

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.opentelemetry.io/collector/consumer/consumertest"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/kafka/configkafka"
)

// TestWrongPasswordIsSaid holds that the log says what to look at, and not the password.
func TestWrongPasswordIsSaid(t *testing.T) {
	const mechanism = "SCRAM-SHA-512"
	k := newKafkaWith(t, kfake.NumBrokers(1), kfake.SeedTopics(1, "topic"), kfake.EnableSASL(), kfake.Superuser(mechanism, "consumer", "right"))
	// A broker says so; this cluster would close the connection.
	k.ControlKey(int16(kmsg.SASLAuthenticate), func(request kmsg.Request) (kmsg.Response, error, bool) {
		k.KeepControl()
		response := request.ResponseKind().(*kmsg.SASLAuthenticateResponse)
		response.ErrorCode = kerr.SaslAuthenticationFailed.Code
		return response, nil, true
	})
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
