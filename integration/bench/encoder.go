package bench

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/breakwater-otel/breakwater/integration/harness"
)

// encoderPackage holds BenchmarkEncode, relative to the root of the repository.
const encoderPackage = "./components/exporter/victorialogsexporter"

// encoderRatio is the least that the encoder has to reach of plog.ProtoMarshaler's records/s.
const encoderRatio = 1.3

// encoderCase is a case of BenchmarkEncode: where its records have their labels.
type encoderCase struct {
	name, what string
	// held says that the ratio is held to encoderRatio. Where the labels are on the resource alone, OTLP does not write
	// them for each record, and JSON lines have to.
	held bool
}

var encoderCases = []encoderCase{
	{"record", "labels on the record", true},
	{"both", "labels on record and resource, as the agent sends them", true},
	{"resource", "labels on the resource alone: OTLP has them once, each line has them", false},
}

// EncoderFigures are the runs of one benchmark, and their medians.
type EncoderFigures struct {
	RecordsPerSecond float64
	AllocsPerOp      float64
	rates            []float64
}

// RunEncoder runs BenchmarkEncode runs times, its cases in turn, and returns the medians by case.
func RunEncoder(ctx context.Context, runs int) (map[string]EncoderFigures, error) {
	root, err := harness.Root()
	if err != nil {
		return nil, err
	}
	var output strings.Builder
	// Not -count: it would run all of one case before the next, and the machine may have become another one by then.
	for range runs {
		cmd := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", "^BenchmarkEncode$", "-benchmem", encoderPackage)
		cmd.Dir = root
		cmd.Stdout, cmd.Stderr = &output, os.Stderr
		if err := cmd.Run(); err != nil {
			return nil, fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, output.String())
		}
	}
	figures := encoderMedians(output.String())
	for _, c := range encoderCases {
		for _, name := range []string{c.name + "/victorialogs", c.name + "/otlp"} {
			if figures[name].RecordsPerSecond == 0 {
				return nil, fmt.Errorf("BenchmarkEncode/labels=%s reports no records/s:\n%s", name, output.String())
			}
		}
	}
	return figures, nil
}

var encoderLine = regexp.MustCompile(`(?m)^BenchmarkEncode/labels=([a-z]+/[a-z]+)(?:-\d+)?\s.*?\s([0-9.e+]+) records/s.*?\s(\d+) allocs/op$`)

func encoderMedians(output string) map[string]EncoderFigures {
	rates, allocs := map[string][]float64{}, map[string][]float64{}
	for _, match := range encoderLine.FindAllStringSubmatch(output, -1) {
		rate, _ := strconv.ParseFloat(match[2], 64)
		count, _ := strconv.ParseFloat(match[3], 64)
		rates[match[1]] = append(rates[match[1]], rate)
		allocs[match[1]] = append(allocs[match[1]], count)
	}
	figures := make(map[string]EncoderFigures, len(rates))
	for name := range rates {
		figures[name] = EncoderFigures{
			RecordsPerSecond: median(slices.Clone(rates[name])), AllocsPerOp: median(allocs[name]), rates: rates[name],
		}
	}
	return figures
}

// EncoderTargets are the ratios that the encoder is held to.
func EncoderTargets(figures map[string]EncoderFigures) []Target {
	var targets []Target
	for _, c := range encoderCases {
		if c.held {
			targets = append(targets, Target{
				What:  "records/s, victorialogs / otlp, " + c.what,
				Ratio: medianRatio(figures[c.name+"/victorialogs"].rates, figures[c.name+"/otlp"].rates),
				Bound: encoderRatio, AtLeast: true,
			})
		}
	}
	return targets
}

// EncoderTable returns the medians as Markdown.
func EncoderTable(figures map[string]EncoderFigures) string {
	var b strings.Builder
	b.WriteString("| | this exporter's JSON lines | `plog.ProtoMarshaler` | allocations for a message of 2,000 records |\n|---|---|---|---|\n")
	for _, c := range encoderCases {
		ours, theirs := figures[c.name+"/victorialogs"], figures[c.name+"/otlp"]
		fmt.Fprintf(&b, "| %s | %.2f M records/s | %.2f M records/s | %.0f, %.0f |\n", c.what,
			ours.RecordsPerSecond/1e6, theirs.RecordsPerSecond/1e6, ours.AllocsPerOp, theirs.AllocsPerOp)
	}
	return b.String()
}
