package labelpreserveprocessor

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/client"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pipeline"
	"go.opentelemetry.io/collector/processor/processorhelper"
	"go.opentelemetry.io/collector/processor/processortest"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"

	"github.com/breakwater-otel/breakwater/components/processor/labelpreserveprocessor/internal/metadata"
	"github.com/breakwater-otel/breakwater/components/processor/labelpreserveprocessor/internal/metadatatest"
)

// startedFor is startedProcessor for a signal.
func startedFor(t testing.TB, signal pipeline.Signal, config string) *labelPreserve {
	t.Helper()
	cfg := parseConfig(t, config)
	require.NoError(t, cfg.Validate())
	lp, err := newLabelPreserve(processortest.NewNopSettings(metadata.Type), cfg, signal)
	require.NoError(t, err)
	require.NoError(t, lp.start(t.Context(), componenttest.NewNopHost()))
	return lp
}

// gaugesOf returns one gauge with a data point for each of points.
func gaugesOf(resource map[string]any, points ...map[string]any) pmetric.Metrics {
	metrics := pmetric.NewMetrics()
	rm := metrics.ResourceMetrics().AppendEmpty()
	mustFromRaw(rm.Resource().Attributes(), resource)
	m := rm.ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
	m.SetName("a_gauge")
	slice := m.SetEmptyGauge().DataPoints()
	for _, point := range points {
		mustFromRaw(slice.AppendEmpty().Attributes(), point)
	}
	return metrics
}

func metricGroupsOf(metrics pmetric.Metrics) []group {
	var groups []group
	for _, rm := range metrics.ResourceMetrics().All() {
		g := group{resource: rm.Resource().Attributes().AsRaw()}
		for _, sm := range rm.ScopeMetrics().All() {
			for _, m := range sm.Metrics().All() {
				for _, point := range pointsOf(m) {
					g.records = append(g.records, point.AsRaw())
				}
			}
		}
		groups = append(groups, g)
	}
	return groups
}

