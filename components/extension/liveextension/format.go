package liveextension

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/breakwater-otel/breakwater/components/internal/ledger"
)

func seconds(s float64) time.Duration {
	// More than a duration holds is as good as for ever.
	if limit := float64(math.MaxInt64) / float64(time.Second); s >= limit {
		return math.MaxInt64
	}
	return time.Duration(s * float64(time.Second))
}

// duration is short: the two largest units, and no more than that.
func duration(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d < 0:
		return "0 s"
	case d < time.Second:
		return "under 1 s"
	case d < time.Minute:
		return fmt.Sprintf("%d s", d/time.Second)
	case d < time.Hour:
		return twoUnits(d, time.Minute, "min", time.Second, "s")
	case d < day:
		return twoUnits(d, time.Hour, "h", time.Minute, "min")
	case d < 365*day:
		return twoUnits(d, day, "d", time.Hour, "h")
	}
	return "over a year"
}

func twoUnits(d, large time.Duration, largeName string, small time.Duration, smallName string) string {
	text := fmt.Sprintf("%d %s", d/large, largeName)
	if rest := d % large / small; rest > 0 {
		text += fmt.Sprintf(" %d %s", rest, smallName)
	}
	return text
}

// number has separators of thousands, and a decimal where it is small and not whole.
func number(n float64) string {
	negative := n < 0
	n = math.Abs(n)
	var text string
	switch {
	case math.IsNaN(n) || math.IsInf(n, 0):
		return "–"
	case n < 10 && n != math.Trunc(n):
		text = strconv.FormatFloat(n, 'f', 1, 64)
	case n >= 1e7:
		return sign(negative) + scaled(n, 1000, []string{"", "k", "M", "G", "T", "P", "E"})
	default:
		text = strconv.FormatFloat(math.Round(n), 'f', 0, 64)
	}
	for i := len(text) - 3; i > 0 && !strings.Contains(text, "."); i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return sign(negative) + text
}

func sign(negative bool) string {
	if negative {
		return "−"
	}
	return ""
}

// size of bytes, in powers of 1000.
func size(bytes float64) string {
	return scaled(bytes, 1000, []string{"B", "kB", "MB", "GB", "TB", "PB", "EB"})
}

func scaled(n, base float64, units []string) string {
	i := 0
	for n >= base && i < len(units)-1 {
		n /= base
		i++
	}
	decimals := 0
	if i > 0 && n < 100 {
		decimals = 1
	}
	return strings.TrimSpace(strconv.FormatFloat(n, 'f', decimals, 64) + " " + units[i])
}

func percent(fraction float64) string { return fmt.Sprintf("%.0f %%", 100*fraction) }

func plural(n int64, unit string) string {
	if n == 1 {
		return "1 " + unit
	}
	return number(float64(n)) + " " + unit + "s"
}

// words makes a value of an attribute readable.
func words(value string) string { return strings.ReplaceAll(value, "_", " ") }

func capital(text string) string {
	first, width := utf8.DecodeRuneInString(text)
	return string(unicode.ToUpper(first)) + text[width:]
}

// recordOf is what the records of a signal are called.
func recordOf(signal string) string {
	switch signal {
	case "metrics":
		return "data point"
	case "traces":
		return "span"
	}
	return "log record"
}

func rangeText(r ledger.Range) string {
	if r.End <= r.First+1 {
		return fmt.Sprintf("%d of run %s", r.First, r.Run)
	}
	return fmt.Sprintf("%d to %d of run %s", r.First, r.End-1, r.Run)
}
