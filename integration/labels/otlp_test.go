package labels

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
)

// post sends an OTLP request and returns an error unless all of it was taken.
func post(ctx context.Context, url string, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-protobuf")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s: %s", url, resp.Status, answer)
	}
	return nil
}

func sendLogs(ctx context.Context, base string, logs plog.Logs) error {
	body, err := plogotlp.NewExportRequestFromLogs(logs).MarshalProto()
	if err != nil {
		return err
	}
	return post(ctx, base+"/v1/logs", body)
}

func sendMetrics(ctx context.Context, base string, metrics pmetric.Metrics) error {
	body, err := pmetricotlp.NewExportRequestFromMetrics(metrics).MarshalProto()
	if err != nil {
		return err
	}
	return post(ctx, base+"/v1/metrics", body)
}

// sendRow sends the record of a row to the agent at base.
func sendRow(ctx context.Context, base string, r row) error {
	now := pcommon.NewTimestampFromTime(time.Now())
	if r.kind == logRecord {
		logs := plog.NewLogs()
		rl := logs.ResourceLogs().AppendEmpty()
		record := rl.ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
		record.SetTimestamp(now)
		record.Body().SetStr(r.id)
		if err := fill(r, rl.Resource().Attributes(), record.Attributes()); err != nil {
			return err
		}
		return sendLogs(ctx, base, logs)
	}
	metrics := pmetric.NewMetrics()
	rm := metrics.ResourceMetrics().AppendEmpty()
	m := rm.ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
	m.SetName(r.id)
	var point pcommon.Map
	switch r.kind {
	case gauge:
		p := m.SetEmptyGauge().DataPoints().AppendEmpty()
		p.SetTimestamp(now)
		p.SetIntValue(1)
		point = p.Attributes()
	case sum:
		s := m.SetEmptySum()
		s.SetIsMonotonic(true)
		s.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
		p := s.DataPoints().AppendEmpty()
		p.SetTimestamp(now)
		p.SetIntValue(1)
		point = p.Attributes()
	case histogram:
		h := m.SetEmptyHistogram()
		h.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
		p := h.DataPoints().AppendEmpty()
		p.SetTimestamp(now)
		p.SetCount(3)
		p.SetSum(4)
		p.ExplicitBounds().FromRaw([]float64{1, 2})
		p.BucketCounts().FromRaw([]uint64{1, 1, 1})
		point = p.Attributes()
	case expHistogram:
		h := m.SetEmptyExponentialHistogram()
		h.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
		p := h.DataPoints().AppendEmpty()
		p.SetTimestamp(now)
		p.SetCount(3)
		p.SetSum(4)
		p.Positive().BucketCounts().FromRaw([]uint64{1, 2})
		point = p.Attributes()
	case summary:
		p := m.SetEmptySummary().DataPoints().AppendEmpty()
		p.SetTimestamp(now)
		p.SetCount(3)
		p.SetSum(4)
		q := p.QuantileValues().AppendEmpty()
		q.SetQuantile(0.5)
		q.SetValue(1)
		point = p.Attributes()
	default:
		return fmt.Errorf("unknown kind %s", r.kind)
	}
	if err := fill(r, rm.Resource().Attributes(), point); err != nil {
		return err
	}
	return sendMetrics(ctx, base, metrics)
}

func fill(r row, resource, record pcommon.Map) error {
	if err := resource.FromRaw(r.resource); err != nil {
		return err
	}
	return record.FromRaw(r.record)
}
