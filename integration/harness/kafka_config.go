package harness

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// properties returns the settings of broker i. Three brokers have to share a
// small machine with everything else, so heaps, threads and internal topics are
// small; what decides about loss (acks, replication, elections, session timeouts,
// flushing) is left at Kafka's own defaults.
func (k *Kafka) properties(i int) map[string]string {
	n := k.opts.Brokers
	var voters []string
	for j := 1; j <= n; j++ {
		voters = append(voters, fmt.Sprintf("%d@%s", j, k.controllerAddr(j)))
	}
	replicas := strconv.Itoa(min(3, n))
	minISR := strconv.Itoa(min(2, max(1, n-1)))
	props := map[string]string{
		"process.roles":                  "broker,controller",
		"node.id":                        strconv.Itoa(i),
		"controller.quorum.voters":       strings.Join(voters, ","),
		"controller.listener.names":      "CONTROLLER",
		"listeners":                      "PLAINTEXT://" + k.addr(i) + ",CONTROLLER://" + k.controllerAddr(i),
		"advertised.listeners":           "PLAINTEXT://" + k.addr(i),
		"listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
		"log.dirs":                       k.dataDir(i),

		"auto.create.topics.enable": "false",
		// Topics say what they allow (max.message.bytes); the cluster must not
		// be the tighter limit.
		"message.max.bytes":       "33554432",
		"replica.fetch.max.bytes": "33554432",

		"offsets.topic.replication.factor":                 replicas,
		"offsets.topic.num.partitions":                     "3",
		"transaction.state.log.replication.factor":         replicas,
		"transaction.state.log.min.isr":                    minISR,
		"transaction.state.log.num.partitions":             "3",
		"share.coordinator.state.topic.replication.factor": replicas,
		"share.coordinator.state.topic.min.isr":            minISR,
		"share.coordinator.state.topic.num.partitions":     "3",
		"default.replication.factor":                       replicas,
		"group.initial.rebalance.delay.ms":                 "0",
		"num.network.threads":                              "2",
		"num.io.threads":                                   "4",
		"background.threads":                               "2",
		"log.cleaner.dedupe.buffer.size":                   "16777216",
		"log.cleaner.threads":                              "1",
	}
	k.addClientListener(i, props)
	k.addMutualListener(i, props)
	maps.Copy(props, k.opts.Properties)
	return props
}

// addClientListener adds the settings of the second listener, if there is one.
func (k *Kafka) addClientListener(i int, props map[string]string) {
	if k.opts.Clients == nil {
		return
	}
	protocol := "PLAINTEXT"
	mechanisms := []string{"SCRAM-SHA-256"}
	if k.opts.Clients.TLS != nil {
		protocol = "SSL"
		mechanisms = append(mechanisms, "SCRAM-SHA-512", "PLAIN")
		addTLS(props, "listener.name.clients.", k.opts.Clients.TLS)
	}
	if k.opts.Clients.SASL {
		protocol = map[string]string{"PLAINTEXT": "SASL_PLAINTEXT", "SSL": "SASL_SSL"}[protocol]
		props["listener.name.clients.sasl.enabled.mechanisms"] = strings.Join(mechanisms, ",")
		for _, mechanism := range mechanisms {
			module := "org.apache.kafka.common.security.scram.ScramLoginModule required"
			if mechanism == "PLAIN" {
				module = "org.apache.kafka.common.security.plain.PlainLoginModule required"
				for _, user := range slices.Sorted(maps.Keys(k.opts.Clients.Plain)) {
					module += fmt.Sprintf(" user_%s=%q", user, k.opts.Clients.Plain[user])
				}
			}
			props["listener.name.clients."+strings.ToLower(mechanism)+".sasl.jaas.config"] = module + ";"
		}
		props["authorizer.class.name"] = "org.apache.kafka.metadata.authorizer.StandardAuthorizer"
		props["super.users"] = "User:ANONYMOUS"
	}
	addListener(props, "CLIENTS", k.ListenAddr(i), k.advertised(i), protocol)
}

