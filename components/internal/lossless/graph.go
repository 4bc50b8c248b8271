package lossless

import (
	"maps"
	"slices"

	"go.opentelemetry.io/collector/confmap"
)

// pipeline is a pipeline by the IDs of its components.
type pipeline struct {
	id                               string
	receivers, processors, exporters []string
}

// graph is how the components are connected.
type graph struct {
	pipelines  map[string]pipeline
	connectors settings
	// keeping are the pipelines from which data gets to an exporter that keeps it.
	keeping map[string]bool
}

// discarding are the exporters that keep nothing: they are there to be looked at.
var discarding = []string{"debug", "nop"}

// kafkaReceivers commit offsets when the pipeline has acknowledged.
var kafkaReceivers = []string{"kafka", "durablekafka"}

// kafkaExporters write to topics.
var kafkaExporters = []string{"kafka", "durablekafka"}

// scrapers do not try again what is refused.
var scrapers = []string{"hostmetrics", "dockerstats", "kubeletstats", "prometheus", "kafkametrics"}

func newGraph(conf *confmap.Conf) *graph {
	g := &graph{pipelines: map[string]pipeline{}, connectors: sectionOf(conf, "connectors"), keeping: map[string]bool{}}
	all := sectionOf(conf, "service::pipelines")
	for _, id := range all.keys() {
		g.pipelines[id] = pipeline{
			id:         id,
			receivers:  all.list(id, "receivers"),
			processors: all.list(id, "processors"),
			exporters:  all.list(id, "exporters"),
		}
	}
	for id := range g.pipelines {
		g.keeping[id] = g.keeps(id, map[string]bool{})
	}
	return g
}

func (g *graph) isConnector(id string) bool {
	_, ok := g.connectors[id]
	return ok
}

// keeps says whether data of the pipeline gets to an exporter that keeps it.
func (g *graph) keeps(id string, seen map[string]bool) bool {
	if seen[id] {
		return false
	}
	seen[id] = true
	for _, exporter := range g.pipelines[id].exporters {
		if !g.isConnector(exporter) {
			if !isType(exporter, discarding...) {
				return true
			}
			continue
		}
		for _, next := range g.behind(exporter) {
			if g.keeps(next.id, seen) {
				return true
			}
		}
	}
	return false
}

// behind returns the pipelines that receive from a connector or receiver.
func (g *graph) behind(receiver string) []pipeline {
	return g.where(func(p pipeline) bool { return slices.Contains(p.receivers, receiver) })
}

// before returns the pipelines that export to a connector or exporter.
func (g *graph) before(exporter string) []pipeline {
	return g.where(func(p pipeline) bool { return slices.Contains(p.exporters, exporter) })
}

func (g *graph) where(is func(pipeline) bool) []pipeline {
	var found []pipeline
	for _, id := range slices.Sorted(maps.Keys(g.pipelines)) {
		if is(g.pipelines[id]) {
			found = append(found, g.pipelines[id])
		}
	}
	return found
}

// kept are the pipelines of a component on the way to an exporter that keeps data.
func (g *graph) kept(uses func(pipeline) []string, id string) []pipeline {
	return g.where(func(p pipeline) bool { return g.keeping[p.id] && slices.Contains(uses(p), id) })
}

// sources returns the receivers, no connectors, whose data gets into the pipeline.
func (g *graph) sources(id string) []string {
	found := map[string]bool{}
	g.upstream(id, map[string]bool{}, func(p pipeline) {
		for _, r := range p.receivers {
			if !g.isConnector(r) {
				found[r] = true
			}
		}
	})
	return slices.Sorted(maps.Keys(found))
}

func (g *graph) upstream(id string, seen map[string]bool, visit func(pipeline)) {
	if seen[id] {
		return
	}
	seen[id] = true
	p := g.pipelines[id]
	visit(p)
	for _, r := range p.receivers {
		if !g.isConnector(r) {
			continue
		}
		for _, up := range g.before(r) {
			g.upstream(up.id, seen, visit)
		}
	}
}

// exporters returns the exporters, no connectors, that the data of the receiver gets to.
func (g *graph) exportersOf(receiver string) []string {
	found := map[string]bool{}
	seen := map[string]bool{}
	var walk func(from string)
	walk = func(from string) {
		for _, p := range g.behind(from) {
			if seen[p.id] {
				continue
			}
			seen[p.id] = true
			for _, e := range p.exporters {
				if g.isConnector(e) {
					walk(e)
				} else {
					found[e] = true
				}
			}
		}
	}
	walk(receiver)
	return slices.Sorted(maps.Keys(found))
}

// covered says whether what is refused in the pipeline becomes a dead letter, whichever way it came.
func (g *graph) covered(id string, seen map[string]bool) bool {
	if seen[id] {
		return true
	}
	seen[id] = true
	for _, r := range g.pipelines[id].receivers {
		switch {
		case !g.isConnector(r):
			return false
		case isType(r, "deadletter"):
			if !slices.Contains(g.connectors.list(r, "primary"), id) {
				return false
			}
		default:
			for _, up := range g.before(r) {
				if !g.covered(up.id, seen) {
					return false
				}
			}
		}
	}
	return true
}

func isFrom(sources []string, types ...string) bool {
	return slices.ContainsFunc(sources, func(id string) bool { return isType(id, types...) })
}