func TestLogs(t *testing.T) {
	t.Setenv("BREAKWATER_TEST_SITE", "from env")
	metadata := client.NewContext(t.Context(), client.Info{Metadata: client.NewMetadata(map[string][]string{
		"site_name": {"", "from header"}, "x-team": {"a\xffb"},
	})})
	for _, tt := range []struct {
		name   string
		config string
		in     plog.Logs
		want   []group
	}{
		{
			"preset: job from the two others, stream on the record only",
			`preset: article`,
			logsOf(attrs{"service.name": "api", "service.namespace": "shop", "deployment.environment": "prod"}, attrs{"log.iostream": "stderr"}, attrs{"stream": "stdout"}),
			[]group{{
				attrs{"service_name": "api", "service_namespace": "shop", "env": "prod", "job": "shop/api"},
				[]attrs{
					{"service_name": "api", "service_namespace": "shop", "env": "prod", "job": "shop/api", "stream": "stderr"},
					{"service_name": "api", "service_namespace": "shop", "env": "prod", "job": "shop/api", "stream": "stdout"},
				},
			}},
		},
		{
			"preset: a job set at the source stays",
			`preset: article`,
			logsOf(attrs{"service.name": "api", "job": "nightly"}, attrs{}),
			[]group{{attrs{"service_name": "api", "job": "nightly"}, []attrs{{"service_name": "api", "job": "nightly"}}}},
		},
		{
			"preset: one label changed keeps its aliases, another one follows",
			"preset: article\nlabels: [{name: env, default: none}, {name: team, from: [{source: static, value: core}]}]",
			logsOf(attrs{"deployment.environment.name": "prod"}, attrs{}),
			[]group{{attrs{"env": "prod", "team": "core"}, []attrs{{"env": "prod", "team": "core"}}}},
		},
		{
			"a label that is not on the resource is removed there when all records have it",
			`labels: [{name: stream, write_to: [record]}]`,
			logsOf(attrs{"stream": "stdout"}, attrs{}, attrs{"stream": "stderr"}),
			[]group{{attrs{}, []attrs{{"stream": "stdout"}, {"stream": "stderr"}}}},
		},
		{
			"and stays when a record does not take it",
			`labels: [{name: stream, write_to: [record], from: [{source: record}]}]`,
			logsOf(attrs{"stream": "stdout"}, attrs{}, attrs{"stream": "stderr"}),
			[]group{{attrs{"stream": "stdout"}, []attrs{{}, {"stream": "stderr"}}}},
		},
		{
			"and when there is no record",
			`labels: [{name: stream, write_to: [record]}]`,
			logsOf(attrs{"stream": "stdout"}),
			[]group{{attrs{"stream": "stdout"}, nil}},
		},
		{
			"to the resource only: the records no longer have it",
			"labels: [{name: a}]\nwrite_to: {logs: [resource]}",
			logsOf(attrs{}, attrs{"a": "1", "x": "y"}, attrs{"a": "2"}),
			[]group{{attrs{"a": "1"}, []attrs{{"x": "y"}}}, {attrs{"a": "2"}, []attrs{{}}}},
		},
		{
			"to the record only: nothing is split",
			"labels: [{name: a}]\nwrite_to: {logs: [record]}",
			logsOf(attrs{"a": "0"}, attrs{"a": "1"}, attrs{}),
			[]group{{attrs{}, []attrs{{"a": "1"}, {"a": "0"}}}},
		},
		{
			"underscore",
			"labels: [{name: service.name}, {name: host_name}]\noutput_form: {logs: underscore}",
			logsOf(attrs{"service.name": "api"}, attrs{"host.name": "h"}),
			[]group{{attrs{"service_name": "api", "host_name": "h"}, []attrs{{"service_name": "api", "host_name": "h"}}}},
		},
		{
			"dotted",
			"labels: [{name: service_name}, {name: k8s.pod_name}, {name: job}]\noutput_form: {logs: dotted}",
			logsOf(attrs{"service_name": "api", "job": "j"}, attrs{"k8s_pod_name": "p"}),
			[]group{{
				attrs{"service.name": "api", "k8s.pod_name": "p", "job": "j"},
				[]attrs{{"service.name": "api", "k8s.pod_name": "p", "job": "j"}},
			}},
		},
		{
			"both, and no alias beside",
			"labels: [{name: service_name, aliases: [service.name, svc]}]\noutput_form: {logs: both}",
			logsOf(nil, attrs{"svc": "api"}, attrs{"service.name": "api"}),
			[]group{{
				attrs{"service_name": "api", "service.name": "api"},
				[]attrs{{"service_name": "api", "service.name": "api"}, {"service_name": "api", "service.name": "api"}},
			}},
		},
		{
			"the form of another signal",
			"labels: [{name: service_name}]\noutput_form: {metrics: dotted, traces: both}",
			logsOf(attrs{"service.name": "api"}, attrs{}),
			[]group{{attrs{"service_name": "api"}, []attrs{{"service_name": "api"}}}},
		},
		{
			"precedence: resource before record",
			"labels: [{name: a}]\nprecedence: [resource, record]",
			logsOf(attrs{"a": "resource"}, attrs{"a": "record"}),
			[]group{{attrs{"a": "resource"}, []attrs{{"a": "resource"}}}},
		},
		{
			"precedence: the stamp first, whatever the order of from",
			"labels: [{name: a, from: [{source: record}, {source: resource}, {source: env, key: BREAKWATER_TEST_SITE}]}]\nprecedence: [stamp, record, resource]",
			logsOf(attrs{"a": "resource"}, attrs{"a": "record"}),
			[]group{{attrs{"a": "from env"}, []attrs{{"a": "from env"}}}},
		},
		{
			"precedence of a label before that of all",
			"labels: [{name: a, precedence: [record, resource]}, {name: b}]\nprecedence: [resource, record]",
			logsOf(attrs{"a": "resource", "b": "resource"}, attrs{"a": "record", "b": "record"}),
			[]group{{attrs{"a": "record", "b": "resource"}, []attrs{{"a": "record", "b": "resource"}}}},
		},
		{
			"without precedence the order of from",
			`labels: [{name: a, from: [{source: resource}, {source: env, key: BREAKWATER_TEST_SITE}]}]`,
			logsOf(attrs{"a": "resource"}, attrs{}),
			[]group{{attrs{"a": "resource"}, []attrs{{"a": "resource"}}}},
		},
		{
			"precedence adds the scope, and a join is asked last",
			"labels: [{name: b}, {name: a, from: [{source: join, labels: [b]}, {source: record}]}]\nprecedence: [record, resource]",
			logsOf(attrs{"b": "joined"}, attrs{"a": "record"}),
			[]group{{attrs{"a": "record", "b": "joined"}, []attrs{{"a": "record", "b": "joined"}}}},
		},
		{
			"the context: name, alias and key, and never bytes that are not UTF-8",
			`labels: [{name: site.name, from: [{source: context}, {source: record}]}, {name: team, from: [{source: context, key: X-Team}]}]`,
			logsOf(nil, attrs{"site.name": "record"}),
			[]group{{
				attrs{"site.name": "from header", "team": "a\ufffdb"},
				[]attrs{{"site.name": "from header", "team": "a\ufffdb"}},
			}},
		},
		{
			"mark",
			`labels: [{name: a, required: true}, {name: b, on_missing: mark}, {name: c}]`,
			logsOf(nil, attrs{"x": "y"}, attrs{"a": "1"}, attrs{"a": "1", "b": "2"}),
			[]group{
				{attrs{}, []attrs{{"x": "y", "missing_labels": "a,b"}}},
				{attrs{"a": "1"}, []attrs{{"a": "1", "missing_labels": "b"}}},
				{attrs{"a": "1", "b": "2"}, []attrs{{"a": "1", "b": "2"}}},
			},
		},
		{
			"required with a default takes it",
			`labels: [{name: a, required: true, default: d}]`,
			logsOf(nil, attrs{}),
			[]group{{attrs{"a": "d"}, []attrs{{"a": "d"}}}},
		},
		{
			"the value that lost: of the resource, of an alias, of the context",
			"labels: [{name: a, aliases: [b]}, {name: site_name, from: [{source: record}, {source: context}]}]\nkeep_conflicts: true",
			logsOf(attrs{"a": "resource"}, attrs{"a": "record"}, attrs{"b": "alias", "a": "name"}, attrs{"site_name": "record"}),
			[]group{
				{attrs{"a": "record", "site_name": "from header"}, []attrs{{"a": "record", "a.conflict": "resource", "site_name": "from header"}}},
				{attrs{"a": "name", "site_name": "from header"}, []attrs{{"a": "name", "a.conflict": "alias", "site_name": "from header"}}},
				{attrs{"a": "resource", "site_name": "record"}, []attrs{{"a": "resource", "site_name": "record", "site_name.conflict": "from header"}}},
			},
		},
		{
			"the value that lost is kept of one label and not of another",
			"labels: [{name: a, keep_conflict: false}, {name: b}]\nkeep_conflicts: true",
			logsOf(attrs{"a": "1", "b": "1"}, attrs{"a": "2", "b": "2"}),
			[]group{{attrs{"a": "2", "b": "2"}, []attrs{{"a": "2", "b": "2", "b.conflict": "1"}}}},
		},
		{
			"provenance",
			`
labels:
  - name: site_name
    from: [{source: env, key: BREAKWATER_TEST_SITE}]
  - name: service_name
  - name: env
    default: none
  - name: job
    from: [{source: record}, {source: join, labels: [site_name, service_name]}]
  - name: zone
provenance: {enabled: true}
`,
			logsOf(attrs{"service.name": "api"}, attrs{}, attrs{"label_sources": "written by the agent"}),
			[]group{{
				attrs{"site_name": "from env", "service_name": "api", "env": "none", "job": "from env/api"},
				[]attrs{
					{
						"site_name": "from env", "service_name": "api", "env": "none", "job": "from env/api",
						"label_sources": "site_name=env:BREAKWATER_TEST_SITE,service_name=resource:service.name,env=default,job=join",
					},
					{
						"site_name": "from env", "service_name": "api", "env": "none", "job": "from env/api",
						"label_sources": "written by the agent",
					},
				},
			}},
		},
		{
			"a key that VictoriaLogs would not store, on the record and on the resource",
			"labels: [{name: a}]\nlimits: {max_log_key_bytes: 8}",
			logsOf(attrs{"resource.key": "1", "a": "x"}, attrs{"record.key": []any{"v"}, "short": "2"}, attrs{}),
			[]group{{
				attrs{"a": "x"},
				[]attrs{
					{"a": "x", "short": "2", "overflow_labels": `{"record.key":"[\"v\"]","resource.key":"1"}`},
					{"a": "x", "overflow_labels": `{"resource.key":"1"}`},
				},
			}},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			lp := startedFor(t, pipeline.SignalLogs, tt.config)
			got, err := lp.processLogs(metadata, tt.in)
			require.NoError(t, err)
			assert.Equal(t, tt.want, groupsOf(got))
		})
	}
}

