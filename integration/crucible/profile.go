package crucible

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
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
		About:         "configs/agent.yaml and configs/consumer.yaml, consumer-loki.yaml where Loki has the logs, consumer-both.yaml where both have them",
		Agent:         Program{Configs: []string{"configs/agent.yaml"}},
		Consumer:      Program{Configs: []string{"configs/consumer.yaml"}},
		LokiConsumer:  Program{Configs: []string{"configs/consumer-loki.yaml"}},
		BothConsumer:  Program{Configs: []string{"configs/consumer-both.yaml"}},
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

// loginConfig is what an operator adds to a profile for a Kafka that asks for a login (docs/security.md).
const loginConfig = "configs/security.d/kafka-sasl.yaml"

// login is the environment that loginConfig reads. The password is in a file below dir.
func login(dir, user string) (map[string]string, error) {
	file := filepath.Join(dir, user+".password")
	if err := os.WriteFile(file, []byte(password(user)), 0o600); err != nil {
		return nil, err
	}
	return map[string]string{
		"KAFKA_SASL_MECHANISM": "SCRAM-SHA-256", "KAFKA_SASL_USERNAME": user, "KAFKA_SASL_PASSWORD_FILE": file,
	}, nil
}

// The users of the secure cases.
const (
	agentUser    = "agent"
	consumerUser = "consumer"
)

// password is that of a user of a cluster that nobody else can reach.
func password(user string) string { return user + "-password" }
