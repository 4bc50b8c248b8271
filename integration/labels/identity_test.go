package labels

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/breakwater-otel/breakwater/integration/harness"
)

// TestIdentity holds, at VictoriaMetrics behind remote write and in every output form, that a job set at the source is the
// job of the series, and that where none is set remote write derives it.
func TestIdentity(t *testing.T) {
	backend := harness.StartVictoriaMetrics(t, harness.VictoriaMetricsOptions{})
	b := harness.StartBreakwater(t, harness.BreakwaterOptions{
		Configs: []string{dir + "identity.yaml"},
		Env:     map[string]string{"VICTORIAMETRICS_ENDPOINT": backend.URL()},
	})
	service := attrs{"service.name": "checkout", "service.namespace": "shop"}
	ways := []string{"underscore", "dotted", "both", "no_job", "only_job"}
	want := make(map[string]labelsOf)
	for _, tt := range []struct {
		name     string
		resource attrs
		job      string
		instance string
	}{
		{"job_set", with(service, attrs{"job": "nightly"}), "nightly", ""},
		{"job_equal", with(service, attrs{"job": "shop/checkout"}), "shop/checkout", ""},
		{"job_derived", service, "shop/checkout", ""},
		{"instance", with(service, attrs{"job": "nightly", "service.instance.id": "pod-1"}), "nightly", "pod-1"},
	} {
		r := row{&scenario{resource: tt.resource}, gauge, tt.name}
		require.NoError(t, sendRow(t.Context(), b.OTLPHTTP(), r))
		for _, way := range ways {
			labels := labelsOf{"service_name": "checkout", "service_namespace": "shop", "job": tt.job}
			if tt.instance != "" {
				labels["instance"] = tt.instance
			}
			want[tt.name+" "+way] = labels
		}
	}

	ctx, cancel := context.WithTimeout(t.Context(), arriveTimeout)
	defer cancel()
	got := make(map[string]labelsOf)
	err := harness.Eventually(ctx, time.Second, func(ctx context.Context) error {
		clear(got)
		if err := backend.Flush(ctx); err != nil {
			return err
		}
		series, err := backend.Series(ctx, `{way!="",__name__!="target_info"}`)
		if err != nil {
			return err
		}
		for _, s := range series {
			labels := labelsOf{}
			for _, name := range declared {
				if s[name] != "" {
					labels[name] = s[name]
				}
			}
			got[s["__name__"]+" "+s["way"]] = labels
		}
		if len(got) < len(want) {
			return fmt.Errorf("%d series of %d", len(got), len(want))
		}
		return nil
	})
	assert.NoError(t, err)
	assert.Equal(t, want, got)
}