func TestMetrics(t *testing.T) {
	long := strings.Repeat("é", 20) // 40 bytes
	for _, tt := range []struct {
		name   string
		config string
		in     pmetric.Metrics
		want   []group
	}{
		{
			"no job is declared: what remote write derives it from stays on the resource",
			`labels: [{name: service_name}, {name: service_namespace}]`,
			gaugesOf(attrs{"service.name": "api", "service.namespace": "shop"}, attrs{}),
			[]group{{
				attrs{"service_name": "api", "service.name": "api", "service_namespace": "shop", "service.namespace": "shop"},
				[]attrs{{"service_name": "api", "service_namespace": "shop"}},
			}},
		},
		{
			"no job is declared, and the resource has one",
			`labels: [{name: service_name}]`,
			gaugesOf(attrs{"service.name": "api", "job": "nightly"}, attrs{}),
			[]group{{attrs{"service_name": "api", "job": "nightly"}, []attrs{{"service_name": "api"}}}},
		},
		{
			"a job is there: nothing to derive it from",
			`preset: article`,
			gaugesOf(attrs{"service.name": "api", "job": "nightly"}, attrs{}),
			[]group{{attrs{"service_name": "api", "job": "nightly"}, []attrs{{"service_name": "api", "job": "nightly"}}}},
		},
		{
			"no label is for metrics",
			`labels: [{name: stream, signals: [logs]}]`,
			gaugesOf(attrs{"stream": "r"}, attrs{"stream": "p"}),
			[]group{{attrs{"stream": "r"}, []attrs{{"stream": "p"}}}},
		},
		{
			"dotted, and the job is what remote write derives",
			"preset: article\noutput_form: {metrics: dotted}",
			gaugesOf(attrs{"service.name": "api", "service.namespace": "shop"}, attrs{}),
			[]group{{
				attrs{"service.name": "api", "service.namespace": "shop", "job": "shop/api"},
				[]attrs{{"service.name": "api", "service.namespace": "shop", "job": "shop/api"}},
			}},
		},
		{
			"dotted, and the job is another one",
			"preset: article\noutput_form: {metrics: dotted}",
			gaugesOf(attrs{"service.name": "api", "job": "nightly"}, attrs{}),
			[]group{{
				attrs{"service_name": "api", "job": "nightly"},
				[]attrs{{"service.name": "api", "job": "nightly"}},
			}},
		},
		{
			"both, and the job of one point is another one",
			"preset: article\noutput_form: {metrics: both}",
			gaugesOf(attrs{"service.name": "api"}, attrs{"job": "nightly"}, attrs{}),
			[]group{
				{attrs{"service_name": "api", "job": "nightly"}, []attrs{{"service_name": "api", "service.name": "api", "job": "nightly"}}},
				{attrs{"service_name": "api", "service.name": "api", "job": "api"}, []attrs{{"service_name": "api", "service.name": "api", "job": "api"}}},
			},
		},
		{
			"job declared and service.name not: it is renamed where it would overwrite",
			`labels: [{name: job}]`,
			gaugesOf(attrs{"service.name": "api", "job": "nightly"}, attrs{}),
			[]group{{attrs{"service_name": "api", "job": "nightly"}, []attrs{{"job": "nightly"}}}},
		},
		{
			"and kept where it would not",
			`labels: [{name: job}]`,
			gaugesOf(attrs{"service.name": "api", "job": "api"}, attrs{}),
			[]group{{attrs{"service.name": "api", "job": "api"}, []attrs{{"job": "api"}}}},
		},
		{
			"the instance likewise",
			`labels: [{name: service_instance_id}, {name: instance}]`,
			gaugesOf(attrs{"service.instance.id": "pod-1", "instance": "host:9100"}, attrs{}),
			[]group{{
				attrs{"service_instance_id": "pod-1", "instance": "host:9100"},
				[]attrs{{"service_instance_id": "pod-1", "instance": "host:9100"}},
			}},
		},
		{
			"no instance: what it is derived from stays",
			`labels: [{name: service_instance_id}, {name: instance}]`,
			gaugesOf(attrs{"service_instance_id": "pod-1"}, attrs{}),
			[]group{{
				attrs{"service_instance_id": "pod-1", "service.instance.id": "pod-1"},
				[]attrs{{"service_instance_id": "pod-1"}},
			}},
		},
		{
			"too many labels: the last of the resource go first, then those of the point",
			"labels: [{name: a}, {name: job}]\nlimits: {max_labels: 8}",
			// With its name, a and job a series has room for 4 and for what is evicted.
			gaugesOf(attrs{"a": "1", "job": "j", "r1": "1", "r2": "2"}, attrs{"p1": "1"}, attrs{"p1": "1", "p2": "2", "p3": "3", "p4": "4", "p5": "5"}),
			[]group{
				{attrs{"a": "1", "job": "j", "r1": "1", "r2": "2"}, []attrs{{"a": "1", "job": "j", "p1": "1"}}},
				{attrs{"a": "1", "job": "j"}, []attrs{{
					"a": "1", "job": "j", "p1": "1", "p2": "2", "p3": "3", "p4": "4", "overflow_labels": `{"p5":"5","r1":"1","r2":"2"}`,
				}}},
			},
		},
		{
			"and dropped when nobody wants them",
			"labels: [{name: job}]\nlimits: {max_labels: 7, overflow: drop}",
			gaugesOf(attrs{"job": "j", "r1": "1"}, attrs{"p1": "1", "p2": "2", "p3": "3", "p4": "4", "p5": "5"}),
			[]group{{attrs{"job": "j"}, []attrs{{"job": "j", "p1": "1", "p2": "2", "p3": "3", "p4": "4", "p5": "5"}}}},
		},
		{
			"a second processor adds to what the first has evicted",
			"labels: [{name: job}]\nlimits: {max_labels: 7}",
			gaugesOf(nil, attrs{"job": "j", "p1": "1", "p2": "2", "p3": "3", "p4": "4", "p5": "5", "overflow_labels": `{"z":"0"}`}),
			[]group{{attrs{"job": "j"}, []attrs{{"job": "j", "p1": "1", "p2": "2", "p3": "3", "p4": "4", "overflow_labels": `{"z":"0","p5":"5"}`}}}},
		},
		{
			"a name and a value that are too long, and what cannot be kept",
			"labels: [{name: job}]\nlimits: {max_name_bytes: 20, max_value_bytes: 30}",
			gaugesOf(attrs{"job": "j"}, attrs{"a.name.of.more.than.20": "v", "value": strings.Repeat("v", 31)}),
			[]group{{attrs{"job": "j"}, []attrs{{"job": "j", "overflow_labels": ""}}}},
		},
		{
			"a label that is too long is cut between two runes, everywhere alike",
			"labels: [{name: a}]\nlimits: {max_value_bytes: 31}",
			gaugesOf(attrs{"a": long}, attrs{}, attrs{"a": long}),
			[]group{{attrs{"a": long[:30]}, []attrs{{"a": long[:30]}, {"a": long[:30]}}}},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			lp := startedFor(t, pipeline.SignalMetrics, tt.config)
			got, err := lp.processMetrics(t.Context(), tt.in)
			require.NoError(t, err)
			want := tt.want
			for i := range want {
				for j := range want[i].records {
					if want[i].records[j]["overflow_labels"] == "" {
						delete(want[i].records[j], "overflow_labels")
					}
				}
			}
			assert.Equal(t, want, metricGroupsOf(got))

			again := pmetric.NewMetrics()
			got.CopyTo(again)
			again, err = lp.processMetrics(t.Context(), again)
			require.NoError(t, err)
			assert.Equal(t, want, metricGroupsOf(again), "a second processor on the way changes nothing")
		})
	}
}

