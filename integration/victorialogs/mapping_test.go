package victorialogs

import (
	"fmt"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/breakwater-otel/breakwater/integration/harness"
)

// mappingInput is a record with something at every source of fields.
func mappingInput(at time.Time) plog.Logs {
	logs := plog.NewLogs()
	resource := logs.ResourceLogs().AppendEmpty()
	attributes := resource.Resource().Attributes()
	attributes.PutStr("service.name", "shop")
	attributes.PutStr("k8s.namespace.name", "default")
	attributes.PutStr("k8s.pod.name", "shop-0")
	attributes.PutStr("host_name", "h1")
	attributes.PutStr("shared", "of the resource")
	scope := resource.ScopeLogs().AppendEmpty()
	scope.Scope().SetName("lib")
	scope.Scope().SetVersion("1.2")
	scope.Scope().Attributes().PutStr("build", "abc")
	scope.Scope().Attributes().PutStr("shared", "of the scope")
	record := scope.LogRecords().AppendEmpty()
	record.SetTimestamp(pcommon.NewTimestampFromTime(at))
	record.SetObservedTimestamp(pcommon.NewTimestampFromTime(at.Add(1500 * time.Millisecond)))
	record.SetSeverityText("WARN")
	record.SetSeverityNumber(plog.SeverityNumberWarn)
	record.SetTraceID([16]byte{0x0a, 15: 0x0b})
	record.SetSpanID([8]byte{0x0c, 7: 0x0d})
	record.SetFlags(1)
	record.SetEventName("checkout")
	record.Body().SetEmptyMap().PutStr("log", "the message")
	record.Body().Map().PutStr("user", "u1")
	record.Body().Map().PutStr("shared", "of the body")
	record.Body().Map().PutEmptyMap("http").PutInt("status", 503)
	record.Attributes().PutStr("user_agent", "curl")
	record.Attributes().PutStr("shared", "of the record")
	record.Attributes().PutEmptyMap("db").PutStr("system", "pg")
	return logs
}

