package monitoring

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// Of Grafana's dashboard model. The schema is that of Grafana 10 to 12, which convert older ones and refuse none.
const (
	schemaVersion = 39
	gridWidth     = 24
	numberWidth   = 4
	graphWidth    = 12
	numberHeight  = 4
	graphHeight   = 8
	// The data source is a choice at the top of the page, so that the file fits any Grafana.
	datasourceVariable = "datasource"
)

type object map[string]any

// JSON returns the dashboard as Grafana imports and provisions it.
func (d Dashboard) JSON() ([]byte, error) {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false) // expressions have < and >
	encoder.SetIndent("", "  ")
	err := encoder.Encode(object{
		"uid":           d.UID,
		"title":         d.Title,
		"description":   d.Description,
		"tags":          []string{"breakwater"},
		"schemaVersion": schemaVersion,
		"version":       1,
		"editable":      true,
		"refresh":       "30s",
		"timezone":      "browser",
		"time":          object{"from": "now-6h", "to": "now"},
		"graphTooltip":  1, // the crosshair is shared by all panels
		"templating":    object{"list": d.variables()},
		"links": []object{{
			"type": "dashboards", "title": "Breakwater", "tags": []string{"breakwater"}, "asDropdown": true, "keepTime": true, "includeVars": false,
		}},
		"annotations": object{"list": []object{{
			"name": "Alerts", "enable": true, "iconColor": "red", "datasource": datasource(),
			"expr":        `ALERTS{alertname=~"Breakwater.*",alertname!="BreakwaterWatchdog",alertstate="firing"}`,
			"titleFormat": "{{alertname}}", "step": "60s",
		}}},
		"panels": d.grid(),
	})
	if err != nil {
		return nil, fmt.Errorf("dashboard %s: %w", d.UID, err)
	}
	return text.Bytes(), nil
}

func datasource() object {
	return object{"type": "prometheus", "uid": "${" + datasourceVariable + "}"}
}

func (d Dashboard) variables() []object {
	list := []object{{
		"name": datasourceVariable, "label": "Data source", "type": "datasource", "query": "prometheus", "hide": 0,
	}}
	for _, v := range d.Variables {
		query := fmt.Sprintf("label_values(%s, %s)", v.Of, v.Label)
		list = append(list, object{
			"name": v.Name, "label": v.Name, "type": "query", "datasource": datasource(),
			"query": object{"query": query, "refId": "StandardVariableQuery"}, "definition": query,
			// All is any value and none: a label that nobody has set is no label.
			"includeAll": true, "allValue": ".*", "multi": true,
			"current": object{"text": []string{"All"}, "value": []string{"$__all"}},
			"refresh": 2, "sort": 1, "hide": 0,
		})
	}
	return list
}

// grid places the panels from left to right, each row below its title.
func (d Dashboard) grid() []object {
	var placed []object
	id, y := 0, 0
	for _, row := range d.Rows {
		id++
		placed = append(placed, object{
			"id": id, "type": "row", "title": row.Title, "collapsed": false, "panels": []object{},
			"gridPos": object{"x": 0, "y": y, "w": gridWidth, "h": 1},
		})
		y++
		x, height := 0, 0
		for _, p := range row.Panels {
			id++
			w, h := graphWidth, graphHeight
			if p.Kind == Number {
				w, h = numberWidth, numberHeight
			}
			if x+w > gridWidth {
				x, y, height = 0, y+height, 0
			}
			placed = append(placed, p.model(id, object{"x": x, "y": y, "w": w, "h": h}))
			x, height = x+w, max(height, h)
		}
		y += height
	}
	return placed
}

func (p Panel) model(id int, at object) object {
	targets := make([]object, 0, len(p.Queries))
	for i, q := range p.Queries {
		targets = append(targets, object{
			"refId": string(rune('A' + i)), "datasource": datasource(), "expr": q.Expr, "legendFormat": q.Legend,
			"editorMode": "code", "range": p.Kind == Graph, "instant": p.Kind == Number,
		})
	}
	defaults := object{"unit": string(p.Unit), "thresholds": p.thresholds()}
	if p.Unit != Seconds {
		defaults["min"] = 0
	}
	var options object
	if p.Kind == Number {
		options = object{
			"reduceOptions": object{"calcs": []string{"lastNotNull"}, "fields": "", "values": false},
			"colorMode":     "value", "graphMode": "none", "textMode": "auto",
		}
	} else {
		defaults["custom"] = object{"lineWidth": 1, "fillOpacity": 10, "showPoints": "never", "spanNulls": false}
		options = object{
			"legend":  object{"displayMode": "list", "placement": "bottom", "showLegend": true},
			"tooltip": object{"mode": "multi", "sort": "desc"},
		}
	}
	return object{
		"id": id, "type": string(p.Kind), "title": p.Title, "description": p.Description(), "gridPos": at,
		"datasource": datasource(), "targets": targets, "options": options,
		"fieldConfig": object{"defaults": defaults, "overrides": []object{}},
	}
}

// Description is what Grafana shows beside the title, in Markdown.
func (p Panel) Description() string { return p.Means + "\n\n**What to do:** " + p.Do }

func (p Panel) thresholds() object {
	first, mid, last := "green", "yellow", "red"
	from, to := p.Warn, p.Bad
	if p.Low {
		first, last = last, first
		from, to = to, from
	}
	steps := []object{{"color": first, "value": nil}}
	if from != 0 {
		steps = append(steps, object{"color": mid, "value": from})
	}
	if to != 0 {
		steps = append(steps, object{"color": last, "value": to})
	}
	if len(steps) == 1 {
		steps[0]["color"] = "green"
	}
	return object{"mode": "absolute", "steps": steps}
}
