package bench

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"

	"github.com/breakwater-otel/breakwater/integration/harness"
)

// encoderPackage holds BenchmarkEncode, relative to the root of the repository.
const encoderPackage = "./components/exporter/victorialogsexporter"

// encoderRatio is the least that the encoder has to reach of plog.ProtoMarshaler's records/s.
const encoderRatio = 1.3

// EncoderFigures are the medians of one benchmark.
type EncoderFigures struct {
	RecordsPerSecond float64
	AllocsPerOp      float64
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
		cmd := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", "^BenchmarkEncode$/^(victorialogs|otlp)$", "-benchmem", encoderPackage)
		cmd.Dir = root
		cmd.Stdout, cmd.Stderr = &output, os.Stderr
		if err := cmd.Run(); err != nil {
			return nil, fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, output.String())
		}
	}
	figures := encoderMedians(output.String())
	for _, name := range []string{"victorialogs", "otlp"} {
		if figures[name].RecordsPerSecond == 0 {
			return nil, fmt.Errorf("BenchmarkEncode/%s reports no records/s:\n%s", name, output.String())
		}
	}
	return figures, nil
}

var encoderLine = regexp.MustCompile(`(?m)^BenchmarkEncode/([a-z_]+)(?:-\d+)?\s.*?\s([0-9.e+]+) records/s.*?\s(\d+) allocs/op$`)

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
		figures[name] = EncoderFigures{RecordsPerSecond: median(rates[name]), AllocsPerOp: median(allocs[name])}
	}
	return figures
}

// EncoderTarget is the ratio that the encoder is held to.
func EncoderTarget(figures map[string]EncoderFigures) Target {
	return Target{
		What:  "records/s, victorialogs / otlp",
		Ratio: figures["victorialogs"].RecordsPerSecond / figures["otlp"].RecordsPerSecond,
		Bound: encoderRatio, AtLeast: true,
	}
}

// EncoderTable returns the medians as Markdown.
func EncoderTable(figures map[string]EncoderFigures) string {
	var b strings.Builder
	b.WriteString("| | records/s | allocations for a message of 2,000 records |\n|---|---|---|\n")
	for _, c := range []struct{ name, what string }{
		{"victorialogs", "this exporter's JSON lines"},
		{"otlp", "`plog.ProtoMarshaler`"},
	} {
		f := figures[c.name]
		fmt.Fprintf(&b, "| %s: %s | %.2f M | %.0f |\n", c.name, c.what, f.RecordsPerSecond/1e6, f.AllocsPerOp)
	}
	return b.String()
}
