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

// What lib/flagutil (RetentionDuration) takes: a number of months, of 31 days, or durations one after the other.
var (
	retentionParts = regexp.MustCompile(`^(?:[0-9.]+(?:ms|[smhdwy]))+$`)
	retentionPart  = regexp.MustCompile(`([0-9.]+)(ms|[smhdwy])`)
	retentionUnits = map[string]time.Duration{
		"ms": time.Millisecond, "s": time.Second, "m": time.Minute, "h": time.Hour, "d": day, "w": 7 * day, "y": 365 * day,
	}
)

func parseRetention(text string) (time.Duration, error) {
	parts := [][]string{{text, text, ""}}
	if retentionParts.MatchString(text) {
		parts = retentionPart.FindAllStringSubmatch(text, -1)
	}
	var nanos float64
	for _, part := range parts {
		unit, known := retentionUnits[part[2]]
		if !known {
			unit = 31 * day
		}
		value, err := strconv.ParseFloat(part[1], 64)
		if err != nil || value < 0 {
			return 0, fmt.Errorf("its -retentionPeriod is %q", text)
		}
		nanos += value * float64(unit)
	}
	// More than a Duration holds is for ever.
	return time.Duration(min(nanos, 1<<62)), nil
}