// A series has the same labels whatever else is in its batch.
func TestEvictionIsStable(t *testing.T) {
	const config = "preset: article\nlimits: {max_labels: 20}"
	resource := attrs{"service.name": "api"}
	for i := range 12 {
		resource[fmt.Sprintf("r%02d", i)] = "r"
	}
	var points []attrs
	for i := range 12 {
		point := attrs{"id": fmt.Sprint(i)}
		for j := range i {
			point[fmt.Sprintf("p%02d", j)] = "p"
		}
		points = append(points, point)
	}
	// The labels of a series: those of its resource and of its point.
	series := func(metrics pmetric.Metrics) map[string]attrs {
		all := make(map[string]attrs)
		for _, g := range metricGroupsOf(metrics) {
			for _, r := range g.records {
				labels := attrs{}
				for k, v := range g.resource {
					labels[k] = v
				}
				for k, v := range r {
					labels[k] = v
				}
				assert.LessOrEqual(t, len(labels)+1, 20, "with the name of the metric")
				all[labels["id"].(string)] = labels
			}
		}
		return all
	}
	lp := startedFor(t, pipeline.SignalMetrics, config)
	together, err := lp.processMetrics(t.Context(), gaugesOf(resource, points...))
	require.NoError(t, err)
	want := series(together)
	require.Len(t, want, len(points))
	for i, point := range points {
		alone, err := lp.processMetrics(t.Context(), gaugesOf(resource, point))
		require.NoError(t, err)
		assert.Equal(t, want[fmt.Sprint(i)], series(alone)[fmt.Sprint(i)])
		assert.Equal(t, "api", want[fmt.Sprint(i)]["service_name"])
	}
}

