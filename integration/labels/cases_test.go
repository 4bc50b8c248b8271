package labels

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

type attrs = map[string]any

type labelsOf = map[string]string

// kind is a type of telemetry.
type kind string

const (
	logRecord    kind = "log"
	gauge        kind = "gauge"
	sum          kind = "sum"
	histogram    kind = "histogram"
	expHistogram kind = "exponential histogram"
	summary      kind = "summary"
)

var (
	metricKinds = []kind{gauge, sum, histogram, expHistogram, summary}
	allKinds    = append([]kind{logRecord}, metricKinds...)
	logAndGauge = []kind{logRecord, gauge}
)

// The environment of the agent that stamps. The other one has none of it.
var stampEnv = map[string]string{
	"SITE_NAME":         "zürich-1",
	"DEPLOY_ENV":        "prod",
	"HOST_NAME":         "edge-7",
	"SERVICE_NAME":      "fallback",
	"SERVICE_NAMESPACE": "platform",
}

// scenario is what an application says of itself on the resource and on its record or data
// point, and the labels that both backends must have of it: these and no others of the declared.
type scenario struct {
	name     string
	kinds    []kind
	stamped  bool // through the agent whose operator has set the environment
	resource attrs
	record   attrs
	want     labelsOf
	// wantMetrics and wantLogs are what is wanted beside of one of the two.
	wantMetrics labelsOf
	wantLogs    labelsOf
}

// place is what most scenarios say about the host, in the way the declared names have it.
var place = attrs{"site_name": "site-a", "env": "test", "host_name": "host-1"}

var placed = labelsOf{"site_name": "site-a", "env": "test", "host_name": "host-1"}

var dottedApp = attrs{
	"site.name": "site-a", "deployment.environment.name": "test", "host.name": "host-1",
	"service.name": "checkout", "service.namespace": "shop",
}

var app = attrs{"service_name": "checkout", "service_namespace": "shop"}

var wantApp = with(placed, labelsOf{"service_name": "checkout", "service_namespace": "shop", "job": "shop/checkout"})

func with[M ~map[string]V, V any](parts ...M) M {
	all := make(M)
	for _, part := range parts {
		maps.Copy(all, part)
	}
	return all
}

// many returns n attributes that are no labels.
func many(n int) attrs {
	all := make(attrs, n)
	for i := range n {
		all[fmt.Sprintf("attribute_%02d", i)] = fmt.Sprintf("value %d", i)
	}
	return all
}

var odd = "ä 漢 😀 \" \\ ' {} , ; = \t end"

