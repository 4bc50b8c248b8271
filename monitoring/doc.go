// Package monitoring is the source of what Breakwater is watched with: Grafana
// dashboards (dashboards/, written by `go test ./monitoring -update` from the panels
// here), and alert rules for vmalert and Prometheus (rules/).
//
// A panel is a title, what it means, what to do about it, expressions and a unit.
// Expressions are PromQL, so that they are good for VictoriaMetrics and Prometheus.
// What they return is tested on a real pipeline, in integration/monitoring.
package monitoring
