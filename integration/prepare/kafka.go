package prepare

import (
	"context"
	"encoding/xml"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// Kafka says how to run the cached Apache Kafka.
type Kafka struct {
	Version string // of Apache Kafka
	Java    string // path of the java command, Java 17 or newer
	Dir     string // directory of the jars: the class path is Dir/*
	Log4j   string // path of the configuration of Kafka's own log
}

// Kafka returns the cached Apache Kafka and resolves it with Maven when it is
// missing or out of date. Java is needed at every call, Maven only to resolve;
// see tools for how they are found or installed.
func (p *Preparer) Kafka(ctx context.Context) (Kafka, error) {
	pom := p.source("kafka", "pom.xml")
	version, err := pomKafkaVersion(pom)
	if err != nil {
		return Kafka{}, err
	}
	hash, err := hashOf([]string{pom})
	if err != nil {
		return Kafka{}, err
	}
	k := Kafka{
		Version: version,
		Dir:     p.cache("kafka-" + version),
		Log4j:   p.source("kafka", "log4j2.xml"),
	}
	err = p.locked(ctx, "kafka", func() error {
		stamp := filepath.Join(k.Dir, ".stamp")
		cached := stamped(stamp, hash)
		tools, err := p.tools(ctx, !cached)
		if err != nil {
			return err
		}
		k.Java = tools.java
		if cached {
			return nil
		}
		return p.resolveKafka(ctx, tools.mvn, pom, k, hash)
	})
	return k, err
}

func (p *Preparer) resolveKafka(ctx context.Context, mvn, pom string, k Kafka, hash string) error {
	p.say("resolving Apache Kafka %s with Maven (45 MB the first time)", k.Version)
	begin := time.Now()
	tmp := k.Dir + ".tmp"
	if err := os.RemoveAll(tmp); err != nil {
		return err
	}
	err := run(ctx, filepath.Dir(pom), nil, mvn, "-B", "-q", "-Dstyle.color=never", "-f", pom,
		"dependency:copy-dependencies", "-DoutputDirectory="+tmp)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(tmp, ".stamp"), []byte(hash), 0o644); err != nil {
		return err
	}
	if err := os.RemoveAll(k.Dir); err != nil {
		return err
	}
	// The directory appears whole or not at all.
	if err := os.Rename(tmp, k.Dir); err != nil {
		return err
	}
	p.say("resolved Apache Kafka %s in %s", k.Version, time.Since(begin).Round(100*time.Millisecond))
	return nil
}

func pomKafkaVersion(path string) (string, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	var pom struct {
		Version string `xml:"properties>kafka.version"`
	}
	if err := xml.Unmarshal(data, &pom); err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	if pom.Version == "" {
		return "", fmt.Errorf("%s has no property kafka.version", path)
	}
	return pom.Version, nil
}