func TestSpanEventsAndLinks(t *testing.T) {
	newTraces := func() ptrace.Traces {
		traces := ptrace.NewTraces()
		rs := traces.ResourceSpans().AppendEmpty()
		rs.Resource().Attributes().PutStr("service.name", "api")
		span := rs.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
		event := span.Events().AppendEmpty()
		event.Attributes().PutStr("service.name", "other")
		event.Attributes().PutStr("exception.type", "E")
		span.Links().AppendEmpty().Attributes().PutStr("link", "1")
		return traces
	}
	for _, tt := range []struct {
		config            string
		event, link, span attrs
	}{
		{
			"labels: [{name: service_name}]\nkeep_conflicts: true",
			attrs{"service_name": "api", "service_name.conflict": "other", "exception.type": "E"}, attrs{"link": "1"}, attrs{"service_name": "api"},
		},
		{
			"labels: [{name: service_name}]\nwrite_to: {traces: [resource, record, event, link]}",
			attrs{"service_name": "api", "exception.type": "E"}, attrs{"link": "1", "service_name": "api"}, attrs{"service_name": "api"},
		},
		{
			"labels: [{name: service_name}]\nwrite_to: {traces: [resource]}",
			attrs{"service.name": "other", "exception.type": "E"}, attrs{"link": "1"}, attrs{},
		},
		{
			"labels: [{name: service_name}]\noutput_form: {traces: dotted}",
			attrs{"service.name": "api", "exception.type": "E"}, attrs{"link": "1"}, attrs{"service.name": "api"},
		},
	} {
		lp := startedFor(t, pipeline.SignalTraces, tt.config)
		got, err := lp.processTraces(t.Context(), newTraces())
		require.NoError(t, err)
		span := got.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0)
		assert.Equal(t, tt.span, span.Attributes().AsRaw(), tt.config)
		assert.Equal(t, tt.event, span.Events().At(0).Attributes().AsRaw(), tt.config)
		assert.Equal(t, tt.link, span.Links().At(0).Attributes().AsRaw(), tt.config)
	}
}

// failing is a consumer that fails as it is told and keeps what it was given.
type failing struct {
	consumertest.LogsSink
	err error
}

