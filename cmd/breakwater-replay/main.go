// Command breakwater-replay sends a range of a topic through the consumer again, into the same backend or another one,
// with a consumer group of its own.
//
// It exits with 0 when it did what was asked for: a dry run whose range is all there, or a replay of which everything is
// settled. It exits with 1 when it could not, or was interrupted.
package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"strings"
	"syscall"
	"time"
)

const usage = `usage: breakwater-replay <command> [flags]

  run      send a range of a topic through the consumer again; without -yes, tell what would be sent
  list     the replays that have begun and are not done
  discard  forget one of them: breakwater-replay discard [flags] <name>

breakwater-replay <command> -h lists the flags.
`

// options are what the command line says.
type options struct {
	source   string
	configs  []string
	binary   string
	logFile  string
	timeout  time.Duration
	interval time.Duration
	name     string

	bounds       bounds
	count        bool
	allowMissing bool
	ahead        bool
	yes          bool
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr))
}

// run is main with what it takes from the process, but for the environment that the profile and the consumer see; it
// returns the exit status.
func run(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) int {
	commands := map[string]func(context.Context, *options, io.Writer) error{"run": replay, "list": list, "discard": discard}
	var command func(context.Context, *options, io.Writer) error
	if len(args) > 0 {
		command = commands[args[0]]
	}
	if command == nil {
		_, _ = io.WriteString(stderr, usage)
		if len(args) > 0 && strings.HasSuffix(args[0], "-help") || len(args) > 0 && args[0] == "-h" {
			return 0
		}
		return 1
	}
	opts, err := parse(args[0], args[1:], getenv, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err == nil {
		err = command(ctx, opts, stdout)
	}
	if err != nil {
		_, _ = fmt.Fprintln(stderr, "breakwater-replay: error:", oneLine(err.Error()))
		return 1
	}
	return 0
}

// validName is that of a replay: a part of the name of a consumer group.
var validName = regexp.MustCompile(`^[A-Za-z0-9._-]{1,100}$`)

func parse(command string, args []string, getenv func(string) string, stderr io.Writer) (*options, error) {
	opts := &options{}
	flags := flag.NewFlagSet("breakwater-replay "+command, flag.ContinueOnError)
	flags.SetOutput(stderr)
	var configs, from, to, offsets string
	flags.StringVar(&configs, "config", "configs/consumer.yaml", "comma-separated `files` of the consumer's configuration")
	flags.StringVar(&opts.source, "source", "", "what is read: logs, metrics or fluent-bit, or the `ID` of a durable_kafka receiver in the configuration")
	flags.DurationVar(&opts.timeout, "timeout", 15*time.Second, "how long to wait for an answer of Kafka")
	if command == "run" {
		flags.StringVar(&from, "from", "", "first `time`, RFC 3339 or how long ago (2h30m); or `start`, what the topic has")
		flags.StringVar(&to, "to", "now", "`time` before which it ends, RFC 3339 or how long ago; or now")
		flags.StringVar(&offsets, "offsets", "", "`ranges` instead of times: partition:first-last, comma-separated; without last to the end")
		flags.StringVar(&opts.name, "name", "", "`name` of the replay, to go on with it; made of the range and the backends by default")
		flags.StringVar(&opts.binary, "bin", "", "the collector; by default `breakwater` beside this command, in bin, or in PATH")
		flags.StringVar(&opts.logFile, "log", "", "`file` for the log of the consumer; a temporary one by default, which is kept after a failure")
		flags.DurationVar(&opts.interval, "progress", 5*time.Second, "how often to tell the progress")
		flags.BoolVar(&opts.count, "count", false, "read a large range, too, to count its bytes and records")
		flags.BoolVar(&opts.allowMissing, "allow-missing", false, "go on although Kafka has deleted a part of the range")
		flags.BoolVar(&opts.ahead, "ahead", false, "also what the live group has not delivered: for another backend only, since the live group will deliver it, too")
		flags.BoolVar(&opts.yes, "yes", false, "do it")
	}
	if err := flags.Parse(args); err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			err = fmt.Errorf("see breakwater-replay %s -h", command)
		}
		return nil, err
	}
	opts.configs = words(configs)
	if command == "discard" && flags.NArg() == 1 {
		opts.name = flags.Arg(0)
	} else if flags.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	var err error
	switch {
	case len(opts.configs) == 0:
		err = errors.New("-config must not be empty")
	case opts.source == "":
		err = errors.New("no -source given: logs, metrics or fluent-bit")
	case opts.timeout <= 0:
		err = errors.New("-timeout must be positive")
	case command == "run" && opts.interval <= 0:
		err = errors.New("-progress must be positive")
	case command == "discard" && opts.name == "":
		err = errors.New("discard needs the name of a replay; list prints them")
	case opts.name != "" && !validName.MatchString(opts.name):
		err = fmt.Errorf("the name %q must be of letters, digits, dot, underscore and hyphen", opts.name)
	case command == "run":
		if from != "" || offsets != "" || opts.name == "" {
			opts.bounds, err = parseBounds(from, to, offsets, time.Now())
		}
	}
	if err != nil {
		return nil, err
	}
	if opts.name == "" && command == "run" {
		opts.name = defaultName(opts, getenv)
	}
	return opts, nil
}

// defaultName is the same for the same range of the same topic into the same backends: the same command goes on with
// what it has begun.
func defaultName(opts *options, getenv func(string) string) string {
	hash := sha256.New()
	for _, text := range append([]string{opts.source, opts.bounds.text}, opts.configs...) {
		_, _ = fmt.Fprintf(hash, "%q", text)
	}
	for _, variable := range []string{"VICTORIALOGS_ENDPOINT", "VICTORIAMETRICS_ENDPOINT", "LOKI_ENDPOINT"} {
		_, _ = fmt.Fprintf(hash, "%q", cmp.Or(getenv(variable), "-"))
	}
	return hex.EncodeToString(hash.Sum(nil))[:8]
}

func words(list string) []string {
	var found []string
	for word := range strings.SplitSeq(list, ",") {
		if word = strings.TrimSpace(word); word != "" {
			found = append(found, word)
		}
	}
	return found
}

// oneLine keeps errors of several parts on one line.
func oneLine(text string) string {
	return strings.Join(strings.Fields(strings.ReplaceAll(text, "\n", "; ")), " ")
}
