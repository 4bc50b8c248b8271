package main

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// variable is one of the environment that a file in configs reads.
type variable struct {
	name     string
	defaults []string            // in the order of the files
	files    map[string][]string // by default
	meaning  string
}

// place has the variables of the files that one pattern finds.
type place struct {
	title     string
	pattern   string // below configs
	variables []variable
}

var (
	// A default may be empty, and is not the same as none.
	reference = regexp.MustCompile(`\$\{(?:secretfile:)?env:([A-Z0-9_]+)(?::-([^}]*))?\}`)
	// The processor label_preserve reads the environment by itself.
	labelSource = regexp.MustCompile(`source: env, key: ([A-Z0-9_]+)`)
	// A row of a table that begins with variables, with or without a column for defaults.
	tableRow = regexp.MustCompile("^\\| ((?:`[A-Z0-9_]+`(?:, )?)+) \\|.*\\|\\s*([^|]*?)\\s*\\|$")
	quoted   = regexp.MustCompile("`([A-Z0-9_]+)`")
)

// readEnvironment returns what the files in configs read. The meaning of a variable is where its reader looks for it, in
// the tables of README.md and docs/sources.md, and of those for security in securityMeaning.
func readEnvironment(root string) ([]place, error) {
	meanings, err := readMeanings(root, "README.md", "docs/sources.md")
	if err != nil {
		return nil, err
	}
	places := []place{
		{title: "Profiles", pattern: "*.yaml"},
		{title: "Blocks of the agent", pattern: "agent.d/*.yaml"},
		{title: "Blocks of the consumer", pattern: "consumer.d/*.yaml"},
		{title: "Overlays for security", pattern: "security.d/*.yaml"},
	}
	var missing []string
	for i := range places {
		p := &places[i]
		if p.variables, err = readVariables(filepath.Join(root, "configs"), p.pattern); err != nil {
			return nil, err
		}
		for j := range p.variables {
			v := &p.variables[j]
			v.meaning = cmp.Or(meanings[v.name], obvious[v.name], securityMeaning(v.name))
			if v.meaning == "" {
				missing = append(missing, v.name)
			}
		}
	}
	if len(missing) > 0 {
		return nil, fmt.Errorf("in configs and in no table of README.md and docs/sources.md: %s", strings.Join(missing, ", "))
	}
	return places, nil
}

func readVariables(dir, pattern string) ([]variable, error) {
	paths, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil {
		return nil, err
	}
	byName := map[string]*variable{}
	for _, path := range paths {
		text, err := os.ReadFile(path) //nolint:gosec // of the repository
		if err != nil {
			return nil, err
		}
		for line := range strings.Lines(string(text)) {
			line, _, _ = strings.Cut(line, "# ")
			found := append(reference.FindAllStringSubmatch(line, -1), labelSource.FindAllStringSubmatch(line, -1)...)
			for _, match := range found {
				value := ""
				if len(match) > 2 {
					value = match[2]
				}
				add(byName, match[1], value, filepath.Base(path))
			}
		}
	}
	variables := make([]variable, 0, len(byName))
	for _, v := range byName {
		variables = append(variables, *v)
	}
	slices.SortFunc(variables, func(a, b variable) int { return strings.Compare(a.name, b.name) })
	return variables, nil
}

func add(byName map[string]*variable, name, value, file string) {
	v := byName[name]
	if v == nil {
		v = &variable{name: name, files: map[string][]string{}}
		byName[name] = v
	}
	if !slices.Contains(v.defaults, value) {
		v.defaults = append(v.defaults, value)
	}
	if !slices.Contains(v.files[value], file) {
		v.files[value] = append(v.files[value], file)
	}
}

func readMeanings(root string, documents ...string) (map[string]string, error) {
	meanings := map[string]string{}
	for _, document := range documents {
		text, err := os.ReadFile(filepath.Join(root, document)) //nolint:gosec // of the repository
		if err != nil {
			return nil, err
		}
		for line := range strings.Lines(string(text)) {
			row := tableRow.FindStringSubmatch(strings.TrimSpace(line))
			if row == nil {
				continue
			}
			for _, name := range quoted.FindAllStringSubmatch(row[1], -1) {
				meanings[name[1]] = fromDocs(row[2], document)
			}
		}
	}
	return meanings, nil
}

// obvious are those that the tables have no words for, beside their names.
var obvious = map[string]string{
	"FLUENTBIT_LOKI_PIPELINE": "`pipeline` of the rows in Loki, where both backends are written to",
	"HEALTH_ENDPOINT":         "where the health check listens",
	"PPROF_ENDPOINT":          "where Go's profiles are served",
	"ZPAGES_ENDPOINT":         "where zPages are served",
	"K8S_KUBELET_ENDPOINT":    "URL of the kubelet",
	"SYSLOG_UDP_ENDPOINT":     "where syslog is taken, UDP",
	"SYSLOG_TCP_ENDPOINT":     "the same, TCP", "SYSLOG_TLS_ENDPOINT": "the same, TLS",
	"SYSLOG_TLS_CERT_FILE": "certificate of the syslog server", "SYSLOG_TLS_KEY_FILE": "its key",
	"FLUENT_FORWARD_ENDPOINT":    "where the forward protocol is taken",
	"PROMETHEUS_SCRAPE_INTERVAL": "time between two scrapes of a target",
	"PROMETHEUS_SCRAPE_TIMEOUT":  "how long a scrape may take",
}

var link = regexp.MustCompile(`\]\(([^)#:]+)(#[^)]*)?\)|\]\((#[^)]*)\)`)

// fromDocs makes the links of a document those of one in docs.
func fromDocs(text, document string) string {
	if strings.HasPrefix(document, "docs/") {
		return link.ReplaceAllStringFunc(text, func(l string) string {
			if strings.HasPrefix(l, "](#") {
				return "](" + filepath.Base(document) + l[2:]
			}
			return l
		})
	}
	return link.ReplaceAllStringFunc(text, func(l string) string {
		switch {
		case strings.HasPrefix(l, "](#"):
			return "](../" + document + l[2:]
		case strings.HasPrefix(l, "](docs/"):
			return "](" + strings.TrimPrefix(l, "](docs/")
		default:
			return "](../" + l[2:]
		}
	})
}

// securityMeaning is that of a variable of configs/security.d, which are the same for every party.
func securityMeaning(name string) string {
	for _, rule := range []struct{ suffix, meaning string }{
		{"_TLS_CLIENT_CA_FILE", "set: clients need a certificate that one of these authorities has signed"},
		{"_TLS_CA_FILE", "authorities that sign the server's certificate; empty: those of the system"},
		{"_TLS_SERVER_NAME", "name that the server's certificate has to have; empty: the host of the address"},
		{"_TLS_CERT_FILE", "certificate that is shown; empty: none"},
		{"_TLS_KEY_FILE", "its key"},
		{"_SASL_MECHANISM", "`SCRAM-SHA-512`, `SCRAM-SHA-256` or `PLAIN`"},
		{"_USERNAME", "user of the login"},
		{"_PASSWORD_FILE", "file with the password"},
		{"_TOKEN_FILE", "file with the bearer token"},
	} {
		if strings.HasSuffix(name, rule.suffix) {
			return rule.meaning
		}
	}
	return ""
}