// addMutualListener adds the settings of the third listener, if there is one.
func (k *Kafka) addMutualListener(i int, props map[string]string) {
	if k.opts.Mutual == nil {
		return
	}
	addTLS(props, "listener.name.mutual.", k.opts.Mutual)
	props["listener.name.mutual.ssl.client.auth"] = "required"
	addr := hostAddr(k.host(i), k.port(i, mutualPort))
	addListener(props, "MUTUAL", addr, addr, "SSL")
}

func addListener(props map[string]string, name, addr, advertised, protocol string) {
	props["listeners"] += "," + name + "://" + addr
	props["advertised.listeners"] += "," + name + "://" + advertised
	props["listener.security.protocol.map"] += "," + name + ":" + protocol
	props["inter.broker.listener.name"] = "PLAINTEXT"
}

func addTLS(props map[string]string, prefix string, files *KafkaTLS) {
	props[prefix+"ssl.keystore.type"] = "PEM"
	props[prefix+"ssl.keystore.location"] = files.KeyStoreFile
	props[prefix+"ssl.truststore.type"] = "PEM"
	props[prefix+"ssl.truststore.location"] = files.ClientCAFile
}

// javaArgs returns the arguments up to the class name.
func (k *Kafka) javaArgs() []string {
	args := []string{
		"-Xms128m", "-Xmx384m",
		// Start fast and stay small: one collector thread, no second compiler tier.
		"-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto",
		"-XX:+ExitOnOutOfMemoryError",
		"-XX:-UsePerfData", // its files would outlive a kill
		"-Djava.awt.headless=true",
		"-Dlog4j2.configurationFile=" + k.opts.Dist.Log4j,
	}
	args = append(args, k.opts.JVMArgs...)
	return append(args, "-cp", filepath.Join(k.opts.Dist.Dir, "*"))
}

// format writes server.properties of every broker and formats the storage of
// those that have none.
func (k *Kafka) format(ctx context.Context) error {
	clusterID, err := k.clusterID()
	if err != nil {
		return err
	}
	errs := make([]error, k.opts.Brokers+1)
	var wg sync.WaitGroup
	for i := 1; i <= k.opts.Brokers; i++ {
		if err := writeProperties(k.propertiesFile(i), k.properties(i)); err != nil {
			return err
		}
		if _, err := os.Stat(filepath.Join(k.dataPath(i), "meta.properties")); err == nil {
			continue
		}
		wg.Go(func() { errs[i] = k.formatNode(ctx, i, clusterID) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (k *Kafka) formatNode(ctx context.Context, i int, clusterID string) error {
	args := append(k.javaArgs(), "kafka.tools.StorageTool", "format",
		"--cluster-id", clusterID, "--config", k.propertiesFile(i))
	cmd := exec.CommandContext(ctx, k.opts.Dist.Java, args...)
	if output, err := hostOutput(k.host(i), cmd); err != nil {
		return fmt.Errorf("format storage of broker %d: %w\n%s", i, err, output)
	}
	return nil
}

// clusterID returns the id of the cluster, made once and kept with its data.
func (k *Kafka) clusterID() (string, error) {
	path := filepath.Join(k.place.dir, "cluster.id")
	if data, err := os.ReadFile(path); err == nil {
		return string(data), nil
	}
	var id [16]byte
	if _, err := rand.Read(id[:]); err != nil {
		return "", err
	}
	id[0] &= 0x7f // a leading "-" would be taken for a flag
	text := base64.RawURLEncoding.EncodeToString(id[:])
	return text, os.WriteFile(path, []byte(text), 0o644)
}

func writeProperties(path string, props map[string]string) error {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(props)) {
		fmt.Fprintf(&b, "%s=%s\n", name, props[name])
	}
	return os.WriteFile(path, []byte(b.String()), 0o644)
}