func (f *failing) ConsumeLogs(ctx context.Context, logs plog.Logs) error {
	seen := plog.NewLogs()
	logs.CopyTo(seen)
	_ = f.LogsSink.ConsumeLogs(ctx, seen)
	return f.err
}

func (f *failing) Capabilities() consumer.Capabilities { return consumer.Capabilities{} }

const rejectConfig = `labels: [{name: site_name, on_missing: reject}, {name: service_name}]`

func rejectInput() plog.Logs {
	logs := logsOf(attrs{"service.name": "api"}, attrs{"n": "1"}, attrs{"n": "2", "site.name": "a"}, attrs{"n": "3"})
	mustFromRaw(logs.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty().Attributes(), attrs{"n": "4"})
	return logs
}

var (
	rejectedGroups = []group{
		{attrs{"service.name": "api"}, []attrs{{"n": "1"}, {"n": "3"}}},
		{attrs{}, []attrs{{"n": "4"}}},
	}
	deliveredGroup = group{attrs{"site_name": "a", "service_name": "api"}, []attrs{{"n": "2", "site_name": "a", "service_name": "api"}}}
)

// Records that lack the label go back to the sender as they came, the others go on, and whatever becomes of these, none
// is lost.
func TestReject(t *testing.T) {
	transient := errors.New("not now")
	permanent := consumererror.NewPermanent(errors.New("never"))
	part := logsOf(attrs{"part": "of what was delivered"}, attrs{"n": "2"})
	partGroups := groupsOf(part)
	for _, tt := range []struct {
		name      string
		err       error
		permanent bool
		carried   []group
		counted   int64
	}{
		{"delivered", nil, true, rejectedGroups, 3},
		{"failed for good", permanent, true, append(append([]group{}, rejectedGroups...), deliveredGroup), 3},
		{"failed for now", transient, false, append(append([]group{}, rejectedGroups...), deliveredGroup), 0},
		{"a part failed for now", consumererror.NewLogs(transient, part), false, append(append([]group{}, rejectedGroups...), partGroups...), 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tel := componenttest.NewTelemetry()
			defer func() { require.NoError(t, tel.Shutdown(context.Background())) }()
			next := &failing{err: tt.err}
			proc, err := NewFactory().CreateLogs(t.Context(), metadatatest.NewSettings(tel), parseConfig(t, rejectConfig), next)
			require.NoError(t, err)
			require.NoError(t, proc.Start(t.Context(), componenttest.NewNopHost()))
			defer func() { require.NoError(t, proc.Shutdown(context.Background())) }()

			in := rejectInput()
			err = proc.ConsumeLogs(t.Context(), in)
			require.Error(t, err)
			assert.Equal(t, tt.permanent, consumererror.IsPermanent(err))
			if tt.err != nil {
				assert.ErrorIs(t, err, tt.err)
			}
			if tt.permanent {
				assert.ErrorContains(t, err, "3 without `site_name`")
			}
			assert.Equal(t, []group{deliveredGroup}, groupsOf(next.AllLogs()[0]))
			carrier, ok := errors.AsType[consumererror.Logs](err)
			require.True(t, ok)
			assert.Equal(t, tt.carried, groupsOf(carrier.Data()))
			if tt.err != nil {
				assert.ElementsMatch(t, append([]group{deliveredGroup}, rejectedGroups...), groupsOf(in), "a caller that tries its own data again tries all of it")
			}

			if tt.counted == 0 {
				_, err := tel.GetMetric("otelcol_processor_label_preserve_rejected")
				assert.Error(t, err, "nothing is counted before it is reported")
				return
			}
			metadatatest.AssertEqualProcessorLabelPreserveRejected(t, tel, []metricdata.DataPoint[int64]{{
				Attributes: attribute.NewSet(attribute.String("processor", "label_preserve"),
					attribute.String("otel.signal", "logs"), attribute.String("label", "site_name")),
				Value: tt.counted,
			}}, metricdatatest.IgnoreTimestamp())
		})
	}
}

// When all records are rejected there is nothing to deliver.
func TestRejectAll(t *testing.T) {
	next := new(failing)
	proc, err := NewFactory().CreateLogs(t.Context(), processortest.NewNopSettings(metadata.Type), parseConfig(t, rejectConfig), next)
	require.NoError(t, err)
	require.NoError(t, proc.Start(t.Context(), componenttest.NewNopHost()))
	err = proc.ConsumeLogs(t.Context(), logsOf(attrs{"r": "1"}, attrs{"n": "1"}))
	assert.True(t, consumererror.IsPermanent(err))
	carrier, ok := errors.AsType[consumererror.Logs](err)
	require.True(t, ok)
	assert.Equal(t, []group{{attrs{"r": "1"}, []attrs{{"n": "1"}}}}, groupsOf(carrier.Data()))
	assert.Empty(t, next.AllLogs())
	require.NoError(t, proc.ConsumeLogs(t.Context(), logsOf(attrs{"site_name": "a"}, attrs{})))
	assert.Len(t, next.AllLogs(), 1)
	require.NoError(t, proc.Shutdown(t.Context()))
}