var scenarios = []scenario{
	{
		name: "dotted names on the resource", kinds: allKinds,
		resource: dottedApp, want: wantApp,
	},
	{
		name: "dotted names on the record", kinds: allKinds,
		record: dottedApp, want: wantApp,
	},
	{
		name: "underscore names on the resource", kinds: logAndGauge,
		resource: with(place, app), want: wantApp,
	},
	{
		name: "underscore names on the record", kinds: logAndGauge,
		record: with(place, app), want: wantApp,
	},
	{
		name: "record and resource agree, in different names", kinds: logAndGauge,
		resource: with(place, attrs{"service.name": "checkout", "service.namespace": "shop"}), record: app, want: wantApp,
	},
	{
		name: "record and resource differ, same names", kinds: allKinds,
		resource: with(place, app), record: attrs{"service_name": "cart"},
		want: with(wantApp, labelsOf{"service_name": "cart", "job": "shop/cart"}),
	},
	{
		name: "record and resource differ, different names", kinds: []kind{logRecord, sum, summary},
		resource: with(place, attrs{"service.name": "checkout", "service.namespace": "shop"}), record: attrs{"service_name": "cart"},
		want: with(wantApp, labelsOf{"service_name": "cart", "job": "shop/cart"}),
	},
	{
		name: "two names on the resource differ", kinds: []kind{logRecord, gauge, histogram},
		resource: with(place, app, attrs{"site.name": "site-b"}), want: wantApp,
	},
	{
		name: "two names on the record differ", kinds: []kind{logRecord, gauge, expHistogram},
		resource: with(place, app), record: attrs{"site_name": "site-c", "site.name": "site-d"},
		want: with(wantApp, labelsOf{"site_name": "site-c"}),
	},
	{
		name: "job set on the resource", kinds: []kind{logRecord, gauge, histogram},
		resource: with(place, attrs{"service.name": "checkout", "service.namespace": "shop", "job": "nightly"}),
		want:     with(wantApp, labelsOf{"job": "nightly"}),
	},
	{
		name: "job set on the record", kinds: []kind{logRecord, sum},
		resource: with(place, attrs{"service.name": "checkout", "service.namespace": "shop"}), record: attrs{"job": "nightly"},
		want: with(wantApp, labelsOf{"job": "nightly"}),
	},
	{
		name: "no namespace: job is the service", kinds: logAndGauge,
		resource: with(place, attrs{"service.name": "checkout"}),
		want:     with(placed, labelsOf{"service_name": "checkout", "job": "checkout"}),
	},
	{
		name: "no service at all", kinds: []kind{logRecord, gauge, summary},
		resource: place, want: placed,
	},
	{
		name: "an empty value on the record is none", kinds: logAndGauge,
		resource: with(place, app), record: attrs{"service_name": "", "site_name": ""}, want: wantApp,
	},
	{
		name: "an instance beside the job", kinds: []kind{gauge, histogram},
		resource:    with(place, attrs{"service.name": "checkout", "service.namespace": "shop", "service.instance.id": "pod-1", "job": "nightly"}),
		want:        with(wantApp, labelsOf{"job": "nightly"}),
		wantMetrics: labelsOf{"instance": "pod-1"},
	},
	{
		name: "values that are not strings", kinds: logAndGauge,
		resource: with(place, app, attrs{"site_name": 7}), record: attrs{"service_name": true},
		want: with(wantApp, labelsOf{"site_name": "7", "service_name": "true", "job": "shop/true"}),
	},
	{
		name: "quotes, escapes, control characters and runes", kinds: logAndGauge,
		resource: with(place, app, attrs{"site_name": odd}), want: with(wantApp, labelsOf{"site_name": odd}),
	},
	{
		name: "stream as the container runtime says it", kinds: []kind{logRecord},
		resource: with(place, app), record: attrs{"log.iostream": "stderr"},
		want: wantApp, wantLogs: labelsOf{"stream": "stderr"},
	},
	{
		name: "more attributes than a series may have", kinds: []kind{gauge, histogram},
		resource: with(dottedApp, many(30)), record: attrs{"code": 200, "method": "GET", "path": "/", "peer": "p", "zone": "z", "az": "a"},
		want: wantApp,
	},
	{
		name: "an attribute of 5,000 bytes and one with a key of 300", kinds: logAndGauge,
		resource: dottedApp, record: attrs{"query": strings.Repeat("q", 5000), strings.Repeat("k", 300): "v"},
		want: wantApp,
	},
	{
		name: "operator's place, nothing said by the program", kinds: logAndGauge, stamped: true,
		want: labelsOf{
			"site_name": "zürich-1", "env": "prod", "host_name": "edge-7",
			"service_name": "fallback", "service_namespace": "platform", "job": "platform/fallback",
		},
	},
	{
		name: "operator's place against that of the resource", kinds: logAndGauge, stamped: true,
		resource: with(place, app, attrs{"site.name": "site-b"}),
		want:     with(wantApp, labelsOf{"site_name": "zürich-1", "env": "prod", "host_name": "edge-7"}),
	},
	{
		name: "operator's place against that of the record", kinds: []kind{logRecord, sum, expHistogram}, stamped: true,
		resource: dottedApp, record: attrs{"env": "dev", "host.name": "host-2"},
		want: with(wantApp, labelsOf{"site_name": "zürich-1", "env": "prod", "host_name": "edge-7"}),
	},
}

// row is a scenario for one kind.
type row struct {
	*scenario
	kind kind
	id   string
}

func rows() []row {
	var all []row
	for i := range scenarios {
		for _, k := range scenarios[i].kinds {
			id := fmt.Sprintf("labels_%02d_%s_x", i+1, strings.ReplaceAll(string(k), " ", "_"))
			all = append(all, row{&scenarios[i], k, id})
		}
	}
	return all
}

// declared are the labels that are compared, and the other names that they must not also have.
var declared = []string{"site_name", "env", "host_name", "service_name", "service_namespace", "job", "instance", "stream"}

var forbidden = []string{"site.name", "deployment.environment.name", "host.name", "service.name", "service.namespace", "log.iostream"}

// streamFields are those of the consumer profile.
var streamFields = []string{"stream", "service_name", "service_namespace", "host_name", "env", "site_name"}

func (r *row) wanted() labelsOf {
	if r.kind == logRecord {
		return with(r.want, r.wantLogs)
	}
	return with(r.want, r.wantMetrics)
}

// faults compares what a backend has with what is wanted, byte for byte.
func (r *row) faults(got labelsOf) []string {
	want := r.wanted()
	var faults, missing, beside []string
	for _, name := range slices.Concat(declared, forbidden) {
		switch g, w := got[name], want[name]; {
		case g == w:
		case w == "":
			beside = append(beside, name)
		case g == "":
			missing = append(missing, name)
		default:
			faults = append(faults, fmt.Sprintf("%s=%q, not %q", name, g, w))
		}
	}
	if len(missing) > 0 {
		faults = append(faults, "no "+strings.Join(missing, ", "))
	}
	if len(beside) > 0 {
		faults = append(faults, "also "+strings.Join(beside, ", "))
	}
	return faults
}

// wantStream is the log stream that VictoriaLogs must have the record in.
func (r *row) wantStream() string {
	fields := slices.Sorted(slices.Values(streamFields))
	var pairs []string
	for _, name := range fields {
		if value := r.wanted()[name]; value != "" {
			pairs = append(pairs, fmt.Sprintf("%s=%q", name, value))
		}
	}
	return "{" + strings.Join(pairs, ",") + "}"
}

func sortedKeys(set map[string]bool) []string { return slices.Sorted(maps.Keys(set)) }
