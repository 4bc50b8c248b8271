package sources

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/breakwater-otel/breakwater/integration/harness"
)

// requireInLoki holds that Loki has the messages that are wanted, and no others. It shows lines of one stream with the same
// time and text as one, so how often a message is there is a question to VictoriaLogs, and it answers in JSON, which has no
// bytes that are not UTF-8.
func (s *site) requireInLoki(t *testing.T, want []row) {
	wanted := make(map[string]bool)
	for _, r := range want {
		wanted[asJSON(r.message)] = true
	}
	ctx, cancel := context.WithTimeout(t.Context(), arriveTimeout)
	defer cancel()
	query := fmt.Sprintf("{site_name=%q}", siteName(t))
	from, to := time.Now().Add(-48*time.Hour), time.Now().Add(time.Hour)
	err := harness.Eventually(ctx, time.Second, func(ctx context.Context) error {
		entries, err := s.loki.Query(ctx, query, from, to)
		if err != nil {
			return err
		}
		missing := make(map[string]bool, len(wanted))
		for message := range wanted {
			missing[message] = true
		}
		for _, e := range entries {
			message := asJSON(e.Line)
			if !wanted[message] {
				return fmt.Errorf("not wanted: %q", shorten(message))
			}
			delete(missing, message)
		}
		for message := range missing {
			return fmt.Errorf("%d messages are missing, %q is one", len(missing), shorten(message))
		}
		return nil
	})
	require.NoError(t, err, "Loki")
}

var replaced = regexp.MustCompile("\uFFFD+")

// asJSON is a message as it comes back from an answer in JSON: how many bytes one replacement stands for is up to the encoder.
func asJSON(message string) string {
	return replaced.ReplaceAllString(strings.ToValidUTF8(message, "\uFFFD"), "\uFFFD")
}