func TestRejectMetricsAndTraces(t *testing.T) {
	set := processortest.NewNopSettings(metadata.Type)
	for _, fails := range []error{nil, errors.New("not now")} {
		metricsNext := new(consumertest.MetricsSink)
		var next consumer.Metrics = metricsNext
		if fails != nil {
			next = consumertest.NewErr(fails)
		}
		mp, err := NewFactory().CreateMetrics(t.Context(), set, parseConfig(t, rejectConfig), next)
		require.NoError(t, err)
		require.NoError(t, mp.Start(t.Context(), componenttest.NewNopHost()))
		in := gaugesOf(attrs{"service.name": "api"}, attrs{"n": "1"}, attrs{"n": "2", "site.name": "a"})
		err = mp.ConsumeMetrics(t.Context(), in)
		assert.Equal(t, fails == nil, consumererror.IsPermanent(err))
		metricsCarrier, ok := errors.AsType[consumererror.Metrics](err)
		require.True(t, ok)
		got := metricGroupsOf(metricsCarrier.Data())
		assert.Equal(t, group{attrs{"service.name": "api"}, []attrs{{"n": "1"}}}, got[0])
		if fails == nil {
			assert.Equal(t, 1, metricsNext.DataPointCount())
			assert.Len(t, got, 1)
		} else {
			assert.Equal(t, 2, metricsCarrier.Data().DataPointCount())
			assert.Equal(t, 2, in.DataPointCount())
		}
		require.NoError(t, mp.Shutdown(t.Context()))

		traces := ptrace.NewTraces()
		spans := traces.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans()
		spans.AppendEmpty().SetName("without")
		spans.AppendEmpty().Attributes().PutStr("site_name", "a")
		tracesNext := new(consumertest.TracesSink)
		var nextTraces consumer.Traces = tracesNext
		if fails != nil {
			nextTraces = consumertest.NewErr(fails)
		}
		tp, err := NewFactory().CreateTraces(t.Context(), set, parseConfig(t, rejectConfig), nextTraces)
		require.NoError(t, err)
		require.NoError(t, tp.Start(t.Context(), componenttest.NewNopHost()))
		err = tp.ConsumeTraces(t.Context(), traces)
		assert.Equal(t, fails == nil, consumererror.IsPermanent(err))
		tracesCarrier, ok := errors.AsType[consumererror.Traces](err)
		require.True(t, ok)
		assert.Equal(t, "without", tracesCarrier.Data().ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).Name())
		if fails == nil {
			assert.Equal(t, 1, tracesCarrier.Data().SpanCount())
			assert.Equal(t, 1, tracesNext.SpanCount())
		} else {
			assert.Equal(t, 2, tracesCarrier.Data().SpanCount())
			assert.Equal(t, 2, traces.SpanCount())
		}
		require.NoError(t, tp.Shutdown(t.Context()))
	}
}

func TestCountersOfLimitsAndDefaults(t *testing.T) {
	tel := componenttest.NewTelemetry()
	defer func() { require.NoError(t, tel.Shutdown(context.Background())) }()
	cfg := parseConfig(t, `
labels: [{name: a}, {name: team, default: core}]
limits: {max_labels: 10, max_value_bytes: 40, max_name_bytes: 20}
`)
	proc, err := NewFactory().CreateMetrics(t.Context(), metadatatest.NewSettings(tel), cfg, consumertest.NewNop())
	require.NoError(t, err)
	require.NoError(t, proc.Start(t.Context(), componenttest.NewNopHost()))
	many := attrs{"a": strings.Repeat("a", 41)}
	for i := range 10 {
		many[fmt.Sprintf("p%d", i)] = "v"
	}
	require.NoError(t, proc.ConsumeMetrics(t.Context(), gaugesOf(nil, many, attrs{"value": strings.Repeat("v", 41), "a.name.of.more.than.20": "v", "team": "edge"})))
	require.NoError(t, proc.Shutdown(t.Context()))

	common := []attribute.KeyValue{attribute.String("processor", "label_preserve"), attribute.String("otel.signal", "metrics")}
	label := func(name string, n int64) metricdata.DataPoint[int64] {
		return metricdata.DataPoint[int64]{Attributes: attribute.NewSet(append(common, attribute.String("label", name))...), Value: n}
	}
	evicted := func(reason, outcome string, n int64) metricdata.DataPoint[int64] {
		return metricdata.DataPoint[int64]{Attributes: attribute.NewSet(append(common, attribute.String("reason", reason), attribute.String("outcome", outcome))...), Value: n}
	}
	metadatatest.AssertEqualProcessorLabelPreserveDefaulted(t, tel, []metricdata.DataPoint[int64]{label("team", 1)}, metricdatatest.IgnoreTimestamp())
	metadatatest.AssertEqualProcessorLabelPreserveTruncated(t, tel, []metricdata.DataPoint[int64]{label("a", 1)}, metricdatatest.IgnoreTimestamp())
	metadatatest.AssertEqualProcessorLabelPreserveEvicted(t, tel, []metricdata.DataPoint[int64]{
		// Too many are 5: to the 10 come a, team, the name, the job that remote write derives, overflow_labels. For the
		// last one there is no room in the 40 bytes of a value.
		evicted("max_labels", "kept", 4),
		evicted("max_labels", "dropped", 1),
		evicted("name_too_long", "kept", 1),
		evicted("value_too_long", "dropped", 1),
	}, metricdatatest.IgnoreTimestamp())
}