// TestFieldMapping queries the mapping back: the row and its stream, whole.
func TestFieldMapping(t *testing.T) {
	at := time.Now().Add(-time.Hour).UTC()
	observed := at.Add(1500 * time.Millisecond)
	// flat is the row of the default mapping.
	flat := func() harness.LogRow {
		return harness.LogRow{
			"_time": at.Format(time.RFC3339Nano), "_msg": "the message", "_stream": `{service.name="shop"}`,
			"severity_text": "WARN", "severity_number": "13", "trace_id": "0a00000000000000000000000000000b", "span_id": "0c0000000000000d",
			"trace_flags": "1", "event_name": "checkout",
			"user_agent": "curl", "db.system": "pg", "shared": "of the record",
			"user": "u1", "http.status": "503",
			"scope.name": "lib", "scope.version": "1.2", "build": "abc",
			"service.name": "shop", "k8s.namespace.name": "default", "k8s.pod.name": "shop-0", "host_name": "h1",
		}
	}
	with := func(changes harness.LogRow, without ...string) harness.LogRow {
		row := flat()
		for _, name := range without {
			delete(row, name)
		}
		for name, value := range changes {
			row[name] = value
		}
		return row
	}
	tests := map[string]struct {
		settings string
		want     harness.LogRow
	}{
		"flat": {`stream_fields: [service.name]`, flat()},
		"glob for stream fields": {
			`stream_fields: ["k8s.*"]`,
			with(harness.LogRow{"_stream": `{k8s.namespace.name="default",k8s.pod.name="shop-0"}`}),
		},
		"names and globs for stream fields, of each source": {
			`stream_fields: [service.name, "k8s.*.name", "?ost_name", "user*", "http.*", "db.*", "scope.*", missing, "missing.*"]`,
			with(harness.LogRow{"_stream": `{db.system="pg",host_name="h1",http.status="503",k8s.namespace.name="default",k8s.pod.name="shop-0",` +
				`scope.name="lib",scope.version="1.2",service.name="shop",user="u1",user_agent="curl"}`}),
		},
		"data model for stream fields": {
			`stream_fields: [severity_text, event_name]`,
			with(harness.LogRow{"_stream": `{event_name="checkout",severity_text="WARN"}`}),
		},
		"prefixes": {
			`{stream_fields: [resource.service.name], fields: {resource: {prefix: resource.}, scope: {prefix: scope.}, record: {prefix: record.}, body: {prefix: body.}}}`,
			with(harness.LogRow{
				"_stream":                     `{resource.service.name="shop"}`,
				"resource.service.name":       "shop",
				"resource.k8s.pod.name":       "shop-0",
				"resource.host_name":          "h1",
				"resource.shared":             "of the resource",
				"scope.build":                 "abc",
				"scope.shared":                "of the scope",
				"record.user_agent":           "curl",
				"record.db.system":            "pg",
				"record.shared":               "of the record",
				"body.user":                   "u1",
				"body.http.status":            "503",
				"body.shared":                 "of the body",
				"resource.k8s.namespace.name": "default",
			}, "service.name", "k8s.namespace.name", "k8s.pod.name", "host_name", "shared", "build", "user_agent", "db.system", "user", "http.status"),
		},
		"include": {
			`{stream_fields: [service.name], fields: {resource: {include: [service.name, "k8s.*"]}, record: {include: ["user*"]}, body: {include: ["http.*"]}, scope: {include: ["nothing*"]}}}`,
			with(nil, "host_name", "db.system", "shared", "user", "build"),
		},
		"exclude": {
			`{stream_fields: [service.name], fields: {resource: {exclude: ["k8s.*", shared]}, record: {exclude: [shared, "d?.*"]}, body: {exclude: [shared, "http.stat?s"]}, scope: {exclude: ["*"]}}}`,
			with(nil, "k8s.namespace.name", "k8s.pod.name", "shared", "db.system", "http.status", "build"),
		},
		"include and exclude": {
			`{stream_fields: [service.name], fields: {resource: {include: ["k8s.*", service.name], exclude: ["*.pod.*"]}}}`,
			with(nil, "k8s.pod.name", "host_name"),
		},
		"rename": {
			`{stream_fields: [service], fields: {resource: {rename: {service.name: service, host_name: host}}, record: {rename: {user_agent: agent}}, body: {rename: {user: uid}}, scope: {rename: {build: revision}}}}`,
			with(harness.LogRow{"_stream": `{service="shop"}`, "service": "shop", "host": "h1", "agent": "curl", "uid": "u1", "revision": "abc"},
				"service.name", "host_name", "user_agent", "user", "build"),
		},
		"observed timestamp": {
			`{stream_fields: [service.name], fields: {observed_timestamp: seen_at}}`,
			with(harness.LogRow{"seen_at": observed.Format(time.RFC3339Nano)}),
		},
		"observed timestamp for the time": {
			`{stream_fields: [service.name], time_source: observed_timestamp}`,
			with(harness.LogRow{"_time": observed.Format(time.RFC3339Nano)}),
		},
		"message of another key": {
			`{stream_fields: [service.name], message_keys: [user]}`,
			with(harness.LogRow{"_msg": "u1", "log": "the message"}, "user"),
		},
		"compressed with zstd": {`{stream_fields: [service.name], compression: zstd}`, flat()},
		"compressed with gzip": {`{stream_fields: [service.name], compression: gzip}`, flat()},
	}
	logs := harness.StartVictoriaLogs(t, harness.VictoriaLogsOptions{Retention: serverRetention})
	account := 0
	for _, name := range sortedKeys(tests) {
		test := tests[name]
		t.Run(name, func(t *testing.T) {
			// Each in a tenant of its own, which spares a server for each.
			account++
			for _, path := range []string{jsonLinePath, otlpPath} {
				account++
				settings := test.settings
				if path == otlpPath {
					settings = "{limits: {max_line_bytes: 2048}, " + inFlow(settings)
				}
				e := startExporter(t, logs.URL(), mergeTenant(settings, account))
				input, want := mappingInput(at), test.want
				if path == otlpPath {
					want = cloneRow(want)
					large := repeat("large ", 2000)
					input.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0).Body().Map().PutStr("log", large)
					for field, value := range want {
						if value == "the message" {
							want[field] = large
						}
					}
				}
				e.send(t, input)
				rows := tenantRows(t, logs, account, 0)
				require.Len(t, rows, 1)
				got := rows[0]
				assert.Regexp(t, `^[0-9a-f]{32}$`, got["delivery_id"])
				delete(got, "delivery_id")
				delete(got, "_stream_id")
				assert.Equal(t, want, got, path)
			}
		})
	}
	requireNothingDropped(t, logs)
}

