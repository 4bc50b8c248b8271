package crucible

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/breakwater-otel/breakwater/integration/harness"
)

// Profile is what ships the records in a run.
type Profile struct {
	Name     string
	About    string
	Agent    Program
	Consumer Program
	// LokiConsumer takes the place of Consumer in the cases of Loki. A profile without one does not run them.
	LokiConsumer Program
	// BothConsumer takes its place in the cases of both backends of logs.
	BothConsumer Program
	// SmallMessages says that the consumer reads the topic of one record a message, too.
	SmallMessages bool
	// Exact says that the profile promises no duplicates in the cases that are Exact.
	Exact bool
}

// Program is one of the shippers: bin/breakwater with configurations, or any command.
type Program struct {
	Configs []string // relative to the root of the repository
	Loki    bool     // writes to Loki, and asks it when what it took is on disk
	// Command is run by the shell. It finds where to read and to write in the environment contract of the profiles.
	Command string
}

// runs tells whether the case is about something that the profile does.
func (p Profile) runs(c Case) bool {
	return (!c.Loki && !c.Swapped || len(p.LokiConsumer.Configs) > 0) && (!c.Both || len(p.BothConsumer.Configs) > 0) &&
		(!c.Load.FluentBit || p.SmallMessages) &&
		(!c.Secure || !p.Agent.foreign() && !p.Consumer.foreign())
}

// foreign tells whether nothing is known of the program but what it reads and writes.
func (p Program) foreign() bool { return p.Command != "" }

// Profiles returns the shipped profiles and then the rivals.
func Profiles() []Profile {
	shipped := Profile{
		Name:          "breakwater",
		About:         "configs/agent.yaml and configs/consumer.yaml",
		Agent:         Program{Configs: []string{"configs/agent.yaml"}},
		Consumer:      Program{Configs: []string{"configs/consumer.yaml"}},
		LokiConsumer:  Program{Configs: []string{"integration/crucible/rivals/loki-consumer.yaml"}, Loki: true},
		SmallMessages: true,
		Exact:         true,
	}
	upstream := shipped
	upstream.Name = "upstream"
	upstream.About = "the shipped agent, and a consumer of the upstream receiver `kafka` and exporter `prometheusremotewrite`"
	upstream.LokiConsumer, upstream.BothConsumer, upstream.SmallMessages, upstream.Exact = Program{}, Program{}, false, false
	upstream.Consumer = Program{Configs: []string{"integration/crucible/rivals/upstream-consumer.yaml"}}
	return []Profile{shipped, upstream}
}

// FindProfile returns the profile of a name.
func FindProfile(name string) (Profile, error) {
	var names []string
	for _, p := range Profiles() {
		if p.Name == name {
			return p, nil
		}
		names = append(names, p.Name)
	}
	return Profile{}, fmt.Errorf("there is no profile %q; there are %s", name, strings.Join(names, ", "))
}

// WithCommands puts commands in the place of the agent, the consumer or both. An empty one leaves what is there.
func (p Profile) WithCommands(agent, consumer string) Profile {
	if agent == "" && consumer == "" {
		return p
	}
	p.Name, p.Exact = "command", false
	var about []string
	if agent != "" {
		p.Agent = Program{Command: agent}
		about = append(about, "agent `"+agent+"`")
	}
	if consumer != "" {
		p.Consumer = Program{Command: consumer}
		p.LokiConsumer, p.BothConsumer, p.SmallMessages = Program{}, Program{}, false
		about = append(about, "consumer `"+consumer+"`")
	}
	p.About = strings.Join(about, ", ")
	return p
}

// saslArgs are --config arguments by which everything of a configuration that speaks to Kafka logs in. The profiles have
// no variables for it: an operator adds these settings in the same way.
func (p Program) saslArgs(user string) ([]string, error) {
	root, err := harness.Root()
	if err != nil {
		return nil, err
	}
	var args []string
	for _, path := range p.Configs {
		text, err := os.ReadFile(filepath.Join(root, path))
		if err != nil {
			return nil, err
		}
		var config struct {
			Receivers map[string]any `yaml:"receivers"`
			Exporters map[string]any `yaml:"exporters"`
		}
		if err := yaml.Unmarshal(text, &config); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		add := func(section string, components map[string]any) {
			for _, id := range slices.Sorted(maps.Keys(components)) {
				kind, _, _ := strings.Cut(id, "/")
				if !slices.Contains([]string{"kafka", "durable_kafka", "dead_letter_store"}, kind) {
					continue
				}
				for _, setting := range []string{
					"mechanism: SCRAM-SHA-256", "username: " + user, "password: " + password(user),
				} {
					args = append(args, fmt.Sprintf("--config=yaml:%s::%s::auth::sasl::%s", section, id, setting))
				}
			}
		}
		add("receivers", config.Receivers)
		add("exporters", config.Exporters)
	}
	return args, nil
}

// lokiArgs are --config arguments that set the flush window of Loki, which depends on how the Loki of a case is set up.
func (p Program) lokiArgs() []string {
	if !p.Loki {
		return nil
	}
	return []string{"--config=yaml:extensions::durability::backends::loki::flush_window: " + (2 * lokiCheckpoints).String()}
}

// The users of the secure cases.
const (
	agentUser    = "agent"
	consumerUser = "consumer"
)

// password is that of a user of a cluster that nobody else can reach.
func password(user string) string { return user + "-password" }