// variety has every feature that a record like the one before could get wrong.
var variety = []string{
	modelConfig,
	"preset: article\nkeep_conflicts: true",
	"preset: article\noutput_form: {logs: both}\nlabels: [{name: env, default: none}]",
	"labels: [{name: site_name, aliases: [site.name, site], on_missing: mark}, {name: service_name, write_to: [record]}, {name: job, write_to: [resource]}]",
	"labels: [{name: site_name, on_missing: reject}, {name: service_name, from: [{source: scope}, {source: resource}]}]\nlimits: {max_log_key_bytes: 11}",
	"labels: [{name: site_name}, {name: service_name}]\nprecedence: [resource, scope, record]\nprovenance: {enabled: true}",
}

// The quick way of a record like the one before it, and values that records share, change nothing but the cost.
func TestQuickIsTheLongWay(t *testing.T) {
	require.True(t, canShare(), "share.go does not know this version of pdata")
	for _, config := range variety {
		var tels [2]*componenttest.Telemetry
		var lps [2]*labelPreserve
		for i := range lps {
			tels[i] = componenttest.NewTelemetry()
			lp, err := newLabelPreserve(metadatatest.NewSettings(tels[i]), parseConfig(t, config), pipeline.SignalLogs)
			require.NoError(t, err)
			require.NoError(t, lp.start(t.Context(), componenttest.NewNopHost()))
			lps[i] = lp
		}
		lps[1].labels.repeats = false
		lps[1].passes.New = func() any { return lps[1].newPass(false) }
		for seed := range uint64(2000) {
			var results [2][]byte
			for i, lp := range lps {
				logs := randomLogs(t, rand.New(rand.NewPCG(seed, 1)))
				before := logs.LogRecordCount()
				refused := new(refusal[plog.Logs])
				logs, err := lp.processLogs(context.WithValue(t.Context(), refusalKey[plog.Logs]{}, refused), logs)
				if !errors.Is(err, processorhelper.ErrSkipProcessingData) {
					require.NoError(t, err)
				}
				require.Equal(t, before, logs.LogRecordCount()+refused.records)
				results[i], err = (&plog.ProtoMarshaler{}).MarshalLogs(logs)
				require.NoError(t, err)
				if refused.records > 0 {
					require.Equal(t, refused.records, refused.data.LogRecordCount())
					data, err := (&plog.ProtoMarshaler{}).MarshalLogs(refused.data)
					require.NoError(t, err)
					results[i] = append(results[i], data...)
				}
			}
			require.Equal(t, results[1], results[0], "seed %d, %s", seed, config)
		}
		for _, name := range []string{"conflicts", "defaulted", "evicted", "missing"} {
			name = "otelcol_processor_label_preserve_" + name
			want, wantErr := tels[1].GetMetric(name)
			got, gotErr := tels[0].GetMetric(name)
			require.Equal(t, wantErr == nil, gotErr == nil, name)
			if wantErr == nil {
				metricdatatest.AssertEqual(t, want, got, metricdatatest.IgnoreTimestamp())
			}
		}
		for _, tel := range tels {
			require.NoError(t, tel.Shutdown(context.Background()))
		}
	}
}

// A record that shares its values with others keeps them to itself when they change.
func TestSharedValuesAreTheirOwn(t *testing.T) {
	lp := startedFor(t, pipeline.SignalLogs, `preset: article`)
	logs, err := lp.processLogs(t.Context(), logsOf(attrs{"service.name": "api"}, attrs{}, attrs{}))
	require.NoError(t, err)
	records := logs.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords()
	for _, change := range []func(){
		func() { records.At(0).Attributes().PutStr("service_name", "changed") },
		func() { v, _ := records.At(0).Attributes().Get("job"); v.SetInt(1) },
		func() { v, _ := records.At(0).Attributes().Get("job"); v.SetEmptyMap().PutStr("k", "v") },
		func() { records.At(0).Attributes().Remove("job") },
		func() { records.At(0).Attributes().Clear() },
	} {
		change()
		assert.Equal(t, attrs{"service_name": "api", "job": "api"}, records.At(1).Attributes().AsRaw())
	}
	later, err := lp.processLogs(t.Context(), logsOf(attrs{"service.name": "api"}, attrs{}))
	require.NoError(t, err)
	assert.Equal(t, []attrs{{"service_name": "api", "job": "api"}}, groupsOf(later)[0].records)
}
