package labelpreserveprocessor

import (
	"encoding/json"
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
)

// modelConfig resolves its labels from all places of the data.
const modelConfig = `
labels:
  - name: site_name
    aliases: [site.name, site]
  - name: service_name
    from: [{source: scope}, {source: resource}, {source: record}]
  - name: job
    from: [{source: record}, {source: record, key: other}, {source: join, labels: [site_name, service_name]}]
    default: none
`

// model resolves the labels of modelConfig in the plainest way there is.
func model(rec, scope, resource pcommon.Map) map[string]any {
	site := firstOf(
		under(rec, "site_name", "site.name", "site"),
		under(resource, "site_name", "site.name", "site"))
	service := firstOf(
		under(scope, "service_name", "service.name"),
		under(resource, "service_name", "service.name"),
		under(rec, "service_name", "service.name"))
	joined := firstOf(site, service)
	if site != "" && service != "" {
		joined = site + "/" + service
	}
	labels := map[string]any{"job": firstOf(under(rec, "job"), under(rec, "other"), joined, "none")}
	if site != "" {
		labels["site_name"] = site
	}
	if service != "" {
		labels["service_name"] = service
	}
	return labels
}

// under returns the first value that is not empty under the first key that has one.
func under(attrs pcommon.Map, keys ...string) string {
	for _, key := range keys {
		for k, v := range attrs.All() {
			if k == key && v.AsString() != "" {
				return v.AsString()
			}
		}
	}
	return ""
}

func firstOf(values ...string) string {
	for _, value := range values {
		if value != "" {
			return value
		}
	}
	return ""
}

// randomAttributes returns attributes as OTLP JSON has them, with duplicate keys among them.
func randomAttributes(rnd *rand.Rand) []any {
	keys := []string{"site_name", "site.name", "site", "service_name", "service.name", "job", "other", "kept"}
	values := []any{
		nil,
		map[string]any{"stringValue": ""},
		map[string]any{"intValue": 1},
		map[string]any{"stringValue": "a"},
		map[string]any{"stringValue": "b"},
	}
	attributes := []any{}
	for range rnd.IntN(5) {
		attributes = append(attributes, map[string]any{
			"key":   keys[rnd.IntN(len(keys))],
			"value": values[rnd.IntN(len(values))],
		})
	}
	return attributes
}

// randomLogs numbers its resources, scopes and records: the first two in their schema
// URL, the records in their timestamp.
func randomLogs(t *testing.T, rnd *rand.Rand) plog.Logs {
	record := 0
	resources := []any{}
	for i := range rnd.IntN(4) {
		scopes := []any{}
		for j := range rnd.IntN(4) {
			records := []any{}
			for range rnd.IntN(6) {
				record++
				records = append(records, map[string]any{"timeUnixNano": strconv.Itoa(record), "attributes": randomAttributes(rnd)})
			}
			scopes = append(scopes, map[string]any{
				"schemaUrl":  strconv.Itoa(j),
				"scope":      map[string]any{"attributes": randomAttributes(rnd)},
				"logRecords": records,
			})
		}
		resources = append(resources, map[string]any{
			"schemaUrl": strconv.Itoa(i),
			"resource":  map[string]any{"attributes": randomAttributes(rnd)},
			"scopeLogs": scopes,
		})
	}
	data, err := json.Marshal(map[string]any{"resourceLogs": resources})
	require.NoError(t, err)
	logs, err := (&plog.JSONUnmarshaler{}).UnmarshalLogs(data)
	require.NoError(t, err)
	return logs
}

// whereabouts is where a record is and what its labels are.
type whereabouts struct {
	resource string
	scope    string
	labels   map[string]any
}

// labelsOf returns what attrs has of modelConfig.
func labelsOf(attrs pcommon.Map) map[string]any {
	labels := attrs.AsRaw()
	delete(labels, "other")
	delete(labels, "kept")
	return labels
}

func recordsOf(rl plog.ResourceLogs) int {
	n := 0
	for _, sl := range rl.ScopeLogs().All() {
		n += sl.LogRecords().Len()
	}
	return n
}

// Thousands of random batches leave as the model says: each record once, in its scope and
// its resource or a part of it, in order, with its labels.
func TestAgainstModel(t *testing.T) {
	cfg := parseConfig(t, modelConfig)
	lp := startedProcessor(t, cfg)
	for seed := range uint64(5000) {
		logs := randomLogs(t, rand.New(rand.NewPCG(seed, 0)))

		want := make(map[pcommon.Timestamp]whereabouts)
		for _, rl := range logs.ResourceLogs().All() {
			for _, sl := range rl.ScopeLogs().All() {
				for _, lr := range sl.LogRecords().All() {
					want[lr.Timestamp()] = whereabouts{
						resource: rl.SchemaUrl(),
						scope:    sl.SchemaUrl(),
						labels:   model(lr.Attributes(), sl.Scope().Attributes(), rl.Resource().Attributes()),
					}
				}
			}
		}

		// A resource without records has the labels that need none.
		wantAlone := make(map[string]map[string]any)
		for _, rl := range logs.ResourceLogs().All() {
			if recordsOf(rl) == 0 {
				wantAlone[rl.SchemaUrl()] = model(none, none, rl.Resource().Attributes())
			}
		}

		logs, err := lp.processLogs(t.Context(), logs)
		require.NoError(t, err)
		require.Equal(t, len(want), logs.LogRecordCount(), "seed %d", seed)
		checkLogs(t, cfg, logs)
		got := make(map[pcommon.Timestamp]whereabouts)
		for _, rl := range logs.ResourceLogs().All() {
			if labels, alone := wantAlone[rl.SchemaUrl()]; alone {
				require.Equal(t, labels, labelsOf(rl.Resource().Attributes()), "seed %d", seed)
			}
			last := pcommon.Timestamp(0)
			for _, sl := range rl.ScopeLogs().All() {
				for _, lr := range sl.LogRecords().All() {
					got[lr.Timestamp()] = whereabouts{
						resource: rl.SchemaUrl(),
						scope:    sl.SchemaUrl(),
						labels:   labelsOf(lr.Attributes()),
					}
					require.Greater(t, lr.Timestamp(), last, "seed %d", seed)
					last = lr.Timestamp()
				}
			}
		}
		require.Equal(t, want, got, "seed %d", seed)
	}
}
