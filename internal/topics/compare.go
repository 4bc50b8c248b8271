package topics

import (
	"fmt"
	"slices"
	"strconv"
	"time"
)

// The names of the topic configurations that are created and compared.
const (
	cleanupPolicy    = "cleanup.policy"
	maxMessage       = "max.message.bytes"
	minInsync        = "min.insync.replicas"
	retentionBytes   = "retention.bytes"
	retentionMillis  = "retention.ms"
	uncleanElections = "unclean.leader.election.enable"
)

// Weakness is a setting of an existing topic that guarantees less than wanted.
type Weakness struct {
	Setting string
	Have    string
	Want    string
}

func (w Weakness) String() string {
	return fmt.Sprintf("%s is %s, want %s", w.Setting, w.Have, w.Want)
}

// existing is a topic as the cluster describes it.
type existing struct {
	partitions int32
	replicas   int // of the partition that has the fewest
	configs    map[string]string
}

// configs returns the configuration that a topic is created with. Everything that
// decides about loss is set on the topic, so that the defaults of the cluster,
// now or later, do not matter.
func (s Spec) configs() map[string]*string {
	value := func(v string) *string { return &v }
	configs := map[string]*string{
		cleanupPolicy:    value(s.policy()),
		maxMessage:       value(strconv.Itoa(s.MaxMessageBytes)),
		minInsync:        value(strconv.Itoa(s.MinISR)),
		retentionBytes:   value("-1"),
		retentionMillis:  value(strconv.FormatInt(s.Retention.Milliseconds(), 10)),
		uncleanElections: value("false"),
	}
	if s.Compacted {
		configs[retentionMillis] = value("-1")
	}
	return configs
}

func (s Spec) policy() string {
	if s.Compacted {
		return "compact"
	}
	return "delete"
}

// fit lowers what a cluster of so few brokers cannot give. The warning says what
// is lost with it, and is empty when nothing is.
func fit(s Spec, brokers int) (Spec, string) {
	if brokers >= int(s.ReplicationFactor) {
		return s, ""
	}
	wanted := s
	s.ReplicationFactor = int16(brokers)
	// One replica less than there are, so that one broker may be away.
	s.MinISR = max(1, min(s.MinISR, brokers-1))
	consequence := "a broker that is lost takes acknowledged records with it"
	if brokers > 1 {
		consequence = "while a broker is away, a record is acknowledged by the others alone, and lost with them"
		if s.MinISR == 1 {
			consequence = "while a broker is away, a record is acknowledged by one broker alone, and lost with it"
		}
	}
	return s, fmt.Sprintf("the cluster has %s: replication factor %d and min.insync.replicas %d instead of %d and %d; %s",
		count(brokers, "broker"), s.ReplicationFactor, s.MinISR, wanted.ReplicationFactor, wanted.MinISR, consequence)
}

// compare returns what a topic guarantees less than wanted, and what is no
// weakness by itself but may surprise.
func compare(want Spec, have existing) (weaker []Weakness, warnings []string) {
	atLeast := func(setting string, have, want int64, text func(int64) string) {
		if have < want {
			weaker = append(weaker, Weakness{setting, text(have), "at least " + text(want)})
		}
	}
	// config reads a number; one that cannot be read is reported, never assumed.
	config := func(setting string) (int64, bool) {
		n, err := strconv.ParseInt(have.configs[setting], 10, 64)
		if err != nil {
			weaker = append(weaker, Weakness{setting, strconv.Quote(have.configs[setting]), "a number"})
		}
		return n, err == nil
	}
	atLeast("partitions", int64(have.partitions), int64(want.Partitions), decimal)
	atLeast("replication factor", int64(have.replicas), int64(want.ReplicationFactor), decimal)
	if n, ok := config(minInsync); ok {
		atLeast(minInsync, n, int64(want.MinISR), decimal)
		if int(n) > have.replicas {
			weaker = append(weaker, Weakness{minInsync, decimal(n), fmt.Sprintf("at most the %d replicas: no write can succeed", have.replicas)})
		} else if int(n) == have.replicas && n > 1 {
			warnings = append(warnings, fmt.Sprintf("min.insync.replicas equals the replication factor (%d): writes stop while any broker is away", n))
		}
	}
	if n, ok := config(retentionMillis); ok && n >= 0 && !want.Compacted { // -1: kept for ever
		atLeast(retentionMillis, n, want.Retention.Milliseconds(), millis)
	}
	if n, ok := config(maxMessage); ok {
		atLeast(maxMessage, n, int64(want.MaxMessageBytes), decimal)
	}
	// Compaction removes records that have the same key, and deletion those of a time, whichever the topic needs.
	if policy := have.configs[cleanupPolicy]; policy != want.policy() {
		weaker = append(weaker, Weakness{cleanupPolicy, policy, want.policy()})
	}
	// Brokers that do not know the setting cannot have it on.
	if have.configs[uncleanElections] == "true" {
		weaker = append(weaker, Weakness{uncleanElections, "true", "false"})
	}
	if bytes := have.configs[retentionBytes]; !slices.Contains([]string{"", "-1"}, bytes) {
		warnings = append(warnings, fmt.Sprintf("retention.bytes is %s: a partition may drop records before retention.ms", bytes))
	}
	return weaker, warnings
}

func decimal(n int64) string { return strconv.FormatInt(n, 10) }

func millis(n int64) string {
	return fmt.Sprintf("%d (%s)", n, hours(time.Duration(n)*time.Millisecond))
}

// hours writes whole hours without the minutes that time.Duration would add.
func hours(d time.Duration) string {
	if d%time.Hour == 0 {
		return fmt.Sprintf("%dh", d/time.Hour)
	}
	return d.String()
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