func cloneRow(row harness.LogRow) harness.LogRow {
	clone := make(harness.LogRow, len(row))
	for name, value := range row {
		clone[name] = value
	}
	return clone
}

// inFlow turns settings, in flow style or a single line, into the rest of a flow mapping.
func inFlow(settings string) string {
	if settings[0] == '{' {
		return settings[1:]
	}
	return settings + "}"
}

func mergeTenant(settings string, account int) string {
	return "{tenant: {account_id: " + strconv.Itoa(account) + "}, " + inFlow(settings)
}

// tenantRows returns all rows of a tenant.
func tenantRows(t *testing.T, logs *harness.VictoriaLogs, account, project int) []harness.LogRow {
	t.Helper()
	require.NoError(t, logs.Flush(t.Context()))
	var rows []harness.LogRow
	require.NoError(t, logs.QueryTenant(t.Context(), uint32(account), uint32(project), "*", func(row harness.LogRow) error { //nolint:gosec // G115: small numbers
		rows = append(rows, row)
		return nil
	}))
	return rows
}

// TestTenantsFromAnAttribute holds that each row lands in its tenant and nowhere else, with one request for each tenant.
func TestTenantsFromAnAttribute(t *testing.T) {
	logs := harness.StartVictoriaLogs(t, harness.VictoriaLogsOptions{Retention: serverRetention})
	proxy := recordingProxy(t, logs)
	e := startExporter(t, proxy.URL(), `tenant: {account_id: 3, project_id: 4, from_attribute: tenant}`)

	want := make(map[[2]int][]string)
	all := plog.NewLogs()
	add := func(name, ofRecord, ofResource string, account, project int) {
		record := newRecord(all, name)
		if ofRecord != "" {
			record.Attributes().PutStr("tenant", ofRecord)
		}
		if ofResource != "" {
			all.ResourceLogs().At(all.ResourceLogs().Len()-1).Resource().Attributes().PutStr("tenant", ofResource)
		}
		want[[2]int{account, project}] = append(want[[2]int{account, project}], name)
	}
	// Interleaved, so that order makes no request of its own.
	for i := range 20 {
		add(fmt.Sprintf("account %d", i), "12", "", 12, 0)
		add(fmt.Sprintf("both %d", i), "12:34", "", 12, 34)
		add(fmt.Sprintf("resource %d", i), "", "56:78", 56, 78)
		add(fmt.Sprintf("record before resource %d", i), "12:34", "56:78", 12, 34)
		add(fmt.Sprintf("none %d", i), "", "", 3, 4)
	}
	add("largest", "4294967295:4294967295", "", 4294967295, 4294967295)
	add("zero", "0:0", "", 0, 0)
	newRecord(all, "integer").Attributes().PutInt("tenant", 12)
	want[[2]int{12, 0}] = append(want[[2]int{12, 0}], "integer")
	// An over-long record takes the other path to the same tenant.
	add("large", "56:78", "", 56, 78)
	all.ResourceLogs().At(all.ResourceLogs().Len() - 1).ScopeLogs().At(0).LogRecords().At(0).Body().SetStr(repeat("large ", 300_000))
	e.send(t, all)

	for tenant, names := range want {
		byCase := rowsByCase(t, tenantRows(t, logs, tenant[0], tenant[1]))
		assert.ElementsMatch(t, names, sortedKeys(byCase), "tenant %v", tenant)
	}
	requests := make(map[string]int)
	for _, request := range proxy.Requests(jsonLinePath) {
		requests[request.Header.Get("AccountID")+":"+request.Header.Get("ProjectID")]++
	}
	delete(requests, ":") // the default tenant needs no headers
	for tenant, n := range requests {
		assert.Equal(t, 1, n, "requests of tenant %s", tenant)
	}
	assert.GreaterOrEqual(t, len(requests), len(want)-1)
	requireNothingDropped(t, logs)
}

