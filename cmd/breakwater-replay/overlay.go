package main

import (
	"maps"
	"slices"
	"strconv"

	"gopkg.in/yaml.v3"
)

const clientID = "breakwater-replay"

// verifyTimeout is that of queries for what the backend has: the server's own limit (-search.maxQueryDuration).
const verifyTimeout = "30s"

// consumerConfig is the configuration of the consumer that does the replay: the profile, without pipelines that are of
// other topics, and with a group, bounds and ports of its own.
func (p *profile) consumerConfig(pl *plan, healthEndpoint string, metricsPort int) ([]byte, error) {
	out := maps.Clone(p.raw)
	receiver := maps.Clone(child(p.raw, "receivers", p.receiver))
	delete(receiver, "group_instance_id")
	delete(receiver, "ledger") // a replay has no account
	receiver["group_id"], receiver["client_id"] = pl.group, clientID
	from, until := make(map[string]any), make(map[string]any)
	for _, s := range pl.spans {
		partition := strconv.Itoa(int(s.partition))
		from[partition], until[partition] = s.from, s.until
	}
	receiver["start_at"] = map[string]any{"offsets": from}
	receiver["until"] = map[string]any{"offsets": until}
	receiver["replay"] = map[string]any{"id": pl.id}
	out["receivers"] = map[string]any{p.receiver: receiver}

	exporters := maps.Clone(child(p.raw, "exporters"))
	for id := range exporters {
		if typeOf(id) != "victorialogs" {
			continue
		}
		exporter := maps.Clone(child(exporters, id))
		idempotency := map[string]any{"timeout": verifyTimeout}
		maps.Copy(idempotency, child(exporter, "idempotency"))
		exporter["idempotency"] = idempotency
		exporters[id] = exporter
	}
	out["exporters"] = exporters

	extensions := maps.Clone(child(p.raw, "extensions"))
	for id := range extensions {
		if typeOf(id) == "health_check" {
			extensions[id] = map[string]any{"endpoint": healthEndpoint}
		}
	}
	out["extensions"] = extensions

	service := maps.Clone(child(p.raw, "service"))
	service["extensions"] = slices.DeleteFunc(stringsOf(service["extensions"]), func(id string) bool {
		return slices.Contains([]string{"pprof", "zpages", "live", "ledger"}, typeOf(id))
	})
	// What feeds them: not the other topics, nor connectors that only other pipelines lead to.
	feeds := map[string]bool{p.receiver: true}
	for _, id := range p.pipelines {
		for _, exporter := range stringsOf(child(p.raw, "service", "pipelines", id)["exporters"]) {
			feeds[exporter] = true
		}
	}
	pipelines := make(map[string]any)
	for _, id := range p.pipelines {
		pipeline := maps.Clone(child(p.raw, "service", "pipelines", id))
		pipeline["receivers"] = slices.DeleteFunc(stringsOf(pipeline["receivers"]), func(id string) bool { return !feeds[id] })
		pipelines[id] = pipeline
	}
	service["pipelines"] = pipelines
	telemetry := maps.Clone(child(service, "telemetry"))
	if telemetry == nil {
		telemetry = make(map[string]any)
	}
	telemetry["metrics"] = map[string]any{
		"level": "normal",
		"readers": []any{map[string]any{"pull": map[string]any{"exporter": map[string]any{
			"prometheus": map[string]any{"host": "127.0.0.1", "port": metricsPort},
		}}}},
	}
	service["telemetry"] = telemetry
	out["service"] = service
	return yaml.Marshal(out)
}
