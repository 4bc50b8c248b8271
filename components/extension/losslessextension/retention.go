package losslessextension

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"time"

	"go.opentelemetry.io/collector/config/confighttp"

	"github.com/breakwater-otel/breakwater/components/internal/lossless"
)

// maxMetricsBytes bounds what is read of the metrics of a backend.
const maxMetricsBytes = 4 << 20

// retentionFlag is how VictoriaLogs and VictoriaMetrics say their flags: flag{name="retentionPeriod", value="7d", …} 1.
var retentionFlag = regexp.MustCompile(`^flag\{name="retentionPeriod", ?value="([^"]*)"`)

// askRetention asks a backend for its -retentionPeriod, with the credentials of the exporter.
func (s *surroundings) askRetention(ctx context.Context, backend lossless.Backend) (time.Duration, error) {
	config := confighttp.NewDefaultClientConfig()
	if err := s.section(backend.Exporter, &config); err != nil {
		return 0, err
	}
	// Those of the exporter are for writing, and their values are not in the effective configuration.
	config.Headers = nil
	config.Compression = ""
	client, err := config.ToClient(ctx, s.host.GetExtensions(), s.settings)
	if err != nil {
		return 0, err
	}
	defer client.CloseIdleConnections()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, backend.MetricsURL, http.NoBody)
	if err != nil {
		return 0, errors.New("`endpoint` makes no URL of metrics")
	}
	response, err := client.Do(request)
	if err != nil {
		return 0, err
	}
	defer func() { _ = response.Body.Close() }() // what counts has been read
	if response.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("status %d", response.StatusCode)
	}
	return readRetention(io.LimitReader(response.Body, maxMetricsBytes))
}

// readRetention finds the flag in metrics.
func readRetention(metrics io.Reader) (time.Duration, error) {
	lines := bufio.NewScanner(metrics)
	lines.Buffer(nil, maxMetricsBytes)
	for lines.Scan() {
		if match := retentionFlag.FindSubmatch(lines.Bytes()); match != nil {
			return parseRetention(string(match[1]))
		}
	}
	if err := lines.Err(); err != nil {
		return 0, err
	}
	return 0, errors.New("its metrics do not have the flag retentionPeriod")
}

const day = 24 * time.Hour

// retentionUnits are those of lib/flagutil (RetentionDuration): no unit is a month, of 31 days.
var retentionUnits = map[byte]time.Duration{'h': time.Hour, 'd': day, 'w': 7 * day, 'y': 365 * day}

func parseRetention(text string) (time.Duration, error) {
	number, unit := text, 31*day
	if n := len(text); n > 0 {
		if u, known := retentionUnits[text[n-1]]; known {
			number, unit = text[:n-1], u
		}
	}
	value, err := strconv.ParseFloat(number, 64)
	if err != nil || value < 0 {
		return 0, fmt.Errorf("its -retentionPeriod is %q", text)
	}
	// More than a Duration holds is for ever.
	if nanos := value * float64(unit); nanos < float64(1<<62) {
		return time.Duration(nanos), nil
	}
	return 1 << 62, nil
}