// TestTenantsThatAreNone holds both actions on an attribute value that is no tenant.
func TestTenantsThatAreNone(t *testing.T) {
	wrong := []string{"abc", "-1", "4294967296", "1:2:3", "1:", ":1", " 1", "1:x", "1.0", "0x1"}
	build := func() plog.Logs {
		all := plog.NewLogs()
		for i, value := range wrong {
			newRecord(all, strconv.Itoa(i)).Attributes().PutStr("tenant", value)
		}
		newRecord(all, "right").Attributes().PutStr("tenant", "12:34")
		return all
	}
	const settings = `{tenant: {account_id: 3, project_id: 4, from_attribute: tenant}`
	t.Run("reject", func(t *testing.T) {
		a := startAction(t, settings+`}`)
		rejected, err := a.sendPartly(t, build())
		assert.ErrorContains(t, err, "tenant")
		assert.Len(t, casesOf(rejected), len(wrong))
		assert.EqualValues(t, len(wrong), a.metric(t, "rejected_records", "reason", "tenant"))
		require.Len(t, tenantRows(t, a.logs, 12, 34), 1)
		assert.Empty(t, tenantRows(t, a.logs, 3, 4))
		assert.Empty(t, tenantRows(t, a.logs, 0, 0))
		assert.Empty(t, tenantRows(t, a.logs, 1, 0))
		requireNothingDropped(t, a.logs)
	})
	t.Run("default", func(t *testing.T) {
		a := startAction(t, settings+`, on_violation: {tenant: default}}`)
		a.send(t, build())
		assert.Len(t, rowsByCase(t, tenantRows(t, a.logs, 3, 4)), len(wrong))
		assert.Len(t, tenantRows(t, a.logs, 12, 34), 1)
		a.requireViolations(t, "tenant", "default", len(wrong))
		requireNothingDropped(t, a.logs)
	})
}

// TestRefusalOfOneTenantStopsNoOther puts a server between that refuses one tenant for good: its records are returned.
func TestRefusalOfOneTenantStopsNoOther(t *testing.T) {
	logs := harness.StartVictoriaLogs(t, harness.VictoriaLogsOptions{Retention: serverRetention})
	gate := startGate(t, logs, func(w http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("AccountID") == "13" {
			http.Error(w, "too large for this tenant", http.StatusRequestEntityTooLarge)
			return false
		}
		return true
	})
	e := startExporter(t, gate.URL, `tenant: {from_attribute: tenant}`)
	all := plog.NewLogs()
	for i := range 12 {
		newRecord(all, strconv.Itoa(i)).Attributes().PutInt("tenant", int64(11+i%4))
	}
	rejected, _ := e.sendPartly(t, all)
	assert.Equal(t, []string{"10", "2", "6"}, casesOf(rejected))
	for _, account := range []int{11, 12, 14} {
		assert.Len(t, tenantRows(t, logs, account, 0), 3)
	}
	assert.EqualValues(t, 3, e.metric(t, "rejected_records", "reason", "refused"))
}
