package main

import (
	"fmt"
	"reflect"
	"strings"
)

const head = `# Configuration reference

<!-- Written by ` + "`make generate`" + ` (internal/reference); do not edit. -->

What can be set, with its default: the variables of the shipped profiles, and every setting of our components. Both come out
of the code: variables from the files in [configs/](../configs), settings from the default configurations, what they mean from the
comments in the sources. What upstream's components take is in their own documents.

- [Environment](#environment)
- [Components](#components)
- [Groups of upstream settings](#groups-of-upstream-settings)

## Environment

Where an empty variable and one that is not set differ, the meaning says so; otherwise both give the default, and ` + "`none`" + ` is empty.
`

// outside are variables that are read elsewhere than in configs. TestOutsideVariables holds that they are.
var outside = []struct{ name, source, meaning string }{
	{"BREAKWATER_OPTIONS", "distributions/packaging/systemd/breakwater@.service", "further arguments of a packaged unit, such as a second `--config`"},
	{"GOGC", "distributions/breakwater/runtime.go", "of the Go runtime; set, the collector does not choose it by itself"},
	{"GOMEMLIMIT", "distributions/breakwater/runtime.go", "the same"},
	{"KAFKA_TLS", "internal/kafkaenv", "of the commands (`breakwater-topics`, `breakwater-deadletters`): `true` for TLS to brokers whose certificates the system trusts"},
}

func render(places []place, b *book) string {
	var out strings.Builder
	out.WriteString(head)
	for _, p := range places {
		fmt.Fprintf(&out, "\n### %s\n\n`configs/%s`\n\n| variable | default | in | meaning |\n|---|---|---|---|\n", p.title, p.pattern)
		for _, v := range p.variables {
			var values, files []string
			for _, value := range v.defaults {
				if value == "" {
					values = append(values, "none")
				} else {
					values = append(values, "`"+value+"`")
				}
				files = append(files, strings.Join(v.files[value], ", "))
			}
			fmt.Fprintf(&out, "| `%s` | %s | %s | %s |\n", v.name, strings.Join(values, "<br>"), strings.Join(files, "<br>"), cell(v.meaning))
		}
	}
	out.WriteString("\n### Read elsewhere\n\n| variable | by | meaning |\n|---|---|---|\n")
	for _, v := range outside {
		fmt.Fprintf(&out, "| `%s` | [%s](../%s) | %s |\n", v.name, v.source, v.source, cell(v.meaning))
	}
	out.WriteString("\n## Components\n\nThe path of a setting is written with `::` between its levels; `[]` is an element of a list, `<name>` a name of one's own.\n")
	for i := range b.components {
		renderSection(&out, &b.components[i])
	}
	out.WriteString("\n## Groups of upstream settings\n\n" +
		"What several components take as upstream's libraries define it. Where a component has another default, its own table says so.\n")
	for _, t := range b.order {
		renderSection(&out, b.groups[t])
	}
	return out.String()
}

func renderSection(out *strings.Builder, s *section) {
	if s.kind != "" {
		name, _, _ := strings.Cut(s.title, " ")
		fmt.Fprintf(out, "\n### %s\n\n`%s`: what it does is in [its README](../components/%s/README.md).\n", s.title, name, s.dir)
	} else {
		fmt.Fprintf(out, "\n### %s\n", s.title)
	}
	for _, of := range s.squashed {
		place := "Among its settings"
		if of.path != "" {
			place = "Among those below `" + of.path + "`"
		}
		fmt.Fprintf(out, "\n%s are those of %s.\n", place, groupLink(of.group))
	}
	if len(s.settings) == 0 {
		if len(s.squashed) == 0 {
			out.WriteString("\nIt has no settings.\n")
		}
		return
	}
	out.WriteString("\n| setting | type | default | meaning |\n|---|---|---|---|\n")
	for _, row := range s.settings {
		typ := row.typ
		if row.sharedBy != nil {
			typ = groupLink(row.sharedBy)
		}
		fmt.Fprintf(out, "| `%s` | %s | %s | %s |\n", row.path, typ, cell(row.value), cell(row.meaning))
	}
}

func groupLink(t reflect.Type) string {
	anchor := strings.ToLower(strings.ReplaceAll(t.String(), ".", ""))
	return fmt.Sprintf("[%s](#%s)", t.String(), anchor)
}

// cell is text that a table can hold.
func cell(text string) string {
	return strings.NewReplacer("|", `\|`, "<name>", "&lt;name&gt;").Replace(strings.Join(strings.Fields(text), " "))
}
