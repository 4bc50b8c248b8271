// Command breakwater-deadletters lists, shows and replays dead letters, from the Kafka
// topic or from files.
//
// KAFKA_SASL_* and KAFKA_TLS_* say how it logs in to Kafka, as for the collector (docs/security.md).
//
// It exits with 0 when it did what was asked for, and with 1 when it could not.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/breakwater-otel/breakwater/internal/kafkaenv"
	"github.com/breakwater-otel/breakwater/internal/letters"
	"github.com/breakwater-otel/breakwater/internal/topics"
)

const usage = `usage: breakwater-deadletters <command> [flags]

  list    count the dead letters by reason, origin and error
  show    print one of them: breakwater-deadletters show [flags] <id>
  replay  produce the original messages again; without -yes, tell what would be done

breakwater-deadletters <command> -h lists the flags.
`

// options are what the command line and the environment say.
type options struct {
	brokers []string
	secure  []kgo.Opt
	topic   string
	files   []string
	timeout time.Duration

	selection selection
	each      bool // list
	id        string
	raw       bool // show

	to         string
	maxReplays int
	again      bool
	yes        bool
	topicOf    map[string]string // of refused records, by signal
}

// selection says which letters are meant; its zero values mean any, but for the
// partition and the last offset, which are -1 then.
type selection struct {
	reason, signal, source string
	partition              int
	first, last            int64
	ids                    map[string]bool
}

func (s *selection) matches(e *entry) bool {
	l := &e.letter
	return (s.reason == "" || l.Reason == s.reason) &&
		(s.signal == "" || l.Signal == s.signal) &&
		(s.source == "" || l.Topic == s.source) &&
		(s.partition < 0 || int(e.partition) == s.partition) &&
		e.offset >= s.first && (s.last < 0 || e.offset <= s.last) &&
		(len(s.ids) == 0 || s.ids[e.id])
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr))
}

// run is main with everything that it takes from the process; it returns the exit
// status.
func run(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		_, _ = io.WriteString(stderr, usage)
		return 1
	}
	commands := map[string]func(context.Context, *options, source, io.Writer) error{"list": list, "show": show, "replay": replay}
	command, ok := commands[args[0]]
	if !ok {
		_, _ = io.WriteString(stderr, usage)
		if args[0] == "-h" || args[0] == "-help" || args[0] == "--help" {
			return 0
		}
		return 1
	}
	opts, err := parse(args[0], args[1:], getenv, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		return 1 // it has been told
	}
	err = func() error {
		from, err := open(ctx, opts)
		if err != nil {
			return err
		}
		defer from.close()
		return command(ctx, opts, from, stdout)
	}()
	if err != nil {
		_, _ = fmt.Fprintln(stderr, "breakwater-deadletters: error:", oneLine(kafkaenv.Explain(err).Error()))
		return 1
	}
	return 0
}

func parse(command string, args []string, getenv func(string) string, stderr io.Writer) (*options, error) {
	names := topics.Defaults(getenv)
	opts := &options{topicOf: map[string]string{
		letters.SignalLogs:    names[topics.Logs].Name,
		letters.SignalMetrics: names[topics.Metrics].Name,
	}}
	flags := flag.NewFlagSet("breakwater-deadletters "+command, flag.ContinueOnError)
	flags.SetOutput(stderr)
	var ids, files string
	brokers := kafkaenv.Brokers(getenv)
	flags.StringVar(&brokers, "brokers", brokers, "comma-separated `addresses` of Kafka; KAFKA_BROKERS by default")
	flags.StringVar(&opts.topic, "topic", names[topics.DeadLetters].Name, "dead letter `topic`; KAFKA_DLQ_TOPIC by default")
	flags.StringVar(&files, "files", "", "comma-separated files or directories of dead letters, instead of the topic")
	flags.DurationVar(&opts.timeout, "timeout", 15*time.Second, "how long to wait for an answer of Kafka")
	opts.selection.partition, opts.selection.last = -1, -1
	if command != "show" {
		s := &opts.selection
		flags.StringVar(&s.reason, "reason", "", "only letters of this `reason`, such as undecodable or refused")
		flags.StringVar(&s.signal, "signal", "", "only letters of this `signal`: logs, metrics or traces")
		flags.StringVar(&s.source, "source-topic", "", "only letters that were read from this `topic`")
		flags.IntVar(&s.partition, "partition", -1, "only letters in this `partition` of the dead letter topic")
		flags.Int64Var(&s.first, "first-offset", 0, "only letters from this `offset` of the dead letter topic on, or from this line of a file")
		flags.Int64Var(&s.last, "last-offset", -1, "only letters up to this `offset` of the dead letter topic, or this line of a file")
		flags.StringVar(&ids, "id", "", "only the letters of these comma-separated `ids`, partition:offset or file:line")
	}
	switch command {
	case "list":
		flags.BoolVar(&opts.each, "each", false, "a line for each letter instead of counts")
	case "show":
		flags.BoolVar(&opts.raw, "raw", false, "write the original bytes and nothing else")
	case "replay":
		flags.StringVar(&opts.to, "to", "", "`topic` to produce to; by default the one that the message came from, or that of the signal for refused records")
		flags.IntVar(&opts.maxReplays, "max-replays", 1, "skip letters whose message has been replayed this `often`: it would come back again")
		flags.BoolVar(&opts.again, "again", false, "also letters that are marked as replayed")
		flags.BoolVar(&opts.yes, "yes", false, "do it")
	}
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	opts.brokers, opts.files = words(brokers), words(files)
	if list := words(ids); len(list) > 0 {
		opts.selection.ids = map[string]bool{}
		for _, id := range list {
			opts.selection.ids[id] = true
		}
	}
	if command == "show" && flags.NArg() > 0 {
		opts.id = flags.Arg(0)
	}
	var err error
	opts.secure, err = kafkaenv.Options(getenv)
	if err = errors.Join(err, opts.check(command, flags)); err != nil {
		_, _ = fmt.Fprintln(stderr, "breakwater-deadletters: error:", err)
		return nil, err
	}
	return opts, nil
}

func (o *options) check(command string, flags *flag.FlagSet) error {
	arguments := 0
	if command == "show" {
		arguments = 1
	}
	fromKafka := len(o.files) == 0
	switch {
	case flags.NArg() > arguments:
		return fmt.Errorf("unexpected argument %q", flags.Arg(arguments))
	case command == "show" && o.id == "":
		return errors.New("show needs the id of a letter, partition:offset or file:line; list -each prints them")
	case (fromKafka || command == "replay") && len(o.brokers) == 0:
		return errors.New("no broker given: set KAFKA_BROKERS or -brokers")
	case fromKafka && o.topic == "":
		return errors.New("no topic given: set KAFKA_DLQ_TOPIC or -topic")
	case o.timeout <= 0:
		return errors.New("-timeout must be positive")
	case !fromKafka && o.selection.partition >= 0:
		return errors.New("-partition is of the dead letter topic, and not of -files")
	case command == "replay" && o.maxReplays < 1:
		return errors.New("-max-replays must be at least 1")
	case command == "replay" && o.to != "" && o.to == o.topic:
		return errors.New("-to must not be the dead letter topic")
	}
	return nil
}

func words(list string) []string {
	var found []string
	for _, word := range strings.Split(list, ",") {
		if word = strings.TrimSpace(word); word != "" {
			found = append(found, word)
		}
	}
	return found
}
